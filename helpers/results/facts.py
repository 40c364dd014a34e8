"""What prose may cite: numbers of recorded runs and of the tables in `figures`, by name.

Every function here is a word of the expressions that `helpers.results.prose` evaluates.  Shares
are percentages; an experiment's value is the mean over its recorded seeds, unless one is named.
"""

from collections.abc import Iterable
from functools import cache

import numpy as np
import pandas as pd

from helpers import config, data
from helpers.records import runs
from helpers.results import costs, metrics, questions


def accuracy(name: str, seed: int | None = None) -> float:
    """Test accuracy in percent."""
    return score(name, "accuracy", seed)


def score(name: str, key: str, seed: int | None = None, part: str = "test") -> float:
    """A score of `run.json` in percent: `macro_f1`, say; `part` may be `validation`."""
    return float(np.mean([100 * run.info[part][key] for run in _runs(name, seed)]))


def lowest(pattern: str, key: str) -> float:
    """The lowest of a score in percent, over all runs whose experiment's name fits a pattern."""
    return min(100 * run.info["test"][key] for run in runs.recorded(pattern))


def sd(name: str, key: str = "accuracy", part: str = "test") -> float:
    """Standard deviation of a score over seeds, in points."""
    return float(np.std([100 * run.info[part][key] for run in _runs(name)], ddof=1))


def seeds(name: str) -> int:
    """How many seeds of an experiment are recorded."""
    return len(_runs(name))


def recall(name: str, *classes: str, seed: int | None = None) -> float:
    """Mean recall of the classes in percent, on the test set; CIFAR-10 only."""
    labels = data.official_labels()[1]
    chosen = [data.CIFAR10_CLASSES.index(name) for name in classes]
    return float(
        np.mean(
            [
                100 * np.mean(run.test_logits.argmax(axis=1)[labels == label] == label)
                for run in _runs(name, seed)
                for label in chosen
            ]
        )
    )


def tta(name: str) -> float:
    """Test accuracy in percent with the views of each image averaged."""
    return score(name, "accuracy", part="test_tta")


def parameters(name: str) -> float:
    """Trainable parameters in millions."""
    return _runs(name)[0].info["parameters"] / 1e6


def macs(name: str) -> float:
    """Multiply-accumulate operations per image, in millions."""
    return _runs(name)[0].info["macs"] / 1e6


def epochs(name: str) -> float:
    """Epochs that ran."""
    return float(np.mean([run.info["epochs_run"] for run in _runs(name)]))


def pflop(name: str) -> float:
    """Operations of a whole training, in 10^15."""
    run = _runs(name)[0]
    images = data.training_images(run.info["data"]) * run.info["epochs_run"]
    return costs.training_flops(run.info["macs"], images) / 1e15


def minutes(name: str, seed: int = 0) -> float:
    """Minutes that a run trained, on the machine that its record names."""
    return _runs(name, seed)[0].info["seconds_training"] / 60


def confidence(name: str) -> float:
    """Mean confidence minus accuracy on the test set, in points: above 0 is too sure."""
    return float(
        np.mean(
            [
                100 * metrics.softmax(run.test_logits).max(axis=1).mean()
                - 100 * run.info["test"]["accuracy"]
                for run in _runs(name)
            ]
        )
    )


def recorded(pattern: str = "*") -> int:
    """How many runs are recorded whose experiment's name fits a shell pattern."""
    return len(runs.recorded(pattern))


def verdict(question: str, test: str) -> str:
    """What a tested question's answer is, in the words of `questions.answer`."""
    return tested(question, test, "verdict")


def tested(question: str, test: str, column: str) -> float | str:
    """A number of a tested question: `difference`, `low`, `high`, `first`, ... of its `answer`."""
    frame = _answers()
    return frame.loc[(frame["question"] == question) & (frame["test"] == test), column].item()


def cell(table: str, column: str, **where: object) -> float:
    """A number of a table in `figures`: that column of the one row that fits.

    `cell("04_hybrid/ablation_hybrid_dual", "accuracy", variant="both branches")`.

    Raises:
        ValueError: no such table or column, or not exactly one row.
    """
    frame = _table(table)
    unknown = {column, *where} - set(frame.columns)
    if unknown:
        raise ValueError(
            f"{table} has no columns {sorted(unknown)}: choose from {', '.join(frame.columns)}"
        )
    for key, value in where.items():
        frame = frame[frame[key].astype(str) == str(value)]
    if len(frame) != 1:
        raise ValueError(f"{len(frame)} rows of {table} fit {where}: name exactly one")
    return frame[column].iloc[0]


@cache
def _answers():
    return questions.answer()


@cache
def _table(name):
    path = config.FIGURES / f"{name}.csv"
    if not path.exists():
        raise ValueError(f"{path} is not there: execute the notebook or command that writes it")
    return pd.read_csv(path)


def _runs(name, seed=None) -> list[runs.Run]:
    if seed is not None:
        return [_run(name, seed)]
    found = _all_seeds(name)
    if not found:
        raise ValueError(f"{name} is not recorded: python -m helpers train {name}")
    return list(found)


@cache
def _run(name, seed):
    return runs.read(name, seed)


@cache
def _all_seeds(name) -> Iterable[runs.Run]:
    return tuple(run for run in runs.recorded(name) if run.name == name)


NAMES = {
    function.__name__: function
    for function in (
        accuracy,
        cell,
        confidence,
        epochs,
        lowest,
        macs,
        minutes,
        parameters,
        pflop,
        recall,
        recorded,
        score,
        sd,
        seeds,
        tested,
        tta,
        verdict,
    )
}
