"""Recorded runs, one folder each; the only module that knows where their files are.

`<root>/<data>/<model>/<recipe>/seed<k>/` holds

`run.json`           what was trained, how, on what, its scores, and `files`: the SHA-256 of each
                     of the others, which is checked when a file is first opened
`history.csv`        a row an epoch
`predictions.npz`    `test_logits` float16 in the test set's order; `val_logits`, `val_index`;
                     `test_tta_logits` and `val_tta_logits` where views were averaged, too;
                     `test_labels` and `val_labels` of users' own pictures
`model.weights.h5`   the chosen weights, of the runs that `kept.KEPT` names

Runs on users' own pictures, `own-<name>/...`, have `figures/own/<name>/runs` as their root.

A trial of the search for a recipe is one file, `<search>/<model>/trial<k>.json`, without weights,
predictions or anything of the test set.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from helpers import config, files
from helpers.data.folders import OWN
from helpers.experiments import recipes
from helpers.records import contents, digests, kept

HISTORY, PREDICTIONS, WEIGHTS = "history.csv", "predictions.npz", "model.weights.h5"
_TRIAL_REMEDY = "restore it, or delete it and search again"


class UnderWay(RuntimeError):
    """Another process is training what is to be recorded."""


@dataclass(frozen=True)
class Run:
    """A recorded run, its files read and checked when first asked for.

    Whatever is wrong with one is a ValueError, or FileNotFoundError, of one line: it names the
    file and what to do.
    """

    folder: Path

    @cached_property
    def info(self) -> dict:
        """Everything in `run.json`."""
        info = contents.run_json(self.folder, self.remedy)
        if not isinstance(info.get("files"), dict):
            raise ValueError(
                f"{self.folder / 'run.json'} has no digests of its run's files: if they are as "
                f"they were recorded, python -m helpers vouch {self.folder.parents[3]}"
            )
        return info

    @property
    def config(self) -> dict:
        """The recipe's settings, those that came after the record as defaults."""
        return recipes.with_defaults(self.info["config"])

    @property
    def name(self) -> str:
        """`<data>/<model>/<recipe>`."""
        return f"{self.info['data']}/{self.info['model']}/{self.info['recipe']}"

    @property
    def seed(self) -> int:
        return self.info["seed"]

    @cached_property
    def history(self) -> pd.DataFrame:
        """A row an epoch."""
        return contents.history(self._vouched(HISTORY), self.info["epochs_run"], self.remedy)

    @cached_property
    def _predictions(self) -> dict[str, np.ndarray]:
        return contents.predictions(self._vouched(PREDICTIONS), self.remedy)

    def _logits(self, key):
        return self._predictions[key].astype(np.float32)

    @property
    def test_logits(self) -> np.ndarray:
        """(10000, C) float32, in the test set's order."""
        return self._logits("test_logits")

    @property
    def val_logits(self) -> np.ndarray:
        """(V, C) float32, of the images at `val_index` in the training set."""
        return self._logits("val_logits")

    @property
    def test_tta_logits(self) -> np.ndarray:
        """As `test_logits`, views of each image averaged; KeyError where a run has none."""
        return self._logits("test_tta_logits")

    @property
    def val_tta_logits(self) -> np.ndarray:
        """As `val_logits`, views of each image averaged; KeyError where a run has none."""
        return self._logits("val_tta_logits")

    @property
    def val_index(self) -> np.ndarray:
        return self._predictions["val_index"]

    @property
    def test_labels(self) -> np.ndarray:
        """(N,) ints of a user's own pictures, in the order of `test_logits`; else KeyError."""
        return self._predictions["test_labels"].astype(np.int64)

    @property
    def val_labels(self) -> np.ndarray:
        """As `test_labels`, of validation."""
        return self._predictions["val_labels"].astype(np.int64)

    @property
    def remedy(self) -> str:
        """What to do if one of its files is not what it should be."""
        return f"restore it, or delete {self.folder} and train again"

    @property
    def weights(self) -> Path | None:
        """The file of the chosen weights, or None where they are not kept."""
        path = self.folder / WEIGHTS
        if WEIGHTS in self.info["files"]:
            return self._vouched(WEIGHTS)
        if path.exists():
            raise ValueError(f"{path} is unknown to the run.json beside it: delete it")
        return None

    def require_weights(self) -> Path:
        """As `weights`; FileNotFoundError where they are not kept."""
        if self.weights is None:
            raise FileNotFoundError(
                f"{self.name} seed {self.seed} keeps no weights: use a run whose weights are kept, "
                f"or add it to KEPT in {kept.__name__}, delete {self.folder} and train it again"
            )
        return self.weights

    def check(self) -> None:
        """Refuse the run if any of its files is damaged, whether it will be opened or not."""
        _ = self.info, self.history, self._predictions, self.weights

    def _vouched(self, name):
        """The path of one of the files, the very one that was recorded."""
        path = self.folder / name
        digests.check(path, self.info["files"].get(name), self.remedy)
        return path


