"""The study in small: a model of 2,000 weights, a few images and two epochs; what tests share."""

from contextlib import contextmanager

import numpy as np

from helpers import config, data, experiments, models
from helpers.backend import keras
from helpers.data import splits
from helpers.data.augmentation import Augmentation
from helpers.experiments import Experiment, table
from helpers.experiments.recipes import Recipe
from helpers.records import kept
from helpers.training import resume

# What `run.json` holds, whoever wrote it.
RECORD_KEYS = [
    "data",
    "model",
    "recipe",
    "seed",
    "backend",
    "config",
    "parameters",
    "macs",
    "epochs_run",
    "best_epoch",
    "seconds_training",
    "images_per_second",
    "versions",
    "hardware",
    "data_sha256",
    "code_version",
    "code_sha256",
    "onednn",
    "arithmetic",
    "alone",
    "validation",
    "test",
]
LATER_KEYS = {"code_sha256", "onednn", "arithmetic", "alone"}  # which older records lack

RECIPE = Recipe(
    epochs=4,
    batch_size=64,
    weight_decay=0.05,
    learning_rate=1e-2,
    warmup_epochs=1,
    schedule="cosine",
    augmentation=Augmentation(flip=True, crop=4),
)
EXPERIMENT = Experiment("cifar10", "tiny", "fast", Recipe(epochs=2, augmentation=Augmentation()))


def model(classes: int = 10, name: str = "tiny") -> keras.Model:
    """A model with everything that resuming must take care of: weights, statistics, dropout."""
    layers = keras.layers
    inputs = keras.Input((32, 32, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.AveragePooling2D(8)(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.2)(x)
    x = layers.Dense(32, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.5)(x)
    return keras.Model(inputs, layers.Dense(classes)(x), name=name)


def new_model(name: str = "tiny") -> keras.Model:
    keras.utils.set_random_seed(0)
    return model(name=name)


def dataset() -> data.Data:
    """A data set of 300 training and 100 test images, made from the sample."""
    sample = data.load_sample()
    train, test = slice(300), slice(100)
    return data.Data(
        name="cifar10",
        x_train=sample.x_train[train],
        y_train=sample.y_train[train],
        x_test=sample.x_test[test],
        y_test=sample.y_test[test],
        classes=sample.classes,
        sha256={"x_train": "of the tiny data set"},
        train_index=np.arange(300),
        test_index=np.arange(100),
    )


def split() -> data.Split:
    return data.prepare("cifar10", 0, dataset())


@contextmanager
def interrupted_after_each_epoch(patch):
    """While it lasts, training is interrupted (Ctrl-C) as soon as it has saved an epoch."""
    save = resume.Keeper._save

    def interrupted(self):
        save(self)
        raise KeyboardInterrupt

    with patch.context() as inner:
        inner.setattr(resume.Keeper, "_save", interrupted)
        yield


def use(patch, root) -> None:
    """Make the tiny experiment the only one, its data the whole data set, `root` its records."""
    for room in (data, splits):
        patch.setattr(room, "load", lambda name="cifar10", allow_sample=False: dataset())
    patch.setattr(config, "RUNS", root)
    patch.setattr(config, "OWN", root / "none")  # not those that notebook 8 has left
    patch.setitem(models.BUILDERS, "tiny", model)
    for room in (experiments, table):
        patch.setattr(room, "EXPERIMENTS", {EXPERIMENT.name: EXPERIMENT})
    patch.setitem(kept.KEPT, EXPERIMENT.name, (0,))
