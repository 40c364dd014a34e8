"""A user's own pictures: train or read the runs on them, a pre-trained network's among them."""

import time
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import data, models
from helpers.backend import keras
from helpers.data.folders import folder_sha256, map_folder, own_name
from helpers.data.listing import list_folder
from helpers.experiments import Experiment, own
from helpers.experiments.recipe import Recipe
from helpers.records import provenance, runs
from helpers.results import metrics
from helpers.training import recording
from helpers.training.fitting import Fitted
from helpers.training.linear import linear_head, without_head
from helpers.training.recorded import predict_logits

PRETRAINED = "efficientnet_lite0"
PIXELS = 224  # that it was trained on


def run(experiment: Experiment, seed: int, pictures: data.FolderData) -> runs.Run:
    """The run of an experiment on a user's pictures, trained first where it is not recorded.

    Raises:
        ValueError: it is damaged, or was recorded before the pictures changed.
    """
    target = runs.folder(experiment.name, seed)
    if runs.is_recorded(target):
        return _of_these(runs.Run(target), pictures.folder, pictures.sha256)
    return recording.train(experiment, seed, pictures=pictures)


def pretrained(
    folder: Path | str,
    seeds: Iterable[int],
    weighted: Iterable[bool] = (False,),
    skip_unreadable: bool = False,
    size: int = PIXELS,
) -> list[runs.Run]:
    """Runs of EfficientNet-Lite0 with ImageNet's weights, a linear head fitted to the pictures.

    It computes the features of each picture once, while it reads the folder at 224 pixels, and
    holds these alone: 5 kB a picture.

    Args:
        folder: of the pictures.
        seeds: of the splits, which are those of the other models.
        weighted: whether each image weighs by the rarity of its class; for each, runs of all seeds.
        skip_unreadable: as in `data.load_folder`.
        size: side of the images in pixels.

    Raises:
        FileNotFoundError: ImageNet's weights are not there; the text says what to install.
        ValueError: a run is damaged, or was recorded before the pictures changed.
    """
    listing = list_folder(Path(folder))
    settings = Recipe(epochs=1, model_options=(("size", size),))
    found, seen, sha256 = [], None, None
    for is_weighted, seed in product(weighted, seeds):
        recipe = "linear_weighted" if is_weighted else "linear"
        experiment = Experiment(own_name(listing.folder), PRETRAINED, recipe, settings)
        target = runs.folder(experiment.name, seed)
        if not runs.is_recorded(target):
            with runs.sole_writer(target):
                seen = seen or _Seen(listing, size, skip_unreadable)
                sha256 = seen.pictures.sha256
                _fit(experiment, seed, seen, is_weighted)
        sha256 = sha256 or folder_sha256(listing, size, skip_unreadable)
        found.append(_of_these(runs.Run(target), listing.folder, sha256))
    return found


class _Seen:
    """A pre-trained model, and pictures as it sees them: `x_train` and `x_test` are features."""

    def __init__(self, listing, size, skip_unreadable):
        self.model = models.build(PRETRAINED, len(listing.classes), size=size, pretrained=True)
        self.seconds = 0.0  # that the features took
        body = without_head(self.model)

        def features(images):
            started = time.perf_counter()
            found = predict_logits(body, images)
            self.seconds += time.perf_counter() - started
            return found

        self.pictures = map_folder(listing, features, size, skip_unreadable)


def _fit(experiment, seed, seen, is_weighted):
    """Fit the head as the seed splits the pictures, and record the run."""
    started = time.perf_counter()
    split = data.prepare(experiment.data, seed, seen.pictures)
    x, x_val = split.data.x_train[split.train_index], split.x_val
    weight = "balanced" if is_weighted else None
    linear_head(seen.model, x, split.y_train, x_val, split.y_val, weight)
    kernel, bias = seen.model.layers[-1].get_weights()

    def judged(values, labels):
        logits = (values @ kernel + bias).astype(np.float16)
        return logits, metrics.scores(logits, labels)

    _, on_train = judged(x, split.y_train)
    val, on_val = judged(x_val, split.y_val)
    test, on_test = judged(split.data.x_test, split.data.y_test)
    history = pd.DataFrame(
        {
            "epoch": [1],
            "loss": on_train["nll"],
            "accuracy": on_train["accuracy"],
            "val_loss": on_val["nll"],
            "val_accuracy": on_val["accuracy"],
            "learning_rate": 0.0,
            "seconds": seen.seconds + time.perf_counter() - started,
        }
    )
    made_with = provenance.record("float32") | {"alone": None}
    recording.write(
        experiment,
        seed,
        split,
        Fitted(seen.model, history, 1, made_with),
        seen.model,
        {"test_logits": test, "val_logits": val},
        {"validation": on_val, "test": on_test},
    )


def require_same(pictures: data.FolderData) -> None:
    """Raise ValueError where runs at this size were recorded on other pictures of the name."""
    for found in runs.found(f"{pictures.name}/*"):
        if dict(found.config["model_options"]).get("size", own.SIZE) == pictures.size:
            _of_these(found, pictures.folder, pictures.sha256)


def _of_these(found: runs.Run, folder, sha256) -> runs.Run:
    """The run, if it is on the pictures as they are now."""
    if found.info["data_sha256"] != dict(sha256):
        raise ValueError(
            f"{found.folder} was recorded on other pictures than {folder} has now: it was "
            f"changed, or another folder had its name; delete {found.folder.parents[3].parent} to "
            f"study it anew, or rename {folder}"
        )
    return found


def latency(model: keras.Model, repeats: int = 20) -> float:
    """Milliseconds that a model takes for one image here, the median of so many."""
    image = np.zeros((1, *model.input_shape[1:]), np.uint8)
    seconds = []
    for _ in range(repeats + 3):
        started = time.perf_counter()
        predict_logits(model, image)
        seconds.append(time.perf_counter() - started)
    return 1000 * float(np.median(seconds[3:]))  # the first ones compile
