"""What is said of runs on a user's pictures: intervals, advice, the test of maps."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from helpers.results import metrics, own


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
    assert text.startswith("40 test images: ViT has 70 % over 1 seed;")
    assert "anything from 55 % to 82 %" in text


def test_one_interval_is_said_throughout():
    for rights in (
        (36, 24),
        (36, 33),
        (25, 24),
    ):  # a lead, two that are close, no better than chance
        chosen = [run(name, right) for name, right in zip(("vit", "cct"), rights, strict=True)]
        low, high = metrics.wilson_interval(rights[0], 40)
        said = f"anything from {100 * low:.0f} % to {100 * high:.0f} % (95 % interval, Wilson)"
        for text in (own.trust(chosen), own.advice(chosen, guess=0)):
            assert said in text
            assert "±" not in text


def test_seeds_move_the_interval_and_do_not_narrow_it():
    one = own.interval([run("vit", 28)])
    assert one == metrics.wilson_interval(28, 40)
    assert own.interval([run("vit", 28, seed=seed) for seed in range(3)]) == pytest.approx(one)
    low, high = own.interval([run("vit", 28), run("vit", 32, seed=1)])
    assert one[0] < low < 0.75 < high < metrics.wilson_interval(32, 40)[1]


def test_a_high_accuracy_is_known_less_well_downwards():
    # 14 of 15 are 70 % to 99 %: a symmetric margin of 14 points would tell them from 75 %.
    skewed = [run("vit", 14, total=15)]
    skewed[0].test_labels[:] = np.arange(15) < 11
    skewed[0].test_logits = 4.0 * np.eye(2)[np.r_[skewed[0].test_labels[:14], 1]]
    assert own.advice(skewed, guess=1).startswith("Take none of them yet: ViT is best with 93 %")


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
