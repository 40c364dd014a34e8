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
from helpers.training.fitting import fit
from helpers.training.recorded import predict_logits, predict_tta


def train(experiment: Experiment, seed: int, root: Path | None = None) -> runs.Run:
    """Train an experiment on the whole data set and record the run; goes on if interrupted.

    Raises:
        FileExistsError: the run is recorded already.
        RuntimeError: another process is training it.
        helpers.data.DataError: the whole data set is not to be had.
    """
    target = runs.folder(experiment.name, seed, root)
    with runs.sole_writer(target):
        return _train_and_record(here(experiment), seed, target, root)


def here(experiment: Experiment) -> Experiment:
    """The experiment as this machine trains it: in float32 where bfloat16 would be emulated.

    Emulation can make it a hundred times slower than float32.
    """
    if provenance.has_bfloat16():
        return experiment
    return _in_float32(experiment)


def _in_float32(experiment):
    return replace(experiment, settings=replace(experiment.settings, precision="float32"))


def _train_and_record(experiment, seed, target, root):
    split = data.prepare(experiment.data, seed)
    model = new_model(experiment, seed, len(split.data.classes))
    resume = runs.resume_file(target)
    title = f"{experiment.name} seed {seed}, {experiment.settings.precision}"
    fitted = fit(model, experiment.settings, split, seed, title, resume)

    # Without optimizer state, and in the precision that every machine has.
    plain = new_float32_model(experiment, seed, len(split.data.classes))
    plain.set_weights(model.get_weights())

    # The test set is opened once, with the weights chosen on validation.
    ways = {"": predict_logits}
    if experiment.settings.tta:
        ways["_tta"] = predict_tta
    predictions, scores = {"val_index": split.val_index.astype(np.int32)}, {}
    for way, predict in ways.items():
        for part, key, images, labels in (
            ("validation", "val", split.x_val, split.y_val),
            ("test", "test", split.data.x_test, split.data.y_test),
        ):
            logits = predict(plain, images).astype(np.float16)
            predictions[f"{key}{way}_logits"] = logits
            scores[f"{part}{way}"] = metrics.scores(logits, labels)
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
        "parameters": trainable_parameters(model),
        "macs": macs(model),
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
        **scores,
    }
    run = runs.write(info, fitted.history, predictions, plain.save_weights, root)
    resume.unlink(missing_ok=True)
    return run


def estimate_seconds(experiment: Experiment) -> float:
    """About how long a run would take here: its FLOPs at half the rate of a matrix product."""
    source = data.SOURCES[data.VARIANTS[experiment.data].source]
    model = new_model(experiment, 0, len(source.classes))
    images = data.training_images(experiment.data) * experiment.settings.epochs
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