def folder(name: str, seed: int, root: Path | None = None) -> Path:
    """Where the run of an experiment with a seed is, or will be, recorded."""
    return (root or root_of(name)) / name / f"seed{seed}"


def root_of(name: str) -> Path:
    """The folder of all runs that an experiment's are among: a user's own data have theirs."""
    if not name.startswith(OWN):
        return config.RUNS
    return config.OWN / name.partition("/")[0].removeprefix(OWN) / "runs"


def resume_file(target: Path) -> Path:
    """What training that will be recorded at `target` goes on from."""
    return target.with_suffix(".resume.npz")


def is_recorded(target: Path) -> bool:
    """Whether there is a record at `target`, of a run or a trial.

    If so, it removes what a kill in the last instant left to go on from: otherwise a training
    after the record was deleted would be none, and give the old result.

    Raises:
        ValueError: what is recorded there is damaged, or incomplete.
    """
    if not target.exists():
        return False
    if target.is_dir():
        Run(target).check()
    else:
        contents.trial_json(target, _TRIAL_REMEDY)
    resume_file(target).unlink(missing_ok=True)
    return True


@contextmanager
def locked(target: Path):
    """While it lasts, no other process trains what is, or will be, recorded at `target`.

    Raises:
        UnderWay: another process is training it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(target.with_suffix(".lock")).acquire(blocking=False):
            yield
    except Timeout:
        raise UnderWay(
            f"another process is training what {target} will record: wait for it, or stop it"
        ) from None


@contextmanager
def sole_writer(target: Path):
    """As `locked`, to record it.

    Raises:
        FileExistsError: it is recorded already.
        UnderWay: another process is training it.
        ValueError: a damaged run lies there.
    """
    with locked(target):
        if is_recorded(target):
            raise FileExistsError(f"{target} is recorded already: delete it to train it anew")
        for path in (target, resume_file(target)):  # what a kill has left
            files.remove(files.unfinished(path))
        yield


def write(
    info: Mapping,
    history: pd.DataFrame,
    predictions: Mapping[str, np.ndarray],
    save_weights: Callable[[Path], None],
    root: Path | None = None,
) -> Run:
    """Record a run: all files are written beside its folder, which then gets its name.

    Args:
        info: the content of `run.json`, without the digests of the other files.
        history: a row an epoch.
        predictions: `test_logits`, `val_logits`, `val_index`, and what else the run has.
        save_weights: called with the path to write to, if weights of this run are kept.
        root: of all runs (default: `figures/runs`).

    Raises:
        FileExistsError: the run is recorded already.
    """
    name = f"{info['data']}/{info['model']}/{info['recipe']}"
    target = folder(name, info["seed"], root)
    if target.exists():
        raise FileExistsError(f"{target} is recorded already: delete it to record it anew")
    room = 4 * info["parameters"] + sum(array.nbytes for array in predictions.values())
    with files.whole(target, room) as beside:
        beside.mkdir()
        history.to_csv(beside / HISTORY, index=False, lineterminator="\n")
        np.savez_compressed(beside / PREDICTIONS, **predictions)
        if kept.keeps_weights(info):
            save_weights(beside / WEIGHTS)
        write_info(beside, info)
    return Run(target)


def write_copy(found: Run, root: Path | None = None) -> Run:
    """Record a run that was recorded elsewhere: its files are checked, then written as by `write`.

    Raises:
        FileExistsError: the run is recorded already.
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, or the run is another one than its folder says.
    """
    found.check()
    target = folder(found.name, found.seed, root)
    if target.exists():
        raise FileExistsError(f"{target} is recorded already: delete it to record it anew")
    names = ["run.json", *found.info["files"]]
    with files.whole(target, sum((found.folder / name).stat().st_size for name in names)) as beside:
        beside.mkdir()
        for name in names:
            shutil.copyfile(found.folder / name, beside / name)
    return Run(target)


def write_info(path: Path, info: Mapping) -> None:
    """Write `run.json` into the folder of a run, with the digests of its other files."""
    names = [HISTORY, PREDICTIONS]
    if kept.keeps_weights(info) and (path / WEIGHTS).exists():
        names.append(WEIGHTS)
    info = {**info, "files": {name: digests.of(path / name) for name in names}}
    text = json.dumps(info, indent=2) + "\n"
    with files.whole(path / "run.json", len(text)) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")


def read(name: str, seed: int = 0, root: Path | None = None) -> Run:
    """One recorded run.

    Raises:
        FileNotFoundError: it is not recorded; the text says how to.
        ValueError: it is damaged, incomplete or another run.
    """
    path = folder(name, seed, root)
    if not path.exists() and name.startswith(OWN):
        raise FileNotFoundError(
            f"{name} with seed {seed} is not recorded: python -m helpers study FOLDER "
            f"--seeds {seed}"
        )
    if not path.exists():
        raise FileNotFoundError(
            f"{name} with seed {seed} is not recorded: python -m helpers train {name} "
            f"--seeds {seed}"
        )
    run = Run(path)
    _ = run.info
    return run


def recorded(pattern: str = "*", root: Path | None = None) -> list[Run]:
    """All recorded runs whose experiment's name fits a shell pattern, sorted by name and seed.

    Raises:
        ValueError: one of them is damaged, incomplete or another run.
    """
    return sorted(found(pattern, root), key=lambda run: (run.name, run.seed))


def found(pattern: str = "*", root: Path | None = None) -> list[Run]:
    """As `recorded`, by the names of the folders alone: damaged and incomplete runs among them.

    Those of users' own pictures are found by patterns that begin with `own-`.
    """
    if root is None and pattern.startswith(OWN):
        roots = sorted(config.OWN.glob("*/runs"))
    else:
        roots = [root or config.RUNS]
    folders = [
        path
        for path in (path for folder in roots for path in folder.glob("*/*/*/*"))
        # Not what is being written, nor what an editor or a file manager hides there.
        if path.is_dir() and path.suffix != ".writing" and not path.name.startswith(".")
    ]
    folders.sort(key=lambda path: (path.parent, len(path.name), path.name))  # seed 10 after 9
    return [Run(path) for path in folders if fnmatch("/".join(path.parts[-4:-1]), pattern)]


def trial_file(model: str, trial: int | str, root: Path | None = None) -> Path:
    """Where a trial of a search is, or will be, recorded (default root: `figures/search`)."""
    return (root or config.SEARCH) / model / contents.trial_file_name(trial)


def read_trial(model: str, trial: int | str, root: Path | None = None) -> dict:
    """One recorded trial; ValueError if it is damaged, or another."""
    return contents.trial_json(trial_file(model, trial, root), _TRIAL_REMEDY)


def write_trial(record: Mapping, root: Path | None = None) -> None:
    """Record a trial: a mapping with its `model` and `trial`, its `config` and its `history`."""
    path = trial_file(record["model"], record["trial"], root)
    text = json.dumps(record, indent=2) + "\n"
    with files.whole(path, len(text)) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")


def trials(root: Path | None = None) -> list[dict]:
    """All recorded trials that have numbers, sorted by model and number."""
    return _trials("*/trial*[0-9].json", root)


def search_trials(root: Path | None = None) -> list[dict]:
    """All recorded trials of the search in rungs, which have names, sorted by model and name."""
    return _trials("*/*_*[0-9].json", root)


def _trials(pattern, root):
    paths = (root or config.SEARCH).glob(pattern)
    return sorted(
        (contents.trial_json(path, _TRIAL_REMEDY) for path in paths),
        key=lambda record: (record["model"], record["trial"]),
    )
