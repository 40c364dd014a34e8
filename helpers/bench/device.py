"""How fast this machine's device trains the study's models, on the backend at hand.

For a GPU above all: `python -m helpers bench --device`, once with `KERAS_BACKEND=jax` and once with
each other backend. No peer, so no ratio but that to a matrix product on the same device.
"""

import time
from dataclasses import replace

import numpy as np
import pandas as pd

from helpers import data, experiments, models, training
from helpers.backend import keras
from helpers.results import costs

EXPERIMENTS = (
    "cifar10/cnn_baseline/short",
    "cifar10/resnet20/short",
    "cifar10/vit/short",
    "cifar10/hybrid_token/short",
    "cifar10/cct/short",
    "cifar10/fast_cnn/fast_11",
    "cifar10/hybrid_dual/published",
    "cifar10/resnet18/published",
)
EPOCHS = 3  # the first compiles and is left out
COPIES = 8  # of the sample: 14,400 training images
SIDE = 4096  # rows and columns of the matrix product
PRODUCTS = 10


def table(names=EXPERIMENTS, copies: int = COPIES, side: int = SIDE) -> pd.DataFrame:
    """A row an experiment, in its own precision, batches and augmentation; of the fastest epoch.

    Columns: `experiment`, `precision`; `start, s`, what training takes beside its steps, most of it
    compilation; `ms a step`; `a run, s`, start and all epochs of all images, extrapolated, without
    the later epochs' validation; `images/s`; `TFLOP/s`, by six times the MACs; `of a product`, that
    rate by the one of a matrix product in the same precision.

    Args:
        names: of experiments on CIFAR-10.
        copies: of the sample that an epoch trains on.
        side: of the square matrices.
    """
    sample = data.load_sample()
    many = replace(
        sample,
        x_train=np.tile(sample.x_train, (copies, 1, 1, 1)),
        y_train=np.tile(sample.y_train, copies),
    )
    split = data.prepare("cifar10", 0, many)
    products, rows = {}, []
    for name in names:
        experiment = experiments.EXPERIMENTS[name]
        settings = replace(experiment.settings, epochs=EPOCHS, warmup_epochs=0)
        model = training.new_model(experiment, 0)
        macs = models.macs(model)
        started = time.perf_counter()
        history = training.fit(model, settings, split, 0, name).history
        seconds = history["seconds"].iloc[1:].min()
        start = time.perf_counter() - started - EPOCHS * seconds
        trained = len(split.train_index)
        epochs = experiment.settings.epochs * data.training_images(experiment.data) / trained
        rate = costs.training_flops(macs, trained) / seconds / 1e12
        if settings.precision not in products:
            products[settings.precision] = _product(settings.precision, side)
        rows.append(
            {
                "experiment": name,
                "precision": settings.precision,
                "start, s": start,
                "ms a step": 1000 * seconds / -(-trained // settings.batch_size),
                "a run, s": start + epochs * seconds,
                "images/s": trained / seconds,
                "TFLOP/s": rate,
                "of a product": rate / products[settings.precision],
            }
        )
    return pd.DataFrame(rows).set_index("experiment")


def _product(precision, side):
    """TFLOP/s of a product of square matrices; the fastest counts, as the first one compiles."""
    kind = "bfloat16" if "bfloat16" in precision else "float32"
    matrix = keras.ops.ones((side, side), dtype=kind)
    best = np.inf
    for _ in range(PRODUCTS):
        start = time.perf_counter()
        # The read-out waits for the device.
        keras.ops.convert_to_numpy(keras.ops.matmul(matrix, matrix)[:1, :1])
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best / 1e12
