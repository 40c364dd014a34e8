"""What the evidence for an answer is: differences by seed, and curves beside published ones."""

from itertools import cycle

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from helpers.results.plots.layout import (
    add_legend,
    check_columns,
    hide,
    new_figure,
    new_panels,
    wrapped,
)
from helpers.results.plots.style import GREY, INK, PALE, PALETTE, WIDTH, look_of

_DECIDED = PALETTE[0]


def questions(answers: pd.DataFrame, differences: pd.DataFrame) -> Figure:
    """Draw each seed's paired difference, and their mean with its interval, a row a test.

    The frames are those of the module `questions`, its `answer` and its `differences`. A seed is a
    dot below its row's mean, hollow where its difference had been seen when the question was
    written; a grey band is what does not matter, and the verdict stands beside. Differences are in
    points, the second arm minus the first.
    """
    check_columns(answers, ["question", "setting", "test", "sides", "matters", "verdict"])
    check_columns(differences, ["question", "test", "difference", "planned", "fresh"])
    figure, axes = new_figure(height=1.3 + 0.48 * len(answers))
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
        verdict = row["verdict"].removeprefix("answered: ")
        if answered:
            verdict = f"{row['difference']:+.1f}: {verdict}"
        axes.annotate(wrapped(verdict, 26), (1.02, line), color=INK if answered else GREY, **beside)
        first, second = row["sides"].split(" → ")
        parts = row["test"].split(", ")  # whom it is against, the arms say
        told = [row["setting"], *(part for part in parts if not part.startswith("against"))]
        named.append(f"{second} minus {first}\n{', '.join(told)}")
    axes.set_yticks(range(len(answers)), named, fontsize=8)
    reach = max(2.5, 1.1 * answers[["low", "high", "difference"]].abs().max().max())
    left = min(-2.5, 1.1 * differences["difference"].min(), 1.1 * answers["low"].min())
    axes.set(xlabel="Difference (points)", xlim=(left, reach), ylim=(len(answers) - 0.4, -0.6))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:+.0f}" if value else "0")
    )
    axes.grid(axis="x")
    dot = {"color": _DECIDED, "ls": ""}
    key = [
        Line2D([], [], color=_DECIDED, marker="D", mec="white", ms=6, label="mean, 95 % interval"),
        Line2D([], [], marker="o", ms=4.5, label="seed, fresh", **dot),
        Line2D([], [], marker="o", ms=4.5, mfc="white", label="seed, seen before", **dot),
        Patch(color=PALE, label="too little to matter"),
    ]
    add_legend(figure, key)
    return figure


def reproductions(frame: pd.DataFrame) -> Figure:
    """Draw our accuracy over the published one, epoch by epoch, a panel a system.

    `frame` is that of `published.curves`. The published curve is black with dots; ours is in the
    model's colour, each seed thin and their mean thick; ablations, means over their seeds, are
    dashed. A panel without a run of ours says so.
    """
    check_columns(frame, ["system", "run", "model", "seed", "epoch", "accuracy"])
    systems = list(dict.fromkeys(frame["system"]))
    rows = -(-len(systems) // 2)
    figure, grid = new_panels(rows, 2, WIDTH, 0.7 + 2.5 * rows)
    ablations = [run for run in dict.fromkeys(frame["run"]) if run not in ("ours", "published")]
    dashes = dict(zip(ablations, cycle(("--", ":", "-.")), strict=False))
    for axes, system in zip(grid.flat, systems, strict=False):
        panel = frame[frame["system"] == system]
        look = look_of(panel["model"].iloc[0])
        ours = panel[panel["run"] == "ours"]
        for _, seed in ours.groupby("seed"):
            axes.plot(seed["epoch"], seed["accuracy"], color=look.colour, lw=0.7, alpha=0.6)
        for run, style in (*dashes.items(), ("ours", "-")):
            mean = panel[panel["run"] == run].groupby("epoch")["accuracy"].mean()
            axes.plot(mean.index, mean, style, color=look.colour, lw=2.4 if run == "ours" else 1.3)
        theirs = panel[panel["run"] == "published"]
        axes.plot(theirs["epoch"], theirs["accuracy"], ".-", color="black", lw=1, ms=5)
        seeds = ours["seed"].nunique()
        count = f"{seeds} seed{'s' * (seeds != 1)}" if seeds else "not recorded yet"
        axes.set_title(f"{system} ({count})")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
    hide(grid.flat[len(systems) :])
    for axes in grid[:, 0]:
        axes.set_ylabel("Accuracy (%)")
    for axes in grid[-1]:
        axes.set_xlabel("Epoch")
    key = [
        Line2D([], [], color="black", marker=".", lw=1, label="published"),
        Line2D([], [], color=GREY, lw=2.4, label="ours, mean"),
        Line2D([], [], color=GREY, lw=0.7, label="ours, a seed"),
        *(Line2D([], [], color=GREY, ls=style, lw=1.3, label=run) for run, style in dashes.items()),
    ]
    add_legend(figure, key)
    return figure
