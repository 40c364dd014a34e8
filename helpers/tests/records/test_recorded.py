"""The runs in figures/runs: complete, consistent, and reproduced by their weights."""

import fnmatch
import json
from dataclasses import asdict, replace
from functools import cache

import numpy as np
import pytest
import tiny

from helpers import config, data, records
from helpers.experiments import EXPERIMENTS, recipes
from helpers.records import contents, kept, runs
from helpers.results import metrics, tables

RECORDED = runs.recorded()
each_run = pytest.mark.parametrize("run", RECORDED, ids=lambda run: f"{run.name}-{run.seed}")


def source_of(run):
    return data.SOURCES[data.VARIANTS[run.info["data"]].source]


def as_recorded(settings):
    return json.loads(json.dumps(asdict(settings)))


@each_run
def test_record_is_complete(run):
    views = ["validation_tta", "test_tta"] if run.info["config"].get("tta") else []
    keys = [key for key in tiny.RECORD_KEYS if key in run.info or key not in tiny.LATER_KEYS]
    assert list(run.info) == [*keys, *views, "files"]
    assert list(run.info["hardware"]) == ["cpu", "cores", "gpu"]
    assert tuple(run.info["test"]) == tuple(run.info["validation"]) == contents.SCORES
    run.check()


def as_recorded_in(settings, precision):
    """The record of a recipe, of which machines without bfloat16 train in float32."""
    assert precision in ("float32", settings.precision)
    return as_recorded(replace(settings, precision=precision))


@each_run
def test_recorded_settings_are_those_of_the_experiment(run):
    assert run.name in EXPERIMENTS
    settings = EXPERIMENTS[run.name].settings
    assert run.config == as_recorded_in(settings, run.config["precision"])


def test_seeds_of_an_experiment_compute_in_one_precision():
    precisions = {}
    for run in runs.recorded("*"):
        precisions.setdefault(run.name, set()).add(run.config["precision"])
    assert {len(found) for found in precisions.values()} == {1}


@each_run
def test_history_agrees_with_the_record(run):
    history, config = run.history, run.info["config"]
    assert history["epoch"].tolist() == list(range(1, run.info["epochs_run"] + 1))
    assert run.info["epochs_run"] <= config["epochs"]
    assert history["seconds"].sum() == pytest.approx(run.info["seconds_training"], abs=0.1)
    assert np.isfinite(history).all(axis=None)

    if config["select"] == "last":
        assert run.info["best_epoch"] == len(history)
    else:
        chosen = history[f"val_{config['select']}"].to_numpy()
        best = chosen.min() if config["select"] == "loss" else chosen.max()
        assert run.info["best_epoch"] == np.flatnonzero(chosen == best)[0] + 1
    at_best = history["val_accuracy"][run.info["best_epoch"] - 1]
    half = config.get("precision", "float32") != "float32"  # the record is in float32
    tolerance = 5e-3 if half else 1e-3
    assert run.info["validation"]["accuracy"] == pytest.approx(at_best, abs=tolerance)


@each_run
def test_scores_follow_from_the_stored_logits(run):
    source = source_of(run)
    y_train, y_test = data.official_labels(source.name)
    for part, logits, labels in (
        ("validation", run.val_logits, y_train[run.val_index]),
        ("test", run.test_logits, y_test),
    ):
        assert logits.shape == (len(labels), len(source.classes))
        assert metrics.scores(logits, labels) == pytest.approx(run.info[part], abs=1e-6)


@pytest.mark.parametrize(
    "run",
    [run for run in RECORDED if run.info["config"].get("tta")],
    ids=lambda run: f"{run.name}-{run.seed}",
)
def test_scores_of_averaged_views_follow_from_their_logits(run):
    y_train, y_test = data.official_labels(source_of(run).name)
    for part, logits, labels in (
        ("validation_tta", run.val_tta_logits, y_train[run.val_index]),
        ("test_tta", run.test_tta_logits, y_test),
    ):
        assert metrics.scores(logits, labels) == pytest.approx(run.info[part], abs=1e-6)


@cache
def validation_index(variant, seed):
    """Of every model's run with that seed."""
    source = data.SOURCES[data.VARIANTS[variant].source]
    y_train, _ = data.official_labels(source.name)
    # A split looks at nothing else.
    labels_only = replace(data.load_sample(), y_train=y_train, classes=source.classes)
    return data.prepare(variant, seed, labels_only).val_index


@each_run
def test_validation_images_are_those_of_the_split(run):
    expected = validation_index(run.info["data"], run.seed)
    np.testing.assert_array_equal(run.val_index, expected)


@pytest.fixture(scope="session")
def built():
    """`models.build`, which gives the same model again for the same arguments: seconds saved."""
    from helpers.models import build

    models = {}

    def build_once(name, classes, **options):
        key = json.dumps([name, classes, options])
        if key not in models:
            models[key] = build(name, classes, **options)
        return models[key]

    return build_once


