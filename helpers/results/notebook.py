"""What several notebooks show: source code, and the pictures that a model gets wrong."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Sequence
from itertools import takewhile

import numpy as np
from matplotlib.figure import Figure
from pygments import highlight
from pygments.formatters import TerminalFormatter
from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, String, Token

from helpers import data
from helpers.records import runs
from helpers.results import metrics, plots

# As a notebook's own cells; on a light and on a dark page.
_SHADES = {
    Token: ("", ""),
    Keyword: ("green", "green"),
    String: ("red", "red"),
    Comment: ("blue", "blue"),
}


class Code:
    """Python code, which notebooks show in colours and, wherever they are opened, in monospace."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return highlight(self.text, PythonLexer(), TerminalFormatter(colorscheme=_SHADES)).rstrip()


def source(*functions: Callable) -> Code:
    """The code of functions of `helpers`, as it is, but for all of the docstring after its first
    paragraph."""
    return Code("\n\n\n".join(_with_short_docstring(function) for function in functions))


def _with_short_docstring(function):
    lines = textwrap.dedent(inspect.getsource(function)).rstrip().split("\n")
    definition = ast.parse("\n".join(lines)).body[0]
    first = definition.body[0]
    docstring = lines[first.lineno - 1 : first.end_lineno]
    paragraph = list(takewhile(str.strip, docstring))
    if ast.get_docstring(definition) and len(paragraph) < len(docstring):
        lines[first.lineno - 1 : first.end_lineno] = [*paragraph[:-1], f'{paragraph[-1]}"""']
    return "\n".join(lines)


def hardest_errors(run: runs.Run) -> Figure | None:
    """The sample's test images that a run gets wrong with the highest confidence."""
    sample = data.load_sample()
    logits = run.test_logits[sample.test_index]
    return errors_of(logits, sample.y_test, sample.x_test, sample.classes)


def errors_of(
    logits: np.ndarray,
    labels: np.ndarray,
    images: np.ndarray | data.pictures.PictureFiles,
    classes: Sequence[str],
    count: int = 12,
) -> Figure | None:
    """The images that are wrong with the highest confidence, six a row; None where none is.

    Above each: true class → prediction, and the confidence in it.

    Args:
        logits: float (N, C).
        labels: ints (N,).
        images: uint8 (N, S, S, 3), or files that give them.
        classes: the C names.
        count: how many at most.
    """
    wrong = metrics.most_confident_errors(logits, labels, count)
    if not len(wrong):
        return None
    confidence = metrics.softmax(logits).max(axis=1)
    titles = [
        f"{classes[labels[i]]} → {classes[logits[i].argmax()]}\n{confidence[i]:.2f}" for i in wrong
    ]
    return plots.image_grid(images[wrong], titles, columns=6)
