"""Train an experiment on the whole data set, and record the run."""

import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from helpers import data
from helpers.backend import keras
from helpers.experiments import Experiment
from helpers.models import build, macs, trainable_parameters
from helpers.records import provenance, runs
from helpers.results import costs, metrics
from helpers.training import devices
from helpers.training.fitting import Fitted, fit
from helpers.training.recorded import predict_logits, predict_tta


def train(
    experiment: Experiment,
    seed: int,
    root: Path | None = None,
    pictures: data.FolderData | None = None,
    over: int = 1,
) -> runs.Run:
    """Train an experiment on the whole data set and record the run; goes on if interrupted.

    `pictures` are a user's own, which an experiment on `own-...` needs.  Each batch is divided
    `over` so many devices.

    Raises:
        FileExistsError: the run is recorded already.
        RuntimeError: another process is training it.
        ValueError: there are not so many devices, or they do not divide every batch.
        helpers.data.DataError: the whole data set is not to be had.
    """
    target = runs.folder(experiment.name, seed, root)
    with runs.sole_writer(target):
        return _train_and_record(here(experiment), seed, target, root, pictures, over)


def here(experiment: Experiment) -> Experiment:
    """The experiment as this machine trains it: in float32 where bfloat16 would be emulated.

    Emulation can make it a hundred times slower than float32.
    """
    if provenance.has_bfloat16():
        return experiment
    return _in_float32(experiment)


def _in_float32(experiment):
    return replace(experiment, settings=replace(experiment.settings, precision="float32"))


def _train_and_record(experiment, seed, target, root, pictures, over):
    on_devices = devices.over(over)
    split = data.prepare(experiment.data, seed, pictures)
    resume = runs.resume_file(target)
    title = f"{experiment.name} seed {seed}, {experiment.settings.precision}"
    with on_devices:
        model = new_model(experiment, seed, len(split.data.classes))
        fitted = fit(model, experiment.settings, split, seed, title, resume)

    # Without optimizer state, and in the precision that every machine has.
    plain = new_float32_model(experiment, seed, len(split.data.classes))
    plain.set_weights(model.get_weights())

    # The test set is opened once, with the weights chosen on validation.
    ways = {"": predict_logits}
    if experiment.settings.tta:
        ways["_tta"] = predict_tta
    predictions, scores = {}, {}
    for way, predict in ways.items():
        for part, key, images, labels in (
            ("validation", "val", split.x_val, split.y_val),
            ("test", "test", split.data.x_test, split.data.y_test),
        ):
            logits = predict(plain, images).astype(np.float16)
            predictions[f"{key}{way}_logits"] = logits
            scores[f"{part}{way}"] = metrics.scores(logits, labels)
    run = write(experiment, seed, split, fitted, plain, predictions, scores, root)
    resume.unlink(missing_ok=True)
    return run


def write(
    experiment: Experiment,
    seed: int,
    split: data.Split,
    fitted: Fitted,
    plain: keras.Model,
    predictions: dict[str, np.ndarray],
    scores: dict[str, dict[str, float]],
    root: Path | None = None,
) -> runs.Run:
    """Record what was trained: `plain` is its float32 model, `predictions` are the logits by key.

    Whose labels are known, a user's own pictures, keeps them.
    """
    predictions = predictions | {"val_index": split.val_index.astype(np.int32)}
    about = {}
    if isinstance(split.data, data.FolderData):
        about = {"classes": list(split.data.classes)}
        for key, labels in (("test_labels", split.data.y_test), ("val_labels", split.y_val)):
            predictions[key] = labels.astype(np.int32)
    seconds = float(fitted.history["seconds"].sum())
    images = len(split.train_index) * len(fitted.history)
    made_with = fitted.made_with
    info = {
        "data": experiment.data,
        "model": experiment.model,
        "recipe": experiment.recipe,
        "seed": seed,
        "backend": made_with["backend"],
        "config": experiment.config,
        "parameters": trainable_parameters(plain),
        "macs": macs(plain),
        "epochs_run": len(fitted.history),
        "best_epoch": fitted.best_epoch,
        "seconds_training": round(seconds, 1),
        "images_per_second": round(images / seconds, 1),
        "versions": made_with["versions"],
        "hardware": made_with["hardware"],
        "data_sha256": dict(split.data.sha256),
        **{
            key: made_with[key]
            for key in ("code_version", "code_sha256", "onednn", "arithmetic", "alone")
        },
        **{key: made_with[key] for key in ("devices",) if key in made_with},
        **about,
        **scores,
    }
    return runs.write(info, fitted.history, predictions, plain.save_weights, root)


def estimate_seconds(experiment: Experiment, pictures: data.FolderData | None = None) -> float:
    """About how long a run would take here: its FLOPs at half the rate of a matrix product."""
    if pictures is not None:
        classes, images = len(pictures.classes), len(pictures.y_train)
    else:
        classes = len(data.SOURCES[data.VARIANTS[experiment.data].source].classes)
        images = data.training_images(experiment.data)
    model = new_model(experiment, 0, classes)
    images *= experiment.settings.epochs
    return costs.training_flops(macs(model), images) / (0.5 * _matrix_product_rate())


@cache
def _matrix_product_rate():
    """FLOP/s of this machine's single-precision matrix product, the best of three."""
    size = 1500
    matrix = np.ones((size, size), np.float32)
    fastest = np.inf
    for _ in range(3):
        started = time.perf_counter()
        matrix @ matrix
        fastest = min(fastest, time.perf_counter() - started)
    return 2 * size**3 / fastest


def new_model(experiment: Experiment, seed: int, classes: int = 10) -> keras.Model:
    """The experiment's model with the first weights that the seed gives."""
    keras.utils.set_random_seed(seed)
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy(experiment.settings.precision)
    try:
        return build(experiment.model, classes, **dict(experiment.settings.model_options))
    finally:
        keras.config.set_dtype_policy(usual)


def new_float32_model(experiment: Experiment, seed: int, classes: int = 10) -> keras.Model:
    """As `new_model`, but computing in float32 whatever the recipe trains in."""
    return new_model(_in_float32(experiment), seed, classes)
