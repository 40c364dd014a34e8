"""What notebooks show besides figures: sentences with computed numbers, and source code."""

import inspect
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from IPython.display import Markdown
from matplotlib.figure import Figure

from helpers import data
from helpers.records import runs
from helpers.results import metrics, plots


def say(*lines: str) -> Markdown:
    """Lines of Markdown, so that numbers in a sentence come from the runs and never grow old."""
    return Markdown("\n".join(lines))


def source(*functions: Callable) -> Markdown:
    """The code of functions of `helpers`, as it is, highlighted."""
    code = "\n\n".join(inspect.getsource(function).rstrip() for function in functions)
    return Markdown(f"```python\n{code}\n```")


def p_text(p_value: float) -> str:
    """A p-value as a sentence has it: "p = 0.012", or "p < 0.001"."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


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


def most_confused(confusion: np.ndarray, classes: Sequence[str], count: int = 3) -> str:
    """The classes that are most often taken for another, in percent: "cat → dog 11.2 %, ...".

    Args:
        confusion: int (C, C) of `metrics.confusion`, a row a true class.
        classes: the C names.
        count: how many of the C (C - 1) cells are named.
    """
    shares = 100 * confusion / confusion.sum(axis=1, keepdims=True)
    np.fill_diagonal(shares, -1)
    worst = np.argsort(-shares, axis=None, kind="stable")[:count]
    return ", ".join(
        f"{classes[row]} → {classes[column]} {shares[row, column]:.1f} %"
        for row, column in zip(*np.unravel_index(worst, shares.shape), strict=True)
    )


def sureness(chosen: Iterable[runs.Run]) -> str:
    """Mean confidence minus accuracy of runs, on the test set: "ViT +2.1 points (too sure)"."""
    texts = []
    for run in chosen:
        confidence = metrics.softmax(run.test_logits).max(axis=1).mean()
        excess = 100 * (confidence - run.info["test"]["accuracy"])
        word = "too sure" if excess > 0 else "too modest"
        texts.append(f"{plots.label(run.info['model'])} {excess:+.1f} points ({word})")
    return ", ".join(texts)
