"""What notebooks print is what the numbers say."""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pytest

from helpers import data
from helpers.results import notebook


@pytest.mark.parametrize(
    ("p_value", "text"),
    [(0.0004, "p < 0.001"), (0.001, "p = 0.001"), (0.0456, "p = 0.046"), (1.0, "p = 1.000")],
)
def test_p_text(p_value, text):
    assert notebook.p_text(p_value) == text


def test_source_is_what_runs():
    shown = notebook.source(notebook.say).data
    assert shown.startswith("```python\ndef say(*lines: str) -> Markdown:\n")
    assert shown.endswith('return Markdown("\\n".join(lines))\n```')


@dataclass
class Predicted:
    """As much of a run as its hardest errors need."""

    test_logits: np.ndarray


def test_hardest_errors_shows_the_most_confident_first():
    plt.switch_backend("Agg")
    sample = data.load_sample()
    logits = np.zeros((10_000, 10), np.float32)
    logits[sample.test_index, sample.y_test] = 9  # right, but for two images
    for position, margin in ((500, 1.0), (7, 3.0)):
        logits[sample.test_index[position]] = 0
        wrong = (sample.y_test[position] + 1) % 10
        logits[sample.test_index[position], wrong] = margin
    figure = notebook.hardest_errors(Predicted(logits))
    titles = [axes.get_title() for axes in figure.axes]
    names = sample.classes
    assert len(titles) == 2
    for title, position, margin in zip(titles, (7, 500), (3.0, 1.0), strict=True):
        label = sample.y_test[position]
        confidence = np.exp(margin) / (np.exp(margin) + 9)
        expected = f"{names[label]} → {names[(label + 1) % 10]} {confidence:.2f}"
        assert " ".join(title.split()) == expected
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), sample.x_test[7])
    plt.close("all")


def test_most_confused_names_the_largest_shares_of_a_row():
    confusion = np.array([[80, 20, 0], [3, 5, 2], [1, 0, 9]])
    text = notebook.most_confused(confusion, ("cat", "dog", "ship"), count=3)
    assert text == "dog → cat 30.0 %, cat → dog 20.0 %, dog → ship 20.0 %"


@dataclass
class Scored:
    """As much of a run as its mean confidence needs."""

    test_logits: np.ndarray
    info: dict


def test_sureness_is_mean_confidence_minus_accuracy():
    logits = np.log([[0.75, 0.25], [0.35, 0.65]])
    chosen = [Scored(logits, {"model": "vit", "test": {"accuracy": a}}) for a in (0.5, 1.0)]
    assert notebook.sureness(chosen) == "ViT +20.0 points (too sure), ViT -30.0 points (too modest)"
