"""Scores of recorded runs: by class, by model, with intervals, and their calibration."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from helpers.results import metrics
from helpers.results.plots.layout import (
    MOST_CLASSES,
    add_legend,
    check_classes,
    check_columns,
    check_square,
    draw_bars,
    draw_cells,
    hide,
    name_points,
    new_figure,
    new_panels,
    tilt_labels,
)
from helpers.results.plots.style import (
    AXIS_LABELS,
    COUNTS,
    GREY,
    HEAT,
    INK,
    PALE,
    WIDTH,
    colour,
    colours_of,
    label,
    look_of,
    marker,
)

_FEW_NEGATIVES = 1e-3  # false positive rates below it rest on a handful of the 9,000 negatives
_RARE = 0.002  # of 10,000 images 20: fewer say little of a bin's accuracy


def class_distribution(counts: Mapping[str, np.ndarray], classes: Sequence[str]) -> Figure:
    """Draw each class's numbers of images, int (C,) by label, as bars with the number on top."""
    check_classes(counts, classes)
    figure, axes, bars = draw_bars(counts, classes, height=3.6)
    several = len(counts) > 1
    for container in bars:
        axes.bar_label(container, fmt="{:,.0f}", padding=3, fontsize=8.5, rotation=90 * several)
    axes.margins(y=0.18 if several else 0.1)
    axes.grid(visible=False)  # the numbers say it, and lines would cross them
    axes.set_ylabel("Images")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    add_legend(figure, bars)
    return figure


