"""The table of experiments, against the published descriptions."""

import json
from dataclasses import replace

import pytest

from helpers.data import VARIANTS
from helpers.data.augmentation import Augmentation
from helpers.experiments import EXPERIMENTS, find, table
from helpers.models import BUILDERS
from helpers.results import plots


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_can_be_built_and_recorded(name):
    experiment = EXPERIMENTS[name]
    assert experiment.name == name
    assert experiment.data in VARIANTS
    assert experiment.model in BUILDERS
    assert plots.label(experiment.model) != experiment.model  # it has a look of its own
    assert json.loads(json.dumps(experiment.config))["epochs"] == experiment.settings.epochs


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("cifar10/resnet18/published", (20, 128, "adamw", 1e-3, 1e-2, 0, "constant")),
        ("cifar10/vit_128/published", (20, 128, "adamw", 1e-4, 1e-2, 5, "cosine")),
        ("cifar100/hybrid_dual/corrected", (20, 32, "adam", 1e-3, 0, 0, "constant")),
        ("cifar10/cnn_baseline/described", (40, 128, "adam", 1e-3, 0, 0, "constant")),
        ("cifar10/hybrid_token/described", (40, 128, "adam", 1e-3, 0, 0, "constant")),
    ],
)
def test_recipes_of_the_three_systems(name, settings):
    recipe = EXPERIMENTS[name].settings
    assert settings == (
        recipe.epochs,
        recipe.batch_size,
        recipe.optimizer,
        recipe.learning_rate,
        recipe.weight_decay,
        recipe.warmup_epochs,
        recipe.schedule,
    )


def test_dual_hybrid_stops_early_on_validation_loss():
    recipe = EXPERIMENTS["cifar100/hybrid_dual/corrected"].settings
    assert (recipe.patience, recipe.min_delta, recipe.select) == (4, 1e-3, "loss")
    assert recipe.augmentation == Augmentation(flip=True, brightness=0.1, contrast=(0.8, 1.2))


UNTUNED = [e for pattern in ("*/published", "*/described*", "*/short*") for e in find(pattern)]


@pytest.mark.parametrize("experiment", [e for e in UNTUNED if e.model != "hybrid_dual"])
def test_all_other_untuned_recipes_flip_and_crop(experiment):
    assert experiment.settings.augmentation == Augmentation(flip=True, crop=4)


def test_short_is_one_recipe_for_all():
    recipes = {e.settings for e in find("cifar10/*/short")}
    assert len(recipes) == 1
    assert recipes.pop().epochs == 30


@pytest.mark.parametrize(("penalty", "strength"), [("l1", 1e-5), ("l2", 1e-4)])
def test_regularised_resnet20_differs_from_short_in_its_penalty_alone(penalty, strength):
    plain = EXPERIMENTS["cifar10/resnet20/short"].settings
    regularised = EXPERIMENTS[f"cifar10/resnet20/short_{penalty}"].settings
    assert regularised == replace(plain, model_options=((penalty, strength),))


@pytest.mark.parametrize("model", ["cnn_baseline", "hybrid_token"])
def test_imbalanced_recipes_differ_in_class_weights_alone(model):
    plain = EXPERIMENTS[f"cifar10-imbalanced/{model}/described"].config
    weighted = EXPERIMENTS[f"cifar10-imbalanced/{model}/described_weighted"].config
    assert plain.pop("class_weights") == "none"
    assert weighted.pop("class_weights") == "inverse_frequency"
    assert plain == weighted
    assert plain["select"] == "macro_recall"


def test_find_by_pattern():
    assert [e.name for e in find("cifar10/resnet18/*")] == ["cifar10/resnet18/published"]
    assert {e.data for e in find("cifar10-imbalanced/*")} == {"cifar10-imbalanced"}
    assert len(find("*")) == len(EXPERIMENTS)


def test_find_lists_the_names_where_none_fits():
    with pytest.raises(ValueError, match=r"no experiment fits 'cifar11/\*'(.|\n)*cifar10/vit"):
        find("cifar11/*")


def test_names_of_experiments_are_unique():
    assert len(table._all()) == len(EXPERIMENTS)
