"""The table of experiments, against the published descriptions."""

import json
from dataclasses import replace

import pytest

from helpers.data import VARIANTS
from helpers.data.augmentation import Augmentation
from helpers.experiments import EXPERIMENTS, find, table
from helpers.experiments.recipes import Recipe
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


UNTUNED = [
    e for pattern in ("*/published", "*/described*", "*/short*", "*/few") for e in find(pattern)
]


@pytest.mark.parametrize("experiment", [e for e in UNTUNED if e.model != "hybrid_dual"])
def test_all_other_untuned_recipes_flip_and_crop(experiment):
    assert experiment.settings.augmentation == Augmentation(flip=True, crop=4)


def test_short_is_one_recipe_for_all():
    recipes = {e.settings for e in find("cifar10*/*/short") if e.data != "cifar10-imbalanced"}
    assert len(recipes) == 1
    assert recipes.pop().epochs == 30


@pytest.mark.parametrize(
    ("name", "epochs"),
    [
        ("cifar10/vit/equal_compute", 63),
        ("cifar10-5pct/cct/few", 300),
        ("cifar10-20pct/cct/few", 150),
    ],
)
def test_some_recipes_are_short_for_more_epochs(name, epochs):
    short = EXPERIMENTS["cifar10/vit/short"].settings
    assert EXPERIMENTS[name].settings == replace(short, epochs=epochs)


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


@pytest.mark.parametrize("model", ["cnn_baseline", "hybrid_token"])
@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("balanced_softmax", {"loss": "balanced_softmax"}),
        ("deferred_weights", {"class_weights": "deferred"}),
        ("oversampled", {"sampling": "balanced"}),
    ],
)
def test_rivals_of_class_weights_differ_in_one_setting(model, recipe, changes):
    plain = EXPERIMENTS[f"cifar10-imbalanced/{model}/described"].settings
    rival = EXPERIMENTS[f"cifar10-imbalanced/{model}/{recipe}"].settings
    assert rival == replace(plain, **changes)


@pytest.mark.parametrize("name", ["cifar10/{}/published_8", "cifar10-thinned/{}/published_40"])
def test_system_c_by_its_code_flips_alone_and_its_tokens_have_a_relu(name):
    cnn, hybrid = (
        EXPERIMENTS[name.format(model)].settings for model in ("cnn_baseline", "hybrid_token")
    )
    assert hybrid == replace(cnn, model_options=(("token_activation", "relu"),))
    assert cnn == Recipe(
        epochs=int(name.split("_")[-1]), optimizer="adam", augmentation=Augmentation(flip=True)
    )


@pytest.mark.parametrize("epochs", [8, 40])
def test_linear_tokens_differ_from_the_code_s_in_the_relu_alone(epochs):
    by_code = EXPERIMENTS[f"cifar10/hybrid_token/published_{epochs}"].settings
    linear = EXPERIMENTS[f"cifar10/hybrid_token/linear_{epochs}"].settings
    assert linear == replace(by_code, model_options=())


@pytest.mark.parametrize("experiment", find("cifar10-thinned/*/*_weighted"))
def test_thinned_runs_have_their_controls(experiment):
    plain = EXPERIMENTS[experiment.name.removesuffix("_weighted")].settings
    assert experiment.settings == replace(plain, class_weights="inverse_frequency")


@pytest.mark.parametrize(
    ("recipe", "option"), [("no_l2", ("l2", 0.0)), ("no_dropout", ("dropout", False))]
)
def test_the_dual_hybrid_s_ablations_leave_one_thing_out(recipe, option):
    published = EXPERIMENTS["cifar100/hybrid_dual/published"].settings
    assert published.model_options == (("as_published", True),)
    ablation = EXPERIMENTS[f"cifar100/hybrid_dual/{recipe}"].settings
    assert ablation == replace(published, model_options=(*published.model_options, option))


FIVE = "cnn_baseline,resnet20,vit,hybrid_token,cct"
PAIR = "cnn_baseline,hybrid_token"


@pytest.mark.parametrize(
    ("data", "models", "recipes"),
    [
        ("cifar10", PAIR, "described,published_8,published_40,published_80"),
        ("cifar10", "hybrid_token", "linear_8,linear_40"),
        ("cifar10-imbalanced", PAIR, "described,described_weighted"),
        ("cifar10-imbalanced", PAIR, "balanced_softmax,deferred_weights,oversampled"),
        ("cifar10-imbalanced_easy", PAIR, "described,described_weighted"),
        ("cifar10-thinned", PAIR, "published_8,published_40"),
        ("cifar10-thinned", PAIR, "published_8_weighted,published_40_weighted"),
        ("cifar10", FIVE, "short,searched_6"),
        ("cifar10", "vit", "equal_compute"),
        ("cifar10-5pct", FIVE, "few"),
        ("cifar10-20pct", FIVE, "few"),
        ("cifar10-imbalanced", "vit,cct", "short,short_weighted"),
        ("cifar100", "hybrid_dual", "published,corrected,no_l2,no_dropout"),
        ("cifar10", "hybrid_dual", "published,corrected"),
        ("cifar10", "resnet18", "published,long"),
        ("cifar10", "resnet20,cct,vit,vit_lite,cct_7", "long"),
        ("cifar10", "vit_stem,vit_seqpool", "short"),
        ("cifar100", "resnet20,cct,vit", "short"),
        ("cifar10", "vit_128", "published,dropout_everywhere"),
    ],
)
def test_the_grid_is_complete(data, models, recipes):
    for model in models.split(","):
        for recipe in recipes.split(","):
            assert f"{data}/{model}/{recipe}" in EXPERIMENTS


def test_find_by_pattern():
    found = [e.name for e in find("cifar10/resnet18/*")]
    assert found == ["cifar10/resnet18/published", "cifar10/resnet18/long"]
    assert {e.data for e in find("cifar10-imbalanced/*")} == {"cifar10-imbalanced"}
    assert len(find("*")) == len(EXPERIMENTS)


@pytest.mark.parametrize(
    ("pattern", "near"),
    [
        ("cifar11/*", "cifar10/vit/long"),
        ("cifar10/*/shrt", "cifar10/vit/short"),
        ("CIFAR10/ViT/short", "cifar10/vit/short"),
        ("cifar10/vit/short/seed0", "cifar10/vit/short"),
        ("figures/runs/cifar10/vit/short", "cifar10/vit/short"),
        ("cifar10/resnet18/", "cifar10/resnet18/published"),
        ("resnet18", "cifar10/resnet18/published"),
        ("xyz", None),
        ("", None),
    ],
)
def test_where_none_fits_names_that_are_near_are_said(pattern, near):
    with pytest.raises(ValueError, match="no experiment fits") as error:
        find(pattern)
    said = f"no experiment fits {pattern!r}: " + (f"near it are {near}" if near else "python")
    assert str(error.value).startswith(said)
    assert str(error.value).endswith("python -m helpers list names all")
    assert len(str(error.value)) < 250


def test_names_of_experiments_are_unique():
    assert len(table._all()) == len(EXPERIMENTS)
