"""Tables of robustness and of an embedding, and the figures of both and of agreement."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from helpers import config
from helpers.results import embedding, plots, robustness


@pytest.fixture(autouse=True)
def closed():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


@pytest.fixture
def frame():
    rows = []
    for model, clean in (("vit", 0.8), ("cct", 0.5)):
        name = {"experiment": f"cifar10/{model}/short", "model": model, "recipe": "short"}
        rows.append(
            name | {"corruption": "none", "severity": 0, "accuracy": clean, "relative": 1.0}
        )
        for corruption, loss in (("noise", 0.1), ("blur", 0.05)):
            for severity in range(1, 6):
                share = 1 - loss * severity
                rows.append(
                    name
                    | {"corruption": corruption, "severity": severity}
                    | {"accuracy": clean * share, "relative": share}
                )
    return pd.DataFrame(rows)


def test_robustness_by_corruption_is_the_mean_over_severities(frame):
    found = robustness.by_corruption(frame)
    assert list(found.index) == ["cifar10/vit/short", "cifar10/cct/short"]
    assert list(found.columns) == ["clean accuracy", "noise", "blur", "mean"]
    np.testing.assert_allclose(found.loc["cifar10/vit/short"], [0.8, 0.7, 0.85, 0.775])
    accuracy = robustness.by_corruption(frame, "accuracy")
    assert accuracy.loc["cifar10/cct/short", "noise"] == pytest.approx(0.35)


def test_robustness_has_a_panel_a_corruption_and_a_line_a_model(frame):
    figure = plots.robustness(frame)
    noise, blur, unused = figure.axes
    assert (noise.get_title(), blur.get_title()) == ("noise", "blur")
    assert not unused.axison
    vit, cct = noise.lines
    assert vit.get_color() == plots.colour("vit")
    assert cct.get_color() == plots.colour("cct")
    np.testing.assert_allclose(vit.get_ydata(), [1, 0.9, 0.8, 0.7, 0.6, 0.5])
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["ViT", "CCT-2/3x2"]
    both = plots.robustness(pd.concat([frame, frame.assign(recipe="matched", experiment="x")]))
    assert [text.get_text() for text in both.legends[0].get_texts()][2:] == ["short", "matched"]


def test_agreement_writes_kappa_and_outlines_the_baseline():
    kappa = pd.DataFrame([[0.7, 0.4], [0.4, np.nan]], ["vit", "cct"], ["vit", "cct"])
    axes = plots.agreement(kappa).axes[0]
    assert [text.get_text() for text in axes.texts if text.get_text()] == ["0.70", "0.40", "0.40"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["ViT", "CCT-2/3x2"]
    assert [patch.get_xy() for patch in axes.patches] == [(0, 0), (1, 1)]
    with pytest.raises(ValueError, match=r"agreement\.matrix"):
        plots.agreement(kappa[["cct", "vit"]])


def test_embedding_crosses_what_is_wrong():
    frame = pd.DataFrame(
        {
            "experiment": "cifar10/vit/short",
            "model": "vit",
            "recipe": "short",
            "label": [0, 1, 1, 0],
            "correct": [True, True, False, True],
            "x": [0.0, 1, 2, 3],
            "y": [3.0, 2, 1, 0],
        }
    )
    axes = plots.embedding(frame, ["cat", "dog"]).axes[0]
    cat, dog, wrong = axes.lines
    assert (list(cat.get_xdata()), list(dog.get_xdata())) == ([0, 3], [1])
    assert (list(wrong.get_xdata()), wrong.get_marker()) == ([2], "x")
    assert axes.get_title() == "ViT, short: 75.0%"


@pytest.mark.parametrize("room", [robustness, embedding])
def test_a_table_that_is_not_there_says_how_to_compute_it(room, monkeypatch, tmp_path):
    monkeypatch.setattr(config, "FIGURES", tmp_path)
    with pytest.raises(FileNotFoundError, match="run python -m helpers"):
        room.table()
