"""What notebooks print is what the numbers say."""

import inspect
import re
import textwrap
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

from helpers import data
from helpers.results import notebook


def shown(function) -> str:
    """As the page shows it, without colours."""
    return re.sub(r"\x1b\[[\d;]*m", "", repr(notebook.source(function)))


def test_source_is_what_runs():
    expected = inspect.getsource(notebook.Code.__repr__)
    assert shown(notebook.Code.__repr__) == textwrap.dedent(expected).rstrip()
    assert repr(notebook.source(notebook.source)) != shown(notebook.source)  # it has colours


def test_source_keeps_the_first_paragraph_of_a_docstring():
    def documented(x):
        """One line,
        and a second.

        Args:
            x: a number.
        """
        return x  # """

    code = shown(documented)
    assert code == (
        'def documented(x):\n    """One line,\n    and a second."""\n    return x  # """'
    )
    compile(code, "", "exec")


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


@dataclass
class Scored:
    """As much of a run as its mean confidence needs."""

    test_logits: np.ndarray
    info: dict
