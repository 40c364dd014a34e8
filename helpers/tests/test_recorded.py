"""The runs in figures/runs: complete, consistent, and reproduced by their weights."""

import json
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import tiny

from helpers import data, metrics, runs
from helpers.experiments import EXPERIMENTS
from helpers.recipes import Recipe

RECORDED = runs.recorded()
each_run = pytest.mark.parametrize("run", RECORDED, ids=lambda run: f"{run.name}-{run.seed}")


@each_run
def test_record_is_complete(run):
    assert list(run.info) == tiny.RECORD_KEYS
    assert list(run.info["hardware"]) == ["cpu", "cores", "gpu"]
    assert list(run.info["test"]) == list(run.info["validation"]) == tiny.SCORE_KEYS
    assert run.folder == runs.folder(run.name, run.seed)


@each_run
def test_recorded_settings_are_those_of_the_experiment(run):
    assert run.name in EXPERIMENTS
    now = json.loads(json.dumps(EXPERIMENTS[run.name].config))
    # A setting that came after the record has the default, which changes nothing.
    defaults = json.loads(json.dumps(asdict(Recipe(epochs=1))))
    recorded = defaults | run.info["config"]
    recorded["augmentation"] = defaults["augmentation"] | run.info["config"]["augmentation"]
    assert recorded == now


@each_run
def test_history_agrees_with_the_record(run):
    history, config = run.history, run.info["config"]
    assert history["epoch"].tolist() == list(range(1, run.info["epochs_run"] + 1))
    assert run.info["epochs_run"] <= config["epochs"]
    assert history["seconds"].sum() == pytest.approx(run.info["seconds_training"], abs=0.1)
    assert np.isfinite(history).all(axis=None)

    chosen = history[f"val_{config['select']}"].to_numpy()
    best = chosen.min() if config["select"] == "loss" else chosen.max()
    assert run.info["best_epoch"] == np.flatnonzero(chosen == best)[0] + 1
    at_best = history["val_accuracy"][run.info["best_epoch"] - 1]
    assert run.info["validation"]["accuracy"] == pytest.approx(at_best, abs=1e-3)


@each_run
def test_scores_follow_from_the_stored_logits(run):
    if run.info["data"].startswith("cifar100"):
        pytest.skip("CIFAR-100's labels are not embedded")
    y_train, y_test = data.official_labels()
    for part, logits, labels in (
        ("validation", run.val_logits, y_train[run.val_index]),
        ("test", run.test_logits, y_test),
    ):
        assert logits.shape == (len(labels), 10)
        assert metrics.scores(logits, labels) == pytest.approx(run.info[part], abs=1e-6)


@each_run
def test_validation_images_are_those_of_the_split(run):
    if run.info["data"].startswith("cifar100"):
        pytest.skip("CIFAR-100's labels are not embedded")
    y_train, _ = data.official_labels()
    labels = SimpleNamespace(y_train=y_train, classes=data.CIFAR10_CLASSES)
    split = data.prepare(run.info["data"], run.seed, labels)
    np.testing.assert_array_equal(run.val_index, split.val_index)


@each_run
def test_weights_reproduce_the_stored_logits(run, sample):
    from helpers import training

    if run.weights is None:
        pytest.skip(f"{run.name} seed {run.seed} keeps predictions only")
    if run.info["data"].startswith("cifar100"):
        pytest.skip("the sample has no images of CIFAR-100")
    result = training.reproduce(run)
    assert result["largest_difference"] < 0.05
    assert result["labels_changed"] <= 2
    stored = run.test_logits[sample.test_index].argmax(1)
    assert result["accuracy_recorded"] == (stored == sample.y_test).mean()


@each_run
def test_size_is_that_of_the_model(run):
    from helpers.models import build, macs, trainable_parameters

    model = build(run.info["model"], run.test_logits.shape[1])
    assert run.info["parameters"] == trainable_parameters(model)
    assert run.info["macs"] == macs(model)
