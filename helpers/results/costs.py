"""What training costs, in operations and seconds; knows nothing of Keras."""

from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import config, data
from helpers.records import runs
from helpers.results import plots


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


def table(pattern: str = "cifar10/*/short", root: Path | None = None) -> pd.DataFrame:
    """What experiments cost, a row each, the least training first.

    From the records: `model` (display name), `recipe`, `seeds`, `parameters` (trainable), `macs` of
    an image, `epochs` (mean over seeds) and `PFLOP` of training one seed (likewise).

    From the benchmark (`figures/bench.md` names its machine, which did nothing else), in float32,
    for the models it measures: `training images/s`, `prediction images/s`, `latency, ms` of one
    image and `memory, MB` at the peak of training; `minutes` are what training one seed takes at
    that rate. The seconds in records are not used: many runs shared their machine. What is not
    measured is NaN.
    """
    measured = _benchmark()
    rows = []
    for name, group in groupby(runs.recorded(pattern, root), key=lambda run: run.name):
        group = list(group)
        first, model = group[0].info, group[0].info["model"]
        epochs = np.mean([run.info["epochs_run"] for run in group])
        images = data.training_images(first["data"]) * epochs
        rate = measured.get(("training step", model), np.nan)
        rows.append(
            {
                "experiment": name,
                "model": plots.label(model),
                "recipe": first["recipe"],
                "seeds": len(group),
                "parameters": first["parameters"],
                "macs": first["macs"],
                "epochs": epochs,
                "PFLOP": training_flops(first["macs"], images) / 1e15,
                "training images/s": rate,
                "minutes": images / rate / 60,
                "prediction images/s": measured.get(("prediction", model), np.nan),
                "latency, ms": measured.get(("latency of one image", model), np.nan),
                "memory, MB": measured.get(("peak memory of training", model), np.nan),
            }
        )
    rows.sort(key=lambda row: row["PFLOP"])
    names = [row.pop("experiment") for row in rows]
    return pd.DataFrame(rows, index=pd.Index(names, name="experiment"))


def _benchmark() -> dict[tuple[str, str], float]:
    """What the benchmark measured of ours, by measure and model; empty where it was not run."""
    path = config.FIGURES / "bench.csv"
    if not path.exists():
        return {}
    frame = pd.read_csv(path)
    measures = frame["measure"].str.split(", ", n=1)
    return {
        (parts[0], parts[1]): value
        for parts, value in zip(measures, frame["ours"], strict=True)
        if len(parts) == 2
    }
