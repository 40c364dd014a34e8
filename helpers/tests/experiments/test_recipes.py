"""Settings that make no sense are refused; the search draws evenly from its space."""

import numpy as np
import pytest

from helpers.experiments import recipes
from helpers.experiments.recipes import SPACE, TRIALS, Recipe, drawn


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"warmup_epochs": 3, "schedule": "cosine"}, "leave none of 3"),
        ({"warmup_epochs": 1}, "choose cosine or linear, or no warm-up"),
        ({"optimizer": "lamb"}, "'lamb': choose from adam, adamw, sgd, muon"),
        ({"optimizer": "muon"}, "kernel_rate belongs to muon"),
        ({"optimizer": "muon", "kernel_rate": 0.1, "momentum": 0.0}, "give it one"),
        ({"average": 0.9, "lookahead": True}, "both average"),
        ({"kernel_rate": 0.1}, "kernel_rate belongs to muon"),
        ({"precision": "float16"}, "'float16': choose from float32, mixed_bfloat16"),
        ({"optimizer": "adam", "weight_decay": 0.1}, "choose adamw, or leave the decay out"),
        ({"schedule": "step"}, "'step': choose from constant, cosine, linear"),
        ({"class_weights": "balanced"}, "'balanced': choose from none, inverse_frequency"),
        ({"loss": "focal"}, "'focal': choose from cross_entropy, balanced_softmax"),
        ({"sampling": "half"}, "'half': choose from all, balanced"),
        ({"select": "f1"}, "'f1': choose from accuracy, macro_recall, loss, last"),
    ],
)
def test_recipes_that_make_no_sense(settings, text):
    with pytest.raises(ValueError, match=text):
        Recipe(epochs=3, **settings)


@pytest.mark.parametrize("name", ["learning_rate", "weight_decay"])
def test_each_eighth_of_a_range_is_drawn_from_once(name):
    least, greatest = SPACE[name]
    edges = np.geomspace(least, greatest, TRIALS + 1)
    values = sorted(getattr(drawn(trial), name) for trial in range(TRIALS))
    for value, low, high in zip(values, edges, edges[1:], strict=False):
        assert low * 0.95 < value < high * 1.05  # drawn values have two digits


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("crop", lambda r: r.augmentation.crop),
        ("cutout", lambda r: r.augmentation.cutout),
        ("randaugment", lambda r: r.augmentation.randaugment),
        ("label_smoothing", lambda r: r.label_smoothing),
        ("schedule", lambda r: r.schedule),
        ("warmup", lambda r: r.warmup_epochs),
        ("average", lambda r: r.average),
    ],
)
def test_choices_are_drawn_as_often_as_each_other(name, of):
    values = [of(drawn(trial)) for trial in range(TRIALS)]
    times = [values.count(choice) for choice in SPACE[name]]
    assert sum(times) == TRIALS
    assert max(times) - min(times) <= (0 if len(times) == 2 else 2)


def test_mixing_is_drawn():
    augmentations = [drawn(trial).augmentation for trial in range(TRIALS)]
    assert {a.mixup for a in augmentations} == {0.0, 0.2}
    assert {a.cutmix for a in augmentations} == {0.0, 1.0}


@pytest.mark.parametrize("trial", [-1, TRIALS])
def test_other_trials_are_refused(trial):
    with pytest.raises(ValueError, match=f"no trial {trial}: choose from 0 to 7"):
        drawn(trial)


def test_draws_stay_the_same():
    assert drawn(3) == drawn(3)
    assert len({drawn(trial) for trial in range(TRIALS)}) == TRIALS
    first = drawn(0)
    # As recorded in the trials: another version of SciPy must not change them unnoticed.
    assert (first.learning_rate, first.weight_decay) == (0.0043, 0.02)


def test_all_families_are_searched_for_the_same_epochs():
    assert {drawn(trial).epochs for trial in range(TRIALS)} == {recipes.TRIAL_EPOCHS}
