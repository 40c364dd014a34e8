"""How training went: over epochs, over operations, over the trials of a search."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from helpers.results.plots.layout import add_legend, check_columns, new_figure, new_panels
from helpers.results.plots.style import AXIS_LABELS, GREY, WIDTH, colour, colours_of, label, marker

_MOST_CURVES = 8


def learning_curves(
    histories: Mapping[str, pd.DataFrame], score: str = "accuracy", by_loss: bool = False
) -> Figure:
    """Draw loss and a score against the epoch: training dashed and light, validation solid.

    Each history has the columns `epoch`, `loss`, `val_loss` and `val_<score>`; the score in
    training is drawn where there is a column `<score>` (of macro recall, a run has none). A marker
    stands at the epoch of the highest validation score, the earlier one on a tie, or, with
    `by_loss`, at that of the lowest validation loss.
    """
    for history in histories.values():
        check_columns(history, ["epoch", "loss", "val_loss", f"val_{score}"])
    colours = colours_of(histories)
    figure, panels = new_panels(1, 2, WIDTH, 4)
    for name, history in histories.items():
        merit = -history["val_loss"] if by_loss else history[f"val_{score}"]
        best = history.iloc[int(merit.to_numpy().argmax())]
        style = {"color": colours[name]}
        for axes, column in zip(panels.flat, ("loss", score), strict=True):
            if column in history:
                axes.plot(history["epoch"], history[column], "--", lw=1.1, alpha=0.6, **style)
            validation = f"val_{column}"
            axes.plot(history["epoch"], history[validation], label=label(name), **style)
            axes.plot(best["epoch"], best[validation], marker(name), ms=7, mec="white", **style)
    texts = ("Loss (nats)", score.replace("_", " ").capitalize())
    for axes, text in zip(panels.flat, texts, strict=True):
        axes.set(xlabel="Epoch", ylabel=text)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
    key = [
        Line2D([], [], color=GREY, ls="--", lw=1.1, label="training"),
        Line2D([], [], color=GREY, label="validation"),
        Line2D([], [], color=GREY, ls="", marker="o", ms=7, mec="white", label="best epoch"),
    ]
    add_legend(figure, key, side="upper")
    add_legend(figure, panels[0, 0].get_legend_handles_labels()[0])
    return figure


def accuracy_over_cost(curves: Mapping[str, pd.DataFrame], cost: str) -> Figure:
    """Draw the best validation accuracy so far against what training has cost until then.

    Each curve has the columns `cost`, which is positive and rises, and `val_accuracy`, a row an
    epoch; its name is a model's, or `<model>/<anything>`, which gives the colour, and the text in
    the legend. Curves of one model differ in their dashes. Of more than eight curves, which nobody
    could tell apart, only the best of each model is drawn, and of these the best eight.
    """
    for curve in curves.values():
        check_columns(curve, [cost, "val_accuracy"])
    curves = _told_apart(curves)
    figure, axes = new_figure(height=4.8)
    axes.set_xscale("log")
    seen = {}
    for name, curve in curves.items():
        model, _, recipe = name.partition("/")
        dashes = ("-", "--", ":", "-.")[seen.setdefault(model, 0) % 4]
        seen[model] += 1
        text = f"{label(model)}, {recipe}" if recipe else label(model)
        axes.plot(
            curve[cost], curve["val_accuracy"].cummax(), dashes, color=colour(model), label=text
        )
    axes.set(xlabel=AXIS_LABELS.get(cost, cost), ylabel="Best validation accuracy so far")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(visible=True)
    add_legend(figure, axes.get_legend_handles_labels()[0])
    return figure


def _told_apart(curves: Mapping[str, pd.DataFrame]) -> Mapping[str, pd.DataFrame]:
    """At most `_MOST_CURVES` of the curves, in their order."""
    if len(curves) <= _MOST_CURVES:
        return curves
    best = {}  # by model
    for name in sorted(curves, key=lambda name: -curves[name]["val_accuracy"].max()):
        best.setdefault(name.partition("/")[0], name)
    chosen = list(best.values())[:_MOST_CURVES]
    return {name: curve for name, curve in curves.items() if name in chosen}


def trials(frame: pd.DataFrame) -> Figure:
    """Draw each trial's validation accuracy, a line a model, as a disc with the trial's number.

    `frame` has the columns `model`, `trial` and `validation accuracy`, a row a trial; models stand
    in order of their best one. Discs that would hide others stand above or below the line. A
    trial that diverged, whose accuracy is NaN, has none.
    """
    column = "validation accuracy"
    check_columns(frame, ["model", "trial", column])
    frame = frame.dropna(subset=column)
    best = frame.groupby("model")[column].max().sort_values(ascending=False)
    figure, axes = new_figure(height=0.9 + 0.6 * len(best))
    disc = 0.03 * np.ptp(frame[column])  # its width, on an axis that holds all trials
    for line, model in enumerate(best.index):
        rows = frame[frame["model"] == model].sort_values(column)
        axes.hlines(line, rows[column].min(), rows[column].max(), color=colour(model), lw=2)
        last = dict.fromkeys((0, 0.3, -0.3), -np.inf)  # by height, the disc farthest to the right
        for _, row in rows.iterrows():
            free = [height for height in last if row[column] - last[height] >= disc]
            height = free[0] if free else min(last, key=last.get)
            last[height] = row[column]
            place = (row[column], line - height)
            axes.plot(*place, "o", ms=14, color=colour(model), mec="white")
            text = str(row["trial"])
            axes.annotate(text, place, ha="center", va="center", color="white", fontsize=8)
    axes.set(xlabel="Validation accuracy", ylim=(len(best) - 0.4, -0.6))
    axes.set_yticks(range(len(best)), [label(model) for model in best.index])
    axes.grid(axis="x")
    return figure
