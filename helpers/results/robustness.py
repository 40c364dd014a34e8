"""Accuracy under corruptions of the test images, as `helpers.explain.robustness` computed it.

The command is `python -m helpers robustness`. Each row is one trained model, seed 0 of its recipe:
with 2,000 images, differences of less than about three points say nothing, nor do they speak of
other seeds.
"""

from pathlib import Path

import pandas as pd

from helpers import config

CLEAN = "none"  # in the column of corruptions, with severity 0


def file() -> Path:
    """Where the table is kept, its digests of weights beside it."""
    return config.FIGURES / "07_comparison" / "robustness.csv"


def table() -> pd.DataFrame:
    """A row an experiment, corruption and severity, as computed.

    Columns: `experiment`, `model`, `recipe`, `corruption` (`CLEAN` first), `severity` (1 to 5, 0
    of the clean images), `images`, `accuracy`, and `relative`, accuracy by clean accuracy.

    Raises:
        FileNotFoundError: it is not there; the text says how to compute it.
    """
    if not file().exists():
        raise FileNotFoundError(f"{file()} is missing: run python -m helpers robustness")
    # "none" is a word here, no missing value.
    return pd.read_csv(file(), keep_default_na=False)


def by_corruption(frame: pd.DataFrame, score: str = "relative") -> pd.DataFrame:
    """A row an experiment: clean `accuracy`, then the mean of a score over severities.

    A column a corruption, then `mean`, that over all corruptions; `score` is `relative` or
    `accuracy`. Rows are in the frame's order.
    """
    corrupted = frame[frame["corruption"] != CLEAN]
    names = list(dict.fromkeys(corrupted["corruption"]))
    means = corrupted.pivot_table(index="experiment", columns="corruption", values=score)[names]
    clean = frame[frame["corruption"] == CLEAN].set_index("experiment")["accuracy"]
    summary = means.assign(mean=means.mean(axis=1)).rename_axis(columns=None)
    summary.insert(0, "clean accuracy", clean)
    return summary.loc[list(dict.fromkeys(frame["experiment"]))]
