"""What is said of runs on a user's pictures: intervals, advice, the test of maps."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
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
            "test": {key: right / total for key in ("accuracy", "macro_f1", "macro_recall")},
            "classes": ["a", "b"],
        },
    )


def test_a_small_test_set_is_said_plainly():
    text = own.trust([run("vit", 28)])
    assert text.startswith("40 test images: ± 14 points. ViT with seed 0 has 70 %;")
    assert "anything from 55 % to 82 %" in text


def test_a_clear_lead_is_advised():
    text = own.advice([run("vit", 36), run("cct", 24)], guess=0)
    assert text.startswith("Take ViT: 90 % over 1 seed, 30 points more than CCT-2/3x2; 40")


def test_one_model_is_advised_against_guessing():
    assert "30 points more than guessing the largest class" in own.advice([run("vit", 32)], guess=0)


def test_weights_of_classes_make_no_other_model():
    chosen = [run("vit", 36), run("vit", 35, recipe="few_weighted"), run("cct", 24)]
    text = own.advice(chosen, guess=0)
    assert text.startswith("Take ViT: 90 % over 1 seed, 30 points more than CCT-2/3x2;")
    assert "weighted" not in text


def test_what_is_not_told_apart_is_named():
    text = own.advice(
        [run("vit", 36), run("cct", 31), run("resnet20", 30), run("vit_128", 20)], guess=0
    )
    assert text.startswith("Take ViT for now, with 90 % over 1 seed; but 40 test images")
    assert "too coarse to tell it from CCT-2/3x2 or ResNet-20: more pictures" in text


def test_where_nothing_beats_guessing_nothing_is_advised():
    assert own.advice([run("vit", 24)], guess=0).startswith("Take none of them yet: ViT is best")


def test_weighted_runs_have_their_own_label():
    chosen = [run("vit", 30), run("vit", 31, recipe="few_weighted"), run("vit", 32, seed=1)]
    found = own.by_model(chosen)
    assert {label: len(runs) for label, runs in found.items()} == {
        "ViT": 2,
        "ViT (weighted)": 1,
    }
    assert own.unweighted(chosen) == [chosen[0], chosen[2]]


def test_a_pretrained_model_is_told_from_one_trained_here():
    lite = "efficientnet_lite0"
    chosen = [
        run(lite, 20),
        run(lite, 39, recipe="linear_weighted"),
        run(lite, 38, recipe="linear"),
    ]
    name = "EfficientNet-Lite0"
    table = own.scores(chosen, guess=1)
    labels = [f"{name} (pre-trained, weighted)", f"{name} (pre-trained)", name, "guessing b"]
    assert table.index.tolist() == labels
    assert table.columns.tolist() == own.SUMMARY  # of one seed, no column of its own
    gained = own.gained_by_weights(table)
    assert gained.index.tolist() == [f"{name} (pre-trained)"]
    assert gained.loc[f"{name} (pre-trained)", "accuracy"] == 2.5
    assert own.advice(chosen, guess=1).startswith(f"Take {labels[0]}: 98 %")


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


def test_of_many_classes_the_outermost_are_drawn():
    few, many = (pd.Series(range(n, 0, -1), index=[f"c{i}" for i in range(n)]) for n in (20, 50))
    assert own.outermost(few) == list(few.index)
    assert own.outermost(many) == [f"c{i}" for i in (*range(10), *range(40, 50))]


def test_errors_are_shown_if_there_are_any():
    images = np.zeros((40, 8, 8, 3), np.uint8)
    assert own.hardest_errors(run("vit", 40), images) is None
    figure = own.hardest_errors(run("vit", 37), images)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(titles) == 3
    assert "→" in titles[0]