@each_run
def test_weights_are_there_if_they_are_kept(run):
    assert (run.weights is not None) == kept.keeps_weights(run.info)


@each_run
def test_weights_reproduce_the_stored_logits(run, sample, built, monkeypatch):
    from helpers import training
    from helpers.training import recorded

    monkeypatch.setattr(recorded, "build", built)

    if run.weights is None:
        pytest.skip(f"{run.name} seed {run.seed} keeps predictions only")
    if source_of(run).name == "cifar100":
        pytest.skip("the sample has no images of CIFAR-100")
    result = training.reproduce(run)
    # Stored in float16: of large logits, as of memorised labels, a thousandth may be lost.
    assert result["largest_difference"] < max(0.05, 1e-3 * np.abs(run.test_logits).max())
    assert result["labels_changed"] <= 2


@each_run
def test_size_is_that_of_the_model(run, built):
    from helpers.models import macs, trainable_parameters

    options = dict(run.info["config"]["model_options"])
    model = built(run.info["model"], run.test_logits.shape[1], **options)
    assert run.info["parameters"] == trainable_parameters(model)
    assert run.info["macs"] == macs(model)


# ---- what is kept


SIZE = 120e6  # bytes of `figures`, the whole grid recorded


def test_figures_stay_small():
    assert sum(path.stat().st_size for path in config.FIGURES.rglob("*") if path.is_file()) < SIZE


@pytest.mark.parametrize("pattern", kept.KEPT)
def test_table_of_kept_weights_names_experiments(pattern):
    later = ("matched",)  # recipes that are still to be chosen
    assert fnmatch.filter(EXPERIMENTS, pattern) or pattern.endswith(later)


def test_weights_that_explanations_are_tested_on_are_kept():
    from helpers.explain import audit

    for run in audit.sources("sanity"):
        assert kept.keeps_weights(run.info)


COMPUTED = sorted(config.FIGURES.rglob("*.weights.json"))


def test_tables_of_explanations_say_whose_weights_they_come_from():
    found = {path.name.removesuffix(".weights.json") for path in COMPUTED}
    assert set(tables.AUDIT) <= found


@pytest.mark.parametrize("path", COMPUTED, ids=lambda path: path.name)
def test_tables_computed_from_weights_are_those_of_the_recorded_weights(path):
    table = path.with_name(path.name.replace(".weights.json", ".csv"))
    assert table.exists()
    assert records.stale(table) == []


# ---- trials, and the recipes that they chose


@pytest.mark.parametrize("trial", runs.trials(), ids=lambda t: f"{t['model']}-{t['trial']}")
def test_recorded_trial_is_the_one_of_its_number(trial):
    settings = recipes.trials(trial["model"])[trial["trial"]]
    recorded = recipes.with_defaults(trial["config"])
    assert recorded == as_recorded_in(settings, recorded["precision"])
    assert len(trial["history"]) in (0, trial["config"]["epochs"])


def best_accuracy(trial):
    return max((row["val_accuracy"] for row in trial["history"]), default=0.0)


@pytest.mark.parametrize("model", recipes.SEARCHED_6)
def test_recipe_of_the_first_search_is_that_of_its_best_trial(model):
    tried = [trial for trial in runs.trials() if trial["model"] == model]
    assert len(tried) == recipes.TRIALS  # the same chance for every family
    best = max(tried, key=best_accuracy)
    frozen = EXPERIMENTS[f"cifar10/{model}/searched_6"].settings
    assert as_recorded(frozen) == recipes.with_defaults(best["config"]) | {
        "epochs": best["config"]["epochs"] * 5,
        "warmup_epochs": best["config"]["warmup_epochs"] * 5,
    }


@pytest.mark.parametrize(
    ("model", "tried_for", "recipe", "epochs", "augmentation", "options"),
    [
        ("fast_cnn", 4, "fast_4", 4, {}, []),
        ("fast_cnn", 4, "fast_11", 11, {}, []),
        ("fast_cnn", 4, "fast_34", 34, {"crop": 4, "cutout": 12}, []),
        ("fast_cnn", 4, "fast_20", 20, {"crop": 4, "cutout": 8}, [["widths", [96, 320, 320]]]),
        ("fast_hybrid", 2, "fast_9", 9, {}, []),
    ],
)
def test_fast_recipes_are_the_best_trial_trained_for_longer(
    model, tried_for, recipe, epochs, augmentation, options
):
    tried = [
        trial
        for trial in runs.trials()
        if trial["model"] == model and trial["config"]["epochs"] == tried_for
    ]
    best = max(tried, key=best_accuracy)
    chosen = recipes.with_defaults(best["config"])
    frozen = as_recorded_in(EXPERIMENTS[f"cifar10/{model}/{recipe}"].settings, chosen["precision"])
    augmentation = chosen["augmentation"] | augmentation
    changes = {"epochs": epochs, "augmentation": augmentation, "model_options": options}
    assert frozen == chosen | changes
