"""Experiments on a user's own pictures: the recipe that follows from them, and the names."""

from types import SimpleNamespace

import numpy as np
import pytest

from helpers.experiments import own


def pictures(*counts, size=32):
    labels = np.repeat(np.arange(len(counts)), counts)
    return SimpleNamespace(name="own-f", y_train=labels, size=size, has_test=False, val_index=None)


@pytest.mark.parametrize(
    ("images", "epochs", "batch"), [(84, 300, 32), (6000, 100, 128), (50_000, 30, 128)]
)
def test_epochs_grow_and_batches_shrink_with_fewer_images(images, epochs, batch):
    recipe = own.recipe(images)
    assert (recipe.epochs, recipe.batch_size) == (epochs, batch)


@pytest.mark.parametrize("epochs", [1, 2, 20])
def test_epochs_can_be_chosen(epochs):
    assert own.recipe(100, epochs).epochs == epochs


def test_no_epochs_are_refused():
    with pytest.raises(ValueError, match="one or more"):
        own.recipe(100, epochs=0)


def test_what_was_chosen_is_in_the_name():
    (one,) = own.experiments(pictures(40, 40), ["vit"])
    assert one.name == "own-f/vit/few"
    (one,) = own.experiments(pictures(40, 40, size=64), ["vit"], epochs=20)
    assert one.name == "own-f/vit/few_20_epochs_64_pixels"
    assert dict(one.settings.model_options) == {"size": 64}


@pytest.mark.parametrize(
    ("counts", "when", "expected"),
    [
        ((40, 20), "where uneven", ["few", "few_weighted"]),
        ((40, 20), "never", ["few"]),
        ((40, 39), "where uneven", ["few"]),
        ((40, 39), "always", ["few", "few_weighted"]),
    ],
)
def test_classes_are_weighted_where_they_are_uneven(counts, when, expected):
    found = own.experiments(pictures(*counts), ["vit"], class_weights=when)
    assert [one.recipe for one in found] == expected
    weights = [one.settings.class_weights for one in found]
    assert weights == ["none", "inverse_frequency"][: len(expected)]
    is_uneven = counts == (40, 20)
    assert {one.settings.select == "macro_recall" for one in found} == {is_uneven}


def test_another_word_for_weights_is_refused():
    with pytest.raises(ValueError, match="choose from where uneven"):
        own.experiments(pictures(40, 40), ["vit"], class_weights="yes")


@pytest.mark.parametrize(
    ("models", "epochs", "text"),
    [
        ("vit", None, r"models are 'vit': pass a list of names, e\.g\. \['vit'\]"),
        (["vit"], "3", "epochs '3': pass a whole number, or None"),
        (["vit"], 2.5, "epochs 2.5: pass a whole number"),
        (["vit"], True, "epochs True: pass a whole number"),
    ],
)
def test_what_papermill_makes_of_parameters_is_refused(models, epochs, text):
    with pytest.raises(ValueError, match=text):
        own.experiments(pictures(40, 40), models, epochs)
