"""Experiments on a user's own pictures, which no table can list: their recipe and their names."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from helpers.data import FolderData, report
from helpers.data.folders import SHARE
from helpers.experiments import recipes
from helpers.experiments.recipe import Recipe
from helpers.experiments.table import Experiment

SEEN = 600_000  # images that training goes through, within these numbers of epochs
EPOCHS = (30, 300)
STEPS = 8  # an epoch has at least so many, within these sizes of a batch
BATCH = (32, 128)
SIZE = 32  # pixels, of names that don't say it
WHEN = ("where uneven", "always", "never")  # classes are weighted, beside not
WEIGHTED = {(True, "where uneven"), (True, "always"), (False, "always")}


def recipe(
    images: int,
    epochs: int | None = None,
    size: int = SIZE,
    is_uneven: bool = False,
    is_weighted: bool = False,
) -> Recipe:
    """`short`, with more epochs and smaller batches the fewer images there are.

    Args:
        images: that are trained on, about.
        epochs: instead of those that follow from the images.
        size: side of the images in pixels.
        is_uneven: whether the best epoch is that of the highest macro recall.
        is_weighted: whether the loss weighs classes by their rarity.
    """
    if images < 1 or (epochs is not None and epochs < 1):
        raise ValueError(f"{images} images and {epochs} epochs: training takes one or more of each")
    if epochs is None:
        epochs = min(max(round(SEEN / images), EPOCHS[0]), EPOCHS[1])
    batch = BATCH[0]
    while batch < BATCH[1] and images // (2 * batch) >= STEPS:
        batch *= 2
    changes = {"model_options": (("size", size),)} if size != SIZE else {}
    changes |= recipes.BY_RECALL if is_uneven else {}
    changes |= recipes.WEIGHTED if is_weighted else {}
    warmup = min(recipes.SHORT.warmup_epochs, epochs // 3)
    return replace(recipes.SHORT, epochs=epochs, batch_size=batch, warmup_epochs=warmup, **changes)


def recipe_name(epochs: int | None = None, size: int = SIZE, is_weighted: bool = False) -> str:
    """`few`, and what was chosen otherwise: `few_20_epochs`, `few_64_pixels_weighted`."""
    parts = ["few"]
    parts += [f"{epochs}_epochs"] if epochs is not None else []
    parts += [f"{size}_pixels"] if size != SIZE else []
    parts += ["weighted"] if is_weighted else []
    return "_".join(parts)


def experiments(
    pictures: FolderData,
    models: Iterable[str],
    epochs: int | None = None,
    class_weights: str = "where uneven",
) -> list[Experiment]:
    """An experiment a model on a user's pictures, and one more each where classes are weighted.

    Args:
        pictures: what `data.load_folder` gave.
        models: names in `helpers.models.BUILDERS`.
        epochs: instead of those that follow from the number of images.
        class_weights: one of `WHEN`; classes are uneven where the largest has `report.UNEVEN`
            times the training images of the smallest.

    Raises:
        ValueError: another word for when, fewer than one epoch, or another type: papermill's `-p`
            makes one word of what should be a list.
    """
    if isinstance(models, str):
        raise ValueError(f"models are {models!r}: pass a list of names, e.g. {[models]}")
    if epochs is not None and type(epochs) is not int:
        raise ValueError(f"epochs {epochs!r}: pass a whole number, or None")
    weights = weighting(pictures, class_weights)
    counts = np.bincount(pictures.y_train)
    is_uneven = _is_uneven(counts)
    drawn = SHARE * ((not pictures.has_test) + (pictures.val_index is None))
    images = round(counts.sum() * (1 - drawn))
    return [
        Experiment(
            pictures.name,
            model,
            recipe_name(epochs, pictures.size, is_weighted),
            recipe(images, epochs, pictures.size, is_uneven, is_weighted),
        )
        for is_weighted in weights
        for model in dict.fromkeys(models)
    ]


def weighting(pictures: FolderData, class_weights: str = "where uneven") -> tuple[bool, ...]:
    """Whether classes are weighted, of each experiment on a model; arguments as `experiments`'."""
    if class_weights not in WHEN:
        raise ValueError(f"class weights {class_weights!r}: choose from {', '.join(WHEN)}")
    is_uneven = _is_uneven(np.bincount(pictures.y_train))
    return (False, True) if (is_uneven, class_weights) in WEIGHTED else (False,)


def _is_uneven(counts):
    return bool(counts.max() >= report.UNEVEN * counts.min())