def confusion_matrix(matrix: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw numbers of images, int (C, C), rows true, columns predicted, in percent of the row.

    Colours are on a square-root scale, so that confusions show beside the diagonal; the text is
    left out for 0. More than 20 classes have room for neither text nor names.
    """
    matrix = check_square(matrix, len(classes), "classes")
    if not np.issubdtype(matrix.dtype, np.integer):
        raise ValueError(
            f"the matrix is {matrix.dtype}: pass numbers of images, which are integers"
        )
    percent = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    texts = np.where(matrix > 0, np.char.mod("%.1f", percent), "")
    fits = len(classes) <= MOST_CLASSES
    side = min(2.6 + 0.42 * len(classes), WIDTH)
    figure, axes = new_figure(width=side, height=0.88 * side)
    draw_cells(
        axes,
        percent,
        texts if fits else None,
        list(classes) if fits else [],
        fontsize=8 if len(classes) <= 10 else 6.5,
        cmap=COUNTS,
        norm=PowerNorm(0.5, vmin=0, vmax=100),
        square=True,
        cbar_kws={"label": "% of the true class", "shrink": 0.8, "aspect": 25},
    )
    axes.set(xlabel="Predicted class", ylabel="True class")
    return figure


def per_class_bars(
    values: Mapping[str, np.ndarray],
    classes: Sequence[str],
    ylabel: str,
    highlight: Collection[str] = (),
) -> Figure:
    """Draw each class's score, float (C,) by label, as bars; mark the classes in `highlight`."""
    check_classes(values, classes)
    unknown = sorted(set(highlight) - set(classes))
    if unknown:
        raise ValueError(f"highlight has {unknown}: choose from the classes {list(classes)}")
    figure, axes, bars = draw_bars(values, classes, height=3.6)
    for name in highlight:
        position = list(classes).index(name)
        axes.axvspan(position - 0.5, position + 0.5, color=PALE, zorder=0, lw=0)
        axes.get_xticklabels()[position].set_fontweight("bold")
    axes.set_ylabel(ylabel)
    add_legend(figure, bars)
    return figure


def recall_heatmap(frame: pd.DataFrame, highlight: Collection[str] = ()) -> Figure:
    """Draw each model's recall of each class, in percent, as coloured cells with their numbers.

    `frame` has a row a model, by its name or any label, and a column a class, fractions of 1;
    columns in `highlight` are in bold.
    """
    unknown = sorted(set(highlight) - set(frame.columns))
    if unknown:
        raise ValueError(f"highlight has {unknown}: choose from {list(frame.columns)}")
    if frame.empty:
        raise ValueError("there is nothing to draw: pass at least one model's recall by class")
    percent = 100 * frame.to_numpy(dtype=float)
    names = [label(name) for name in frame.index]
    figure, axes = new_figure(height=1.4 + 0.32 * len(frame))
    sns.heatmap(
        percent,
        annot=np.char.mod("%.0f", percent),
        fmt="",
        annot_kws={"fontsize": 9},
        xticklabels=list(frame.columns),
        yticklabels=names,
        linewidths=0.7,
        cmap=HEAT,
        ax=axes,
        cbar_kws={"label": "Recall (%)", "aspect": 15},
    )
    axes.tick_params(length=0, axis="both")
    axes.tick_params(axis="y", rotation=0)
    tilt_labels(axes)
    for tick in axes.get_xticklabels():
        if tick.get_text() in highlight:
            tick.set_fontweight("bold")
    return figure


def roc_curves(curves: Mapping[str, pd.DataFrame], areas: Mapping[str, float]) -> Figure:
    """Draw ROC curves by label, the false positive rate on a logarithmic axis.

    Each curve is a table of `roc.mean_curve`; `areas` are the areas under them by the same labels,
    which the legend gives (macro one-vs-rest, `roc_auc_ovr` of a record). Rates below 0.001, of
    some ten images, are left out; the dashed line is chance.
    """
    if set(areas) != set(curves):
        raise ValueError(
            f"areas are those of {sorted(areas)}, curves those of {sorted(curves)}: "
            "pass one area a curve"
        )
    colours = colours_of(curves)
    figure, axes = new_figure(height=4.6)
    rates = ["false positive rate", "true positive rate"]
    for name, curve in curves.items():
        check_columns(curve, rates)
        drawn = curve[curve[rates[0]] >= _FEW_NEGATIVES]
        text = f"{label(name)}: {areas[name]:.3f}"
        axes.plot(*(drawn[rate] for rate in rates), color=colours[name], label=text)
    chance = np.geomspace(_FEW_NEGATIVES, 1, 50)
    axes.plot(chance, chance, "--", color=GREY, lw=1)
    axes.set(xscale="log", xlim=(_FEW_NEGATIVES, 1), ylim=(0, 1.01))
    axes.set(xlabel="False positive rate", ylabel="True positive rate, mean over classes")
    axes.grid(visible=True)
    axes.legend(loc="lower right", frameon=True, edgecolor="none")  # where no curve goes
    return figure


def grouped_bars(
    frame: pd.DataFrame, ylabel: str, errors: tuple[pd.DataFrame, pd.DataFrame] | None = None
) -> Figure:
    """Draw a group of bars for each row of `frame`, a bar for each column.

    `errors` are the lower and upper ends of intervals (not distances from the value): two frames
    with the rows and columns of `frame`.
    """
    for ends in errors or ():
        if not (ends.index.equals(frame.index) and ends.columns.equals(frame.columns)):
            raise ValueError(
                "errors must have the rows and columns of frame, in its order: pass "
                "low.loc[frame.index, frame.columns] and the same of high"
            )
    groups = [label(name) for name in frame.index]
    figure, axes, bars = draw_bars(dict(frame.items()), groups, height=3.9)
    for number, container in enumerate(bars if errors else ()):
        centres = [bar.get_x() + bar.get_width() / 2 for bar in container]
        axes.vlines(centres, *(ends.iloc[:, number] for ends in errors), color=INK, lw=1.2)
    axes.set_ylabel(ylabel)
    add_legend(figure, bars)
    return figure


def accuracy_against(
    frame: pd.DataFrame,
    x: str,
    y: str = "accuracy",
    low: str | None = None,
    high: str | None = None,
    front: bool = False,
) -> Figure:
    """Draw column `y` against column `x`, which is logarithmic, one point a row.

    Column `model` gives colour, marker and, unless there is a column `name`, the text; a text that
    several rows share stands at the first of them.
    `low` and `high` name columns with the ends of intervals around `y`; where a column `seeds` is
    1, the marker is hollow. With `front`, a line steps
    along the Pareto front: the rows that none beats at the same `x` or less.
    """
    if (low is None) != (high is None):
        raise ValueError("low and high belong together: name both columns, or neither")
    low, high = low or y, high or y
    check_columns(frame, ["model", x, y, low, high])
    if not (frame[x] > 0).all():
        raise ValueError(f"{x} has values that no logarithmic axis can show: pass positive ones")
    figure, axes = new_figure(height=4.6)
    axes.set_xscale("log")
    corners = np.empty((0, 2))
    if front:
        steps = frame.sort_values([x, y], ascending=[True, False])
        steps = steps[steps[y] > steps[y].cummax().shift(fill_value=-np.inf)]
        corners = np.repeat(steps[[x, y]].to_numpy(float), 2, axis=0)
        corners = np.column_stack([corners[1:, 0], corners[:-1, 1]])
        axes.plot(*corners.T, color=GREY, lw=1.1, zorder=1)
    for _, row in frame.iterrows():
        style = {"color": colour(row["model"]), "lw": 1.4}
        axes.plot([row[x], row[x]], [row[low], row[high]], **style, solid_capstyle="butt")
        hollow = row.get("seeds") == 1
        fill = {"mfc": "white", "mew": 1.4} if hollow else {"mec": "white"}
        axes.plot(row[x], row[y], marker(row["model"]), **style, **fill, ms=7.5)
    axes.set(xlabel=AXIS_LABELS.get(x, x), ylabel=AXIS_LABELS.get(y, y))
    axes.margins(0.09, 0.12)
    axes.grid(visible=True)
    within_a_decade = frame[x].max() < 10 * frame[x].min()
    ticks = (1, 1.5, 2, 3, 4, 6, 8) if within_a_decade else (1, 2, 5)
    axes.xaxis.set_major_locator(LogLocator(subs=ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    name_points(axes, frame, x, y, low, high, corners)
    return figure


def scores_with_intervals(
    frame: pd.DataFrame, value: str, low: str, high: str, label: str, xlabel: str
) -> Figure:
    """Draw a dot and an interval for each row of `frame`, the highest on top, beside its numbers.

    `value`, `low`, `high` and `label` name columns; `low` and `high` are the interval's ends. The
    look is the model's: that of column `model` where there is one, else that of `label`.
    """
    check_columns(frame, [value, low, high, label])
    frame = frame.sort_values(value, kind="stable")
    figure, axes = new_figure(height=0.9 + 0.34 * len(frame))
    models = frame["model" if "model" in frame else label]
    scores = frame[[value, low, high]].to_numpy(dtype=float)
    for position, (name, (score, start, end)) in enumerate(zip(models, scores, strict=True)):
        look = look_of(name)
        axes.hlines(position, start, end, color=look.colour, lw=2.2)
        axes.plot(score, position, look.marker, color=look.colour, ms=8, mec="white")
        text = f"{score:.3f} [{start:.3f}, {end:.3f}]"
        beside = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": 9}
        axes.annotate(text, (1.02, position), **beside)
    axes.set_yticks(range(len(frame)), [look_of(name).label for name in frame[label]])
    axes.set(xlabel=xlabel, ylim=(-0.6, len(frame) - 0.4))
    axes.grid(axis="x")
    return figure


def reliability(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw a reliability diagram by label: the accuracy of bins against their mean confidence.

    Each table has a row a bin and the columns `lower`, `upper`, `count`, `confidence` and
    `accuracy`; of bins with less than 0.2 % of the images no accuracy is drawn. Bars are each
    bin's share of the images, and the titles give the expected calibration error over all bins
    (Guo et al. 2017, section 2).
    """
    for table in tables.values():
        check_columns(table, ["lower", "upper", "count", "confidence", "accuracy"])
    colours = colours_of(tables)
    columns = 2 if len(tables) == 4 else min(len(tables), 3)
    rows = -(-len(tables) // columns)
    figure, grid = new_panels(rows, columns, max(columns, 2) * WIDTH / 3, 0.5 + 2.75 * rows)
    for number, (name, table) in enumerate(tables.items()):
        axes, table = grid.flat[number], table[table["count"] > 0]
        share = table["count"] / table["count"].sum()
        drawn = table[share >= _RARE]
        error = metrics.ece_of(table)
        width = table["upper"] - table["lower"]
        axes.bar(table["lower"], share, width, align="edge", color="#D9D9D9", ec="white", lw=0.5)
        axes.plot([0, 1], [0, 1], "--", color=GREY, lw=1)
        style = {"color": colours[name], "marker": marker(name), "ms": 5, "mec": "white"}
        axes.plot(drawn["confidence"], drawn["accuracy"], **style, clip_on=False)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=f"{label(name)}: ECE {error:.3f}")
        axes.set_ylabel("Accuracy" if number % columns == 0 else "")
        axes.set_xlabel("Confidence" if number + columns >= len(tables) else "")
    hide(grid.flat[len(tables) :])
    key = [
        Line2D([], [], color=GREY, marker="o", mec="white", ms=5, label="accuracy of a bin"),
        Line2D([], [], color=GREY, ls="--", lw=1, label="perfect calibration"),
        Patch(color="#D9D9D9", label="share of the images"),
    ]
    add_legend(figure, key, side="upper")
    return figure
