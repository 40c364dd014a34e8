"""What notebooks show besides figures: sentences with computed numbers, and source code."""

import inspect
from collections.abc import Callable

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
