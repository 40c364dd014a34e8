"""Recorded runs, one folder each; the only module that knows their files.

`<root>/<data>/<model>/<recipe>/seed<k>/` holds

`run.json`           what was trained, how, on what, and its scores
`history.csv`        a row an epoch
`predictions.npz`    `test_logits` float16 in the test set's order; `val_logits`, `val_index`;
                     `test_tta_logits` and `val_tta_logits` where views were averaged, too
`model.weights.h5`   the chosen weights, where they are small enough to keep

A trial of the search for a recipe is one file, `<search>/<model>/trial<k>.json`, without weights,
predictions or anything of the test set.
"""

import json
import os
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
from helpers.experiments import recipes

WEIGHTS_LIMIT = 16 * 2**20  # bytes
SEEDS_WITH_WEIGHTS = (0, 1)


@dataclass(frozen=True)
class Run:
    """A recorded run, its files read when first asked for."""

    folder: Path

    @cached_property
    def info(self) -> dict:
        """Everything in `run.json`; ValueError if it is damaged, as of the other files."""
        return _json(self.folder / "run.json", self._remedy)

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
        return pd.read_csv(self.folder / "history.csv")

    @cached_property
    def _predictions(self) -> dict[str, np.ndarray]:
        return files.arrays(self.folder / "predictions.npz", self._remedy)

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
    def _remedy(self):
        return f"restore it, or delete {self.folder} and train again"

    @property
    def weights(self) -> Path | None:
        """The file of the chosen weights, or None where they were too large to keep."""
        path = self.folder / "model.weights.h5"
        return path if path.exists() else None


def folder(name: str, seed: int, root: Path | None = None) -> Path:
    """Where the run of an experiment with a seed is, or will be, recorded."""
    return (root or config.RUNS) / name / f"seed{seed}"


def resume_file(target: Path) -> Path:
    """What training that will be recorded at `target` goes on from."""
    return target.with_suffix(".resume.npz")


@contextmanager
def sole_writer(target: Path):
    """While it lasts, no other process trains what will be recorded at `target`.

    Raises:
        FileExistsError: it is recorded already.
        RuntimeError: another process is training it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(target.with_suffix(".lock")).acquire(blocking=False):
            if target.exists():
                raise FileExistsError(f"{target} is recorded already: delete it to train it anew")
            yield
    except Timeout:
        raise RuntimeError(
            f"another process is training what {target} will record: wait for it, or stop it"
        ) from None


def write(
    info: Mapping,
    history: pd.DataFrame,
    predictions: Mapping[str, np.ndarray],
    save_weights: Callable[[Path], None],
    root: Path | None = None,
) -> Run:
    """Record a run: all files are written beside its folder, which then gets its name.

    Args:
        info: the content of `run.json`.
        history: a row an epoch.
        predictions: `test_logits`, `val_logits`, `val_index`, and what else the run has.
        save_weights: called with the path to write to; large weights are dropped again.
        root: of all runs (default: `figures/runs`).

    Raises:
        FileExistsError: the run is recorded already.
    """
    name = f"{info['data']}/{info['model']}/{info['recipe']}"
    target = folder(name, info["seed"], root)
    if target.exists():
        raise FileExistsError(f"{target} is recorded already: delete it to record it anew")
    beside = target.with_name(target.name + ".writing")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    (beside / "run.json").write_text(json.dumps(info, indent=2) + "\n")
    history.to_csv(beside / "history.csv", index=False, lineterminator="\n")
    np.savez_compressed(beside / "predictions.npz", **predictions)
    if info["seed"] in SEEDS_WITH_WEIGHTS:
        weights = beside / "model.weights.h5"
        save_weights(weights)
        if weights.stat().st_size > WEIGHTS_LIMIT:
            weights.unlink()
    os.replace(beside, target)
    return Run(target)


def read(name: str, seed: int = 0, root: Path | None = None) -> Run:
    """One recorded run.

    Raises:
        FileNotFoundError: it is not recorded; the text says how to.
    """
    path = folder(name, seed, root)
    if not (path / "run.json").exists():
        raise FileNotFoundError(
            f"{name} with seed {seed} is not recorded: python -m helpers train {name} "
            f"--seeds {seed}"
        )
    return Run(path)


def recorded(pattern: str = "*", root: Path | None = None) -> list[Run]:
    """All recorded runs whose experiment's name fits a shell pattern, sorted by name and seed."""
    # Not "seed*": a record that is being written has a name that ends in letters.
    found = [Run(path.parent) for path in (root or config.RUNS).glob("*/*/*/seed*[0-9]/run.json")]
    return sorted(
        (run for run in found if fnmatch(run.name, pattern)), key=lambda run: (run.name, run.seed)
    )


def trial_file(model: str, trial: int, root: Path | None = None) -> Path:
    """Where a trial of the search is, or will be, recorded (default root: `figures/search`)."""
    return (root or config.SEARCH) / model / f"trial{trial}.json"


def write_trial(record: Mapping, root: Path | None = None) -> None:
    """Record a trial: a mapping with its `model` and `trial`, its `config` and its `history`."""
    path = trial_file(record["model"], record["trial"], root)
    beside = path.with_suffix(".writing")
    beside.write_text(json.dumps(record, indent=2) + "\n")
    os.replace(beside, path)


def trials(root: Path | None = None) -> list[dict]:
    """All recorded trials, sorted by model and number."""
    found = (root or config.SEARCH).glob("*/trial*[0-9].json")
    return sorted(
        (_json(path, "restore it, or delete it and search again") for path in found),
        key=lambda record: (record["model"], record["trial"]),
    )


def _json(path, remedy):
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): {remedy}") from error
