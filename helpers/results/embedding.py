"""The test images in two dimensions by a model's last features, as computed once by a command.

`python -m helpers embedding` computes it (`helpers.explain.embedding`).
"""

from pathlib import Path

import pandas as pd

from helpers import config


def file() -> Path:
    """Where the table is kept, its digests of weights beside it."""
    return config.FIGURES / "07_comparison" / "embedding.csv"


def table() -> pd.DataFrame:
    """A row an experiment and image.

    Columns: `experiment`, `model`, `recipe`, `image` (position in the test set), `label` (true
    class number), `correct`, and the place `x`, `y`.

    Raises:
        FileNotFoundError: it is not there; the text says how to compute it.
    """
    if not file().exists():
        raise FileNotFoundError(f"{file()} is missing: run python -m helpers embedding")
    return pd.read_csv(file())
