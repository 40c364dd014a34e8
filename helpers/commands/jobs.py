"""What is trained and becomes one record: a run, or a trial of a search; on whatever machine.

Below a root that is not this study's a record is `packed`, to be taken in by `take_in` on the
machine that asked for it.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from helpers import config
from helpers.data import FolderData
from helpers.experiments import Experiment, search
from helpers.records import runs

TRIALS = "search"  # the folder of all trials below a root
PICTURES = "pictures_"  # of all runs on the same pictures of a user; their digest follows


class Job(Protocol):
    """Its string names it; None as root is this study's own."""

    def target(self, root: Path | None = None) -> Path:
        """Where it is, or will be, recorded."""

    def do(self, root: Path | None = None, pictures: FolderData | None = None) -> str:
        """Train in this process, and say in a line what came; `pictures` are a user's own."""

    def files(self, root: Path) -> list[Path]:
        """Those of its record; ValueError where what names them is damaged."""

    def otherwise(self, root: Path, code: str) -> str:
        """What it was trained with that was not asked for, "" where all was; `code` by SHA-256."""

    def copy(self, root: Path) -> str:
        """Record here what is recorded there, checked; says in a line what came."""


@dataclass(frozen=True)
class RunJob:
    """A run of an experiment."""

    experiment: Experiment
    seed: int
    devices: int = 1  # that share each batch
    pictures_sha256: Mapping[str, str] | None = None  # of a user's own

    def __str__(self):
        return f"{self.experiment.name} seed {self.seed}"

    def target(self, root: Path | None = None) -> Path:
        return runs.folder(self.experiment.name, self.seed, self._of_pictures(root))

    def do(self, root: Path | None = None, pictures: FolderData | None = None) -> str:
        from helpers import training  # loads the backend, which takes seconds

        return self._told(
            training.train(
                self.experiment,
                self.seed,
                self._of_pictures(root),
                pictures=pictures,
                over=self.devices,
            )
        )

    def _of_pictures(self, root):
        """A storage may hold runs on several folders of one name, or on one before it changed."""
        if root is None or self.pictures_sha256 is None:
            return root
        return root / (PICTURES + self.pictures_sha256["images"][:12])

    def files(self, root: Path) -> list[Path]:
        run = runs.Run(self.target(root))
        return [run.folder / name for name in ("run.json", *run.info["files"])]

    def otherwise(self, root: Path, code: str) -> str:
        info = runs.Run(self.target(root)).info
        if self.pictures_sha256 not in (None, info.get("data_sha256")):
            return "other pictures"
        return _otherwise(info, self.experiment.settings, code)

    def copy(self, root: Path) -> str:
        return self._told(runs.write_copy(runs.Run(self.target(root))))

    def _told(self, run):
        scores = run.info["test"]
        return (
            f"{self}: recorded, epoch {run.info['best_epoch']}, "
            f"test accuracy {scores['accuracy']:.4f}, macro F1 {scores['macro_f1']:.4f}"
        )


@dataclass(frozen=True)
class TrialJob:
    """A trial of a search, by its number or name."""

    model: str
    trial: int | str

    def __str__(self):
        return f"{self.model} trial {self.trial}"

    def target(self, root: Path | None = None) -> Path:
        return runs.trial_file(self.model, self.trial, root and root / TRIALS)

    def do(self, root: Path | None = None, pictures: FolderData | None = None) -> str:
        from helpers.training.search import run_trial  # loads the backend, which takes seconds

        return self._told(run_trial(self.model, self.trial, root and root / TRIALS))

    def files(self, root: Path) -> list[Path]:
        return [self.target(root)]

    def otherwise(self, root: Path, code: str) -> str:
        return _otherwise(self._record(root), search.settings(self.model, self.trial), code)

    def copy(self, root: Path) -> str:
        record = self._record(root)
        runs.write_trial(record)
        return self._told(record)

    def _record(self, root):
        return runs.read_trial(self.model, self.trial, root / TRIALS)

    def _told(self, record):
        accuracies = [epoch["val_accuracy"] for epoch in record["history"]]
        result = f"validation accuracy {max(accuracies):.4f}" if accuracies else "diverged"
        return f"{self}: recorded, {result}"


def packed(job: Job, root: Path) -> dict[str, bytes]:
    """A record below a root: the content of each of its files, by its path from there."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in job.files(root)}


def take_in(job: Job, content: Mapping[str, bytes], code: str) -> str:
    """Record here what came back `packed`; says in a line what came.

    Args:
        job: what was to be done.
        content: of the files of its record.
        code: the SHA-256 of the `helpers` that were to do it.

    Raises:
        ValueError: it is damaged, not whole, another job's, or was trained otherwise.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, written in content.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(written)
        try:
            other = job.otherwise(root, code)
            line = "" if other else job.copy(root)
        except (ValueError, FileNotFoundError) as error:
            reason = str(error).rpartition(": ")[0]  # its remedy is for what lies there for good
            raise ValueError(f"what came back is no record ({reason}): train it again") from error
        if other:
            raise ValueError(f"what came back was trained with {other}: train it again")
    runs.resume_file(job.target()).unlink(missing_ok=True)
    return line


def found(root: Path) -> Iterator[tuple[Path, Path]]:
    """All records below a root, damaged ones among them, each with where it would be here."""
    for folder in (root, *sorted(root.glob(f"{PICTURES}*"))):
        for run in runs.found(root=folder):
            place = run.folder.parts[-4:]
            yield run.folder, runs.root_of("/".join(place)).joinpath(*place)
    for path in sorted((root / TRIALS).glob("*/*.json")):
        yield path, config.SEARCH / path.parent.name / path.name


def _otherwise(record, settings, code):
    # A machine whose bfloat16 would be emulated trains in float32.
    asked = (settings, replace(settings, precision="float32"))
    if record["config"] not in [json.loads(json.dumps(asdict(each))) for each in asked]:
        return "another recipe"
    if record.get("backend") != os.environ["KERAS_BACKEND"]:
        return "another backend"
    # Training that goes on with other code says so, and records "one, then another".
    return "" if record.get("code_sha256", "").split(", then ")[-1] == code else "other code"
