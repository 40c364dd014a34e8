"""What the evidence for an answer is: differences by seed, and curves beside published ones."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from helpers.results.plots.layout import add_legend, check_columns, new_figure, wrapped
from helpers.results.plots.style import GREY, INK, PALE, PALETTE

_DECIDED = PALETTE[0]
_TICKS = (-50, -20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50)


def questions(answers: pd.DataFrame, differences: pd.DataFrame) -> Figure:
    """Draw each seed's paired difference, and their mean with its interval, a row a test.

    The frames are those of the module `questions`, its `answer` and its `differences`. A seed is a
    dot below its row's mean, hollow where its difference had been seen when the question was
    written; a grey band is what does not matter, and the verdict stands beside. Points, from the
    first arm to the second, stand on an axis that is linear about 0 and logarithmic further out.
    """
    check_columns(answers, ["question", "test", "sides", "matters", "difference", "verdict"])
    check_columns(differences, ["question", "test", "difference", "planned", "fresh"])
    figure, axes = new_figure(height=1.3 + 0.48 * len(answers))
    axes.set_xscale("asinh", linear_width=1)
    axes.axvline(0, color=GREY, lw=1, zorder=1)
    named = []
    for line, row in enumerate(answers.to_dict("records")):
        answered = str(row["verdict"]).startswith("answered")
        colour = _DECIDED if answered else GREY
        axes.fill_betweenx(
            (line - 0.4, line + 0.4), -row["matters"], row["matters"], color=PALE, lw=0, zorder=0
        )
        axes.hlines(line - 0.12, row["low"], row["high"], color=colour, lw=2.2)
        axes.plot(row["difference"], line - 0.12, "D", ms=6, color=colour, mec="white")
        own = (differences["question"] == row["question"]) & (differences["test"] == row["test"])
        for seed in differences[own & differences["planned"]].to_dict("records"):
            fill = colour if seed["fresh"] else "white"
            place = (seed["difference"], line + 0.2)
            axes.plot(*place, "o", ms=4.5, mec=colour, mfc=fill, mew=1)
        beside = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": 8}
        verdict = wrapped(row["verdict"].removeprefix("answered: "), 20)
        axes.annotate(verdict, (1.02, line), color=INK if answered else GREY, **beside)
        question = row["question"].replace("_", " ")
        named.append(f"{row['sides']}\n{question}: {row['test']}")
    axes.set_yticks(range(len(answers)), named, fontsize=8)
    reach = max(2.5, 1.25 * answers[["low", "high", "difference"]].abs().max().max())
    left = min(-2.5, 1.25 * differences["difference"].min(), 1.25 * answers["low"].min())
    axes.set(xlabel="Difference (points)", xlim=(left, reach), ylim=(len(answers) - 0.4, -0.6))
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in _TICKS if left <= tick <= reach]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:+.0f}" if value else "0")
    )
    axes.grid(axis="x")
    dot = {"color": _DECIDED, "ls": ""}
    key = [
        Line2D([], [], color=_DECIDED, marker="D", mec="white", ms=6, label="mean, 95 % interval"),
        Line2D([], [], marker="o", ms=4.5, label="seed, fresh", **dot),
        Line2D([], [], marker="o", ms=4.5, mfc="white", label="seed, seen before", **dot),
        Patch(color=PALE, label="does not matter"),
    ]
    add_legend(figure, key)
    return figure
