"""What is said of runs on a user's pictures: intervals, advice, the test of maps."""

from types import SimpleNamespace

import numpy as np
import pytest

from helpers.results import own


def run(model, right, total=40, seed=0, parameters=1000, recipe="few"):
    """A run on two classes, half of the test images each, with so many right."""
    labels = np.arange(total) % 2
    predicted = np.where(np.arange(total) < right, labels, 1 - labels)
    return SimpleNamespace(
        seed=seed,
        test_logits=4.0 * np.eye(2)[predicted],
        test_labels=labels,
        info={
            "model": model,
            "recipe": recipe,
            "parameters": parameters,
            "test": {"accuracy": right / total},
            "classes": ["a", "b"],
        },
    )


def test_a_small_test_set_is_said_plainly():
    text = own.trust([run("vit", 28)])
    assert text.startswith("40 test images: ± 14 points. The 70 % of ViT with seed 0")
    assert "from 55 % to 82 %" in text


def test_a_clear_lead_is_advised():
    text = own.advice([run("vit", 36), run("cct", 24)], guess=0)
    assert text.startswith("Take ViT: 90 % over 1 seed, 30 more than CCT-2/3x2; 40 test images")


def test_what_is_not_told_apart_is_named():
    text = own.advice([run("vit", 36), run("cct", 30), run("resnet20", 20)], guess=0)
    assert text.startswith("Take ViT for now: 90 % over 1 seed; but 40 test images")
    assert "too few to tell it from CCT-2/3x2: more pictures" in text


def test_where_nothing_beats_guessing_nothing_is_advised():
    assert own.advice([run("vit", 24)], guess=0).startswith("Take none of them yet: ViT is best")


def test_weighted_runs_have_their_own_label():
    chosen = [run("vit", 30), run("vit", 31, recipe="few_weighted"), run("vit", 32, seed=1)]
    found = own.by_model(chosen)
    assert {label: len(runs) for label, runs in found.items()} == {"ViT": 2, "ViT, weighted": 1}


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([0.2, 0.21, 0.19], "it knows more than the centre"),
        ([-0.2, -0.21, -0.19], "these maps mislead"),
        ([0.2, -0.2, 0.0], "cannot be told from the centre"),
        ([0.2], "too few to test"),
    ],
)
def test_maps_are_tested_against_the_centre(gains, verdict):
    assert verdict in own.against_the_centre(np.array(gains), 4)


def test_errors_are_shown_if_there_are_any():
    images = np.zeros((40, 8, 8, 3), np.uint8)
    assert own.hardest_errors(run("vit", 40), images) is None
    figure = own.hardest_errors(run("vit", 37), images)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(titles) == 3
    assert "→" in titles[0]
