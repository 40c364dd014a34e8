"""What several notebooks show: source code, and the pictures that a model gets wrong."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from itertools import takewhile

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


def hardest_errors(run: runs.Run, count: int = 12) -> Figure:
    """The sample's test images that a run gets wrong with the highest confidence, six a row.

    Above each: true class → prediction, and the confidence in it.
    """
    sample = data.load_sample()
    logits = run.test_logits[sample.test_index]
    confidence = metrics.softmax(logits).max(axis=1)
    wrong = metrics.most_confident_errors(logits, sample.y_test, count)
    titles = [
        f"{sample.classes[sample.y_test[i]]} → {sample.classes[logits[i].argmax()]}\n"
        f"{confidence[i]:.2f}"
        for i in wrong
    ]
    return plots.image_grid(sample.x_test[wrong], titles, columns=6)
