"""What training costs, in operations and seconds; knows nothing of Keras."""

import pandas as pd

from helpers import data
from helpers.records import runs


def training_flops(macs: int, images: int) -> int:
    """Operations to train on so many images, each as often as it comes.

    A step costs three times its forward pass, a MAC two operations.
    """
    return 6 * macs * images


def by_epoch(run: runs.Run) -> pd.DataFrame:
    """What a run had cost after each epoch, and where it then was.

    Columns: `epoch`, `val_accuracy`, `training_flops` and `minutes` of training.
    """
    images = data.training_images(run.info["data"]) * run.history["epoch"]
    return pd.DataFrame(
        {
            "epoch": run.history["epoch"],
            "val_accuracy": run.history["val_accuracy"],
            "training_flops": training_flops(run.info["macs"], images),
            "minutes": run.history["seconds"].cumsum() / 60,
        }
    )
