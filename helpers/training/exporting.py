"""A recorded run's model as one file, for use without this study's records, and back."""

import json
import zipfile
from pathlib import Path

from helpers import data, files
from helpers.backend import keras
from helpers.records.runs import Run
from helpers.training.recorded import load_model

CLASSES = "classes.json"  # in the file, which is a zip archive; Keras passes over it


def export(run: Run, file: Path) -> str:
    """Write a run's model with its weights and its classes' names as a `.keras` file.

    Returns:
        What the model takes and gives, and what loads it.

    Raises:
        ValueError: the file's name ends otherwise.
        FileNotFoundError: the run keeps no weights.
        OSError: the file cannot be written.
    """
    if file.suffix != ".keras":
        raise ValueError(f"{file}: Keras wants a name that ends in .keras")
    model = load_model(run)
    classes = class_names(run)
    with files.whole(file, 4 * model.count_params()) as beside:
        model.save(beside)
        with zipfile.ZipFile(beside, "a") as archive:
            archive.writestr(CLASSES, json.dumps(classes))
    size = ", ".join(map(str, model.input_shape[1:]))
    release = ".".join(keras.__version__.split(".")[:2])
    return (
        f"{file}: takes pixels of 0 to 255, never scaled, uint8 or float (N, {size}); gives logits "
        f"(N, {len(classes)}), {_listed(classes)}, whose names are in it as {CLASSES}; "
        f"keras.models.load_model reads it after import helpers.models, from Keras {release} on; "
        "helpers.explain.with_float_input(model) has gradients at its pixels"
    )


def load(file: Path) -> tuple[keras.Model, list[str]]:
    """The model of an exported file, and the names of its classes, in the order of its logits.

    Raises:
        ValueError: it is no such file, or one that this Keras cannot read.
        OSError: there is no such file, or it may not be read.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            classes = json.loads(archive.read(CLASSES))
        return keras.models.load_model(file, compile=False), classes
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{file} is no model that this study exported, or was exported by a newer Keras: "
            "python -m helpers export NAME FILE.keras writes one"
        ) from error


def class_names(run: Run) -> list[str]:
    """The names of a run's classes, in the order of its logits."""
    if "classes" in run.info:  # a user's own
        return list(run.info["classes"])
    is_cifar10 = data.VARIANTS[run.info["data"]].source == "cifar10"
    return list(data.CIFAR10_CLASSES if is_cifar10 else data.CIFAR100_CLASSES)


def _listed(classes):
    return ", ".join(classes if len(classes) <= 10 else (*classes[:2], "...", classes[-1]))
