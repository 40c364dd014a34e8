"""How models behave beside one another: corrupted images, common errors, features."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from helpers.results.plots.layout import (
    add_legend,
    check_columns,
    check_square,
    draw_cells,
    hide,
    new_figure,
    new_panels,
)
from helpers.results.plots.style import COUNTS, DASHES, GREY, INK, WIDTH, label, look_of

_CLASS_COLOURS = "tab10"  # ten, and the classes are ten


def robustness(frame: pd.DataFrame, score: str = "relative") -> Figure:
    """Draw a score over severity, a panel a corruption, a line an experiment.

    `frame` is that of `robustness.table`; `score` is `relative`, accuracy by that of the clean
    images, or `accuracy`. A model has its colour and marker; of several recipes each has a dash.
    Severity 0 are the clean images.
    """
    check_columns(frame, ["experiment", "model", "recipe", "corruption", "severity", score])
    clean = frame[frame["severity"] == 0]
    names = list(dict.fromkeys(frame.loc[frame["severity"] > 0, "corruption"]))
    recipes = list(dict.fromkeys(frame["recipe"]))
    dashes = dict(zip(recipes, DASHES, strict=False))
    rows = -(-len(names) // 3)
    figure, grid = new_panels(rows, 3, WIDTH, 0.6 + 2.3 * rows)
    for axes, name in zip(grid.flat, names, strict=False):
        panel = pd.concat([clean, frame[frame["corruption"] == name]])
        for _, line in panel.groupby("experiment", sort=False):
            look = look_of(line["model"].iloc[0])
            style = {"color": look.colour, "marker": look.marker, "ms": 4.5, "mec": "white"}
            dash = dashes[line["recipe"].iloc[0]]
            axes.plot(line["severity"], line[score], ls=dash, lw=1.4, **style)
        axes.set(title=name, xticks=range(6))
        axes.grid(axis="y")
    lowest = frame[score].min()
    for axes in grid.flat:
        axes.set_ylim(max(0, lowest - 0.05), None if score == "accuracy" else 1.05)
    for axes in grid[:, 0]:
        axes.set_ylabel("Accuracy / clean accuracy" if score == "relative" else "Accuracy")
    for axes in grid[-1]:
        axes.set_xlabel("Severity (0: clean)")
    hide(grid.flat[len(names) :])
    key = []
    for model in dict.fromkeys(frame["model"]):
        look = look_of(model)
        style = {"color": look.colour, "marker": look.marker, "mec": "white", "ms": 5}
        key.append(Line2D([], [], label=look.label, **style))
    if len(recipes) > 1:
        key += [Line2D([], [], color=GREY, ls=dashes[name], label=name) for name in recipes]
    add_legend(figure, key)
    return figure


def agreement(kappa: pd.DataFrame) -> Figure:
    """Draw the error consistency of each two models, a symmetric table of `agreement.matrix`.

    Outlined on the diagonal is the baseline: two seeds of one model.
    """
    if list(kappa.index) != list(kappa.columns):
        raise ValueError("rows and columns differ: pass a table of agreement.matrix")
    values = check_square(kappa, len(kappa), "models")
    names = [label(name) for name in kappa.index]
    side = 2.4 + 0.7 * len(kappa)
    figure, axes = new_figure(width=side + 0.6, height=0.9 * side)
    texts = np.where(np.isfinite(values), np.char.mod("%.2f", values), "")
    draw_cells(
        axes,
        values,
        texts,
        names,
        fontsize=9,
        cmap=COUNTS,
        vmin=0,
        vmax=1,
        square=True,
        cbar_kws={"label": "Error consistency (kappa)", "shrink": 0.8, "aspect": 25},
    )
    for place in range(len(kappa)):
        axes.add_patch(Rectangle((place, place), 1, 1, fill=False, ec=INK, lw=1.6))
    return figure


def embedding(frame: pd.DataFrame, classes: Sequence[str]) -> Figure:
    """Draw images as dots in two dimensions, a panel an experiment, a colour a true class.

    `frame` is that of `embedding.table`; images that the model gets wrong are black crosses in
    front. Axes have no unit: near and far are what counts, and t-SNE keeps the near alone.
    """
    check_columns(frame, ["experiment", "model", "recipe", "label", "correct", "x", "y"])
    colours = sns.color_palette(_CLASS_COLOURS, len(classes))
    groups = list(frame.groupby("experiment", sort=False))
    figure, grid = new_panels(1, len(groups), WIDTH, 1.0 + WIDTH / len(groups))
    for axes, (_, panel) in zip(grid.flat, groups, strict=True):
        for number in range(len(classes)):
            own = panel[(panel["label"] == number) & panel["correct"]]
            axes.plot(own["x"], own["y"], "o", ms=2.6, mew=0, color=colours[number])
        wrong = panel[~panel["correct"]]
        axes.plot(wrong["x"], wrong["y"], "x", ms=3.2, mew=0.8, color="black")
        first = panel.iloc[0]
        axes.set_title(f"{label(first['model'])}, {first['recipe']}: {panel['correct'].mean():.1%}")
        axes.set(xticks=[], yticks=[])
    dot = {"marker": "o", "ls": "", "mew": 0, "ms": 5}
    key = [
        Line2D([], [], color=colour, label=name, **dot)
        for colour, name in zip(colours, classes, strict=True)
    ]
    key.append(Line2D([], [], color="black", marker="x", ls="", ms=5, label="wrong"))
    add_legend(figure, key)
    return figure
