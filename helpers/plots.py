"""Every figure of the study, in one style.

Functions take arrays and data frames and return a matplotlib figure; nothing here knows of Keras.
A notebook shows each open figure once, at the end of its cell: assign what a function returns
(`figure = learning_curves(...)`) or end the line with a semicolon, or the value is shown as well.
A model has one colour, marker and display name in all figures. Scores are fractions of 1, as in
the recorded runs; only the confusion matrix shows percentages.
"""

import io
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain, cycle, pairwise
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython import get_ipython
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox
from PIL import Image

from helpers import config, metrics


class _Look(NamedTuple):
    label: str
    colour: str
    marker: str


# A family is told by its marker and hues, a member by its lightness. For readers who confuse red
# and green or blue and yellow, the nearest two colours are still 16 CIELAB units apart.
_MODELS = {
    "cnn_baseline": _Look("CNN baseline", "#56B4E9", "o"),
    "resnet20": _Look("ResNet-20", "#0072B2", "o"),
    "resnet18": _Look("ResNet-18", "#0A2A5E", "o"),
    "fast_cnn": _Look("Fast CNN", "#7200CC", "o"),
    "vit": _Look("ViT", "#D55E00", "s"),
    "vit_lite": _Look("ViT-Lite-7/4", "#F0A500", "s"),
    "vit_128": _Look("ViT at 128 px", "#7F2A00", "s"),
    "hybrid_token": _Look("CNN-token hybrid", "#009E73", "D"),
    "hybrid_dual": _Look("Dual-branch hybrid", "#CC79A7", "D"),
    "fast_hybrid": _Look("Fast hybrid", "#96C369", "D"),
    "cct": _Look("CCT-2/3x2", "#005C42", "D"),
}
# For what is no model, Tol's muted colours, none of them a model's; those faint on white come last.
_PALETTE = ["#332288", "#CC6677", "#999933", "#882255", "#AA4499", "#000000", "#DDCC77", "#88CCEE"]
_INK, _GREY, _PALE = "#262626", "#7F7F7F", "#EDEDED"
_HEAT, _SIGNED, _COUNTS = "viridis", "RdBu_r", "Blues"
# Methods of explanation have the same line everywhere; what they are compared with is grey.
_DASHES = ("-", "--", "-.", ":", (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (9, 2)))
_LINES = {
    "Grad-CAM": ("#332288", "-"),
    "Grad-CAM++": ("#AA4499", "--"),
    "HiResCAM": ("#88CCEE", "-."),
    "SmoothGrad": ("#CC6677", ":"),
    "Occlusion": ("#999933", "-."),
    "Attention rollout": ("#882255", _DASHES[4]),
    "Attention x gradient": ("#000000", _DASHES[5]),
    "Random map": (_GREY, ":"),
    "Centre Gaussian": (_GREY, "-"),
}

_WIDTH = 8.2  # inches: 900 pixels at the resolution of inline figures
_INLINE_DPI, _SAVED_DPI = 110, 150
# The error, but for a thousandth, of a picture stored in few colours, of 255 levels: a file's, and
# that of a notebook's pictures, which otherwise make it several times as large.
_UNSEEN, _INLINE_UNSEEN = 6, 16
_LAYOUT = "compressed"  # constrained layout that also holds for images of fixed aspect
_RARE = 0.002  # of 10,000 images 20: fewer say little of a bin's accuracy
_MOST_CLASSES = 20  # that bars and cells can be labelled for
# Names stand beside points at the first gap or, with a line that leads to the point, at the second.
_NAME_SIZE, _NAME_GAPS = 9, (7, 20)  # typographic points
_CHARACTER = 0.009  # inches: about the width of a character, a point of its size
_LEADER = {"arrowstyle": "-", "color": _GREY, "lw": 0.7, "shrinkA": 0, "shrinkB": 6}

_AXIS_LABELS = {
    "parameters": "Parameters",
    "macs": "MACs per image",
    "minutes": "Training time (minutes)",
    "seconds_training": "Training time (s)",
    "training_flops": "Training (floating-point operations)",
    "images_per_second": "Throughput (images/s)",
    "accuracy": "Test accuracy",
    "validation_accuracy": "Validation accuracy",
    "macro_precision": "Macro precision",
    "macro_recall": "Macro recall",
    "macro_f1": "Macro F1",
    "roc_auc_ovr": "One-vs-rest ROC AUC",
    "nll": "Negative log-likelihood (nats)",
    "ece": "Expected calibration error",
}


def use_style() -> None:
    """Set the defaults of all figures; call it once at the top of a notebook.

    In a notebook, figures are from then on shown as `png` makes them, in few colours wherever the
    eye can do without the rest, so that its file stays small.
    """
    rc = {
        "figure.dpi": _INLINE_DPI,
        "savefig.dpi": _SAVED_DPI,
        "axes.edgecolor": _GREY,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": "#DDDDDD",
        "legend.frameon": False,
        "lines.linewidth": 1.7,
    }
    # DejaVu Sans comes with matplotlib, so that text is the same everywhere: 10 pt, ticks 9 pt.
    sns.set_theme("paper", "ticks", _PALETTE, "DejaVu Sans", font_scale=1.05, rc=rc)
    shell = get_ipython()
    if shell is not None:
        plt.switch_backend(plt.get_backend())  # loaded later, it would undo the next line
        formatter = shell.display_formatter.formatters["image/png"]
        formatter.for_type(Figure, lambda figure: png(figure, _INLINE_DPI, _INLINE_UNSEEN))


def save(figure: Figure, name: str) -> Path:
    """Write `figure` to `config.FIGURES / f"{name}.png"` and return that path.

    `name` may hold a folder ("02_cnn/learning_curves"), which is made. The file keeps neither date
    nor version, so that drawing it again gives the same bytes.
    """
    path = config.FIGURES / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(figure))
    return path


def png(figure: Figure, dpi: int = _SAVED_DPI, unseen: float = _UNSEEN) -> bytes:
    """Return the figure as a PNG, a third as large as matplotlib's own where 256 colours will do.

    They will if all but a thousandth of the values, 0 to 255, change by at most `unseen`: those of
    lines, bars and matrices, not of photographs, nor, in a file, of maps drawn over them.
    """
    drawn, stored = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi, bbox_inches="tight")
    whole = Image.open(drawn).convert("RGB")
    few = whole.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    error = np.abs(np.asarray(few.convert("RGB"), float) - np.asarray(whole))
    enough = np.quantile(error, 0.999) <= unseen
    (few if enough else whole).save(stored, "PNG", optimize=True, dpi=(dpi, dpi))
    return stored.getvalue()


def colour(model_name: str) -> str:
    """Return the model's colour, as a hexadecimal string; grey if the model is unknown."""
    return _look(model_name).colour


def marker(model_name: str) -> str:
    """Return the marker of the model's family; a circle if the model is unknown."""
    return _look(model_name).marker


def label(model_name: str) -> str:
    """Return the model's display name; the name itself if the model is unknown."""
    return _look(model_name).label


# --- data and images ----------------------------------------------------------------------------


def class_distribution(counts: Mapping[str, np.ndarray], classes: Sequence[str]) -> Figure:
    """Draw each class's numbers of images, int (C,) by label, as bars with the number on top."""
    _check_classes(counts, classes)
    figure, axes, bars = _bars(counts, classes, height=3.6)
    several = len(counts) > 1
    for container in bars:
        axes.bar_label(container, fmt="{:,.0f}", padding=3, fontsize=8.5, rotation=90 * several)
    axes.margins(y=0.18 if several else 0.1)
    axes.grid(visible=False)  # the numbers say it, and lines would cross them
    axes.set_ylabel("Images")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    _legend(figure, bars)
    return figure


def image_grid(
    images: np.ndarray,
    titles: Sequence[str] | None = None,
    columns: int = 10,
    row_labels: Sequence[str] | None = None,
    title_colours: Sequence[str] | None = None,
) -> Figure:
    """Draw uint8 images (N, H, W, 3) in rows of `columns`, left to right.

    `titles` and `title_colours` have one entry an image, `row_labels` one a row. Long titles are
    broken at spaces; a "\\n" in them breaks the line too.
    """
    _check_images(images)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    titles = _entries("titles", titles, len(images), "image") or [""] * len(images)
    title_colours = _entries("title_colours", title_colours, len(images), "image")
    row_labels = _entries("row_labels", row_labels, rows, "row")
    margin = _room(row_labels)
    side = min((_WIDTH - margin) / columns, 1.6)
    titles = [_wrap(title, side / 0.062) for title in titles]
    lines = max(title.count("\n") + bool(title) for title in titles)
    height = rows * (side + 0.05 + 0.13 * lines)
    figure, grid = _panels(rows, columns, margin + side * columns, height)
    for axes, image, title in zip(grid.flat, images, titles, strict=False):
        _show(axes, image)
        axes.set_title(title, fontsize=7.5, pad=2)
    for axes, text_colour in zip(grid.flat, title_colours, strict=False):
        axes.title.set_color(text_colour)
    _name_rows(grid, row_labels)
    _hide(grid.flat[len(images) :])
    return figure


def channel_histograms(images: np.ndarray) -> Figure:
    """Draw how the pixels of uint8 images (N, H, W, 3) are distributed, channel by channel."""
    _check_images(images)
    figure, axes = _figure(height=3.2)
    values = np.arange(256)
    styles = (("Red", "#D55E00", "-"), ("Green", "#009E73", "--"), ("Blue", "#0072B2", ":"))
    for channel, (name, line_colour, style) in enumerate(styles):
        # Block by block, since bincount makes eight bytes of each pixel.
        blocks = np.array_split(images[..., channel], len(images) // 1000 + 1)
        counts = sum(np.bincount(block.ravel(), minlength=256) for block in blocks)
        share = counts / counts.sum()
        mean = share @ values
        deviation = np.sqrt(share @ (values - mean) ** 2)
        text = f"{name} (mean {mean:.1f}, SD {deviation:.1f})"
        axes.plot(values, 100 * share, style, color=line_colour, label=text)
    axes.set(xlabel="Pixel value (0 to 255)", ylabel="Pixels (%)", xlim=(-3, 258), ylim=(0, None))
    axes.set_xticks([0, 64, 128, 192, 255])
    axes.grid(axis="y")
    _legend(figure, axes.lines)
    return figure


# --- training and scores ------------------------------------------------------------------------


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
        _check_columns(history, ["epoch", "loss", "val_loss", f"val_{score}"])
    colours = _colours(histories)
    figure, panels = _panels(1, 2, _WIDTH, 4)
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
        Line2D([], [], color=_GREY, ls="--", lw=1.1, label="training"),
        Line2D([], [], color=_GREY, label="validation"),
        Line2D([], [], color=_GREY, ls="", marker="o", ms=7, mec="white", label="best epoch"),
    ]
    _legend(figure, key, side="upper")
    _legend(figure, panels[0, 0].get_legend_handles_labels()[0])
    return figure


def confusion_matrix(matrix: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw numbers of images, int (C, C), rows true, columns predicted, in percent of the row.

    Colours are on a square-root scale, so that confusions show beside the diagonal; the text is
    left out for 0. More than 20 classes have room for neither text nor names.
    """
    matrix = _check_square(matrix, len(classes), "classes")
    if not np.issubdtype(matrix.dtype, np.integer):
        raise ValueError(
            f"the matrix is {matrix.dtype}: pass numbers of images, which are integers"
        )
    percent = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    texts = np.where(matrix > 0, np.char.mod("%.1f", percent), "")
    fits = len(classes) <= _MOST_CLASSES
    side = min(2.6 + 0.42 * len(classes), _WIDTH)
    figure, axes = _figure(width=side, height=0.88 * side)
    _cells(
        axes,
        percent,
        texts if fits else None,
        list(classes) if fits else [],
        fontsize=8 if len(classes) <= 10 else 6.5,
        cmap=_COUNTS,
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
    _check_classes(values, classes)
    unknown = sorted(set(highlight) - set(classes))
    if unknown:
        raise ValueError(f"highlight has {unknown}: choose from the classes {list(classes)}")
    figure, axes, bars = _bars(values, classes, height=3.6)
    for name in highlight:
        position = list(classes).index(name)
        axes.axvspan(position - 0.5, position + 0.5, color=_PALE, zorder=0, lw=0)
        axes.get_xticklabels()[position].set_fontweight("bold")
    axes.set_ylabel(ylabel)
    _legend(figure, bars)
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
    figure, axes, bars = _bars(dict(frame.items()), groups, height=3.9)
    for number, container in enumerate(bars if errors else ()):
        centres = [bar.get_x() + bar.get_width() / 2 for bar in container]
        axes.vlines(centres, *(ends.iloc[:, number] for ends in errors), color=_INK, lw=1.2)
    axes.set_ylabel(ylabel)
    _legend(figure, bars)
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
    `low` and `high` name columns with the ends of intervals around `y`. With `front`, a line steps
    along the Pareto front: the rows that none beats at the same `x` or less.
    """
    if (low is None) != (high is None):
        raise ValueError("low and high belong together: name both columns, or neither")
    low, high = low or y, high or y
    _check_columns(frame, ["model", x, y, low, high])
    if not (frame[x] > 0).all():
        raise ValueError(f"{x} has values that no logarithmic axis can show: pass positive ones")
    figure, axes = _figure(height=4.6)
    axes.set_xscale("log")
    corners = np.empty((0, 2))
    if front:
        steps = frame.sort_values([x, y], ascending=[True, False])
        steps = steps[steps[y] > steps[y].cummax().shift(fill_value=-np.inf)]
        corners = np.repeat(steps[[x, y]].to_numpy(float), 2, axis=0)
        corners = np.column_stack([corners[1:, 0], corners[:-1, 1]])
        axes.plot(*corners.T, color=_GREY, lw=1.1, zorder=1)
    for _, row in frame.iterrows():
        style = {"color": colour(row["model"]), "lw": 1.4}
        axes.plot([row[x], row[x]], [row[low], row[high]], **style, solid_capstyle="butt")
        axes.plot(row[x], row[y], marker(row["model"]), **style, ms=7.5, mec="white")
    axes.set(xlabel=_AXIS_LABELS.get(x, x), ylabel=_AXIS_LABELS.get(y, y))
    axes.margins(0.09, 0.12)
    axes.grid(visible=True)
    within_a_decade = frame[x].max() < 10 * frame[x].min()
    ticks = (1, 1.5, 2, 3, 4, 6, 8) if within_a_decade else (1, 2, 5)
    axes.xaxis.set_major_locator(LogLocator(subs=ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    _name_points(axes, frame, x, y, low, high, corners)
    return figure


def accuracy_over_cost(curves: Mapping[str, pd.DataFrame], cost: str) -> Figure:
    """Draw the best validation accuracy so far against what training has cost until then.

    Each curve has the columns `cost`, which is positive and rises, and `val_accuracy`, a row an
    epoch; its name is a model's, or `<model>/<anything>`, which gives the colour, and the text in
    the legend. Curves of one model differ in their dashes.
    """
    figure, axes = _figure(height=4.8)
    axes.set_xscale("log")
    seen = {}
    for name, curve in curves.items():
        _check_columns(curve, [cost, "val_accuracy"])
        model, _, recipe = name.partition("/")
        dashes = ("-", "--", ":", "-.")[seen.setdefault(model, 0) % 4]
        seen[model] += 1
        text = f"{label(model)}, {recipe}" if recipe else label(model)
        axes.plot(
            curve[cost], curve["val_accuracy"].cummax(), dashes, color=colour(model), label=text
        )
    axes.set(xlabel=_AXIS_LABELS.get(cost, cost), ylabel="Best validation accuracy so far")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(visible=True)
    _legend(figure, axes.get_legend_handles_labels()[0])
    return figure


def scores_with_intervals(
    frame: pd.DataFrame, value: str, low: str, high: str, label: str, xlabel: str
) -> Figure:
    """Draw a dot and an interval for each row of `frame`, the highest on top, beside its numbers.

    `value`, `low`, `high` and `label` name columns; `low` and `high` are the interval's ends. The
    look is the model's: that of column `model` where there is one, else that of `label`.
    """
    _check_columns(frame, [value, low, high, label])
    frame = frame.sort_values(value, kind="stable")
    figure, axes = _figure(height=0.9 + 0.34 * len(frame))
    models = frame["model" if "model" in frame else label]
    scores = frame[[value, low, high]].to_numpy(dtype=float)
    for position, (name, (score, start, end)) in enumerate(zip(models, scores, strict=True)):
        look = _look(name)
        axes.hlines(position, start, end, color=look.colour, lw=2.2)
        axes.plot(score, position, look.marker, color=look.colour, ms=8, mec="white")
        text = f"{score:.3f} [{start:.3f}, {end:.3f}]"
        beside = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": 9}
        axes.annotate(text, (1.02, position), **beside)
    axes.set_yticks(range(len(frame)), [_look(name).label for name in frame[label]])
    axes.set(xlabel=xlabel, ylim=(-0.6, len(frame) - 0.4))
    axes.grid(axis="x")
    return figure


def trials(frame: pd.DataFrame) -> Figure:
    """Draw each trial's validation accuracy, a line a model, as a disc with the trial's number.

    `frame` has the columns `model`, `trial` and `validation accuracy`, a row a trial; models stand
    in order of their best one. Discs that would hide others stand above or below the line. A
    trial that diverged, whose accuracy is NaN, has none.
    """
    column = "validation accuracy"
    _check_columns(frame, ["model", "trial", column])
    frame = frame.dropna(subset=column)
    best = frame.groupby("model")[column].max().sort_values(ascending=False)
    figure, axes = _figure(height=0.9 + 0.6 * len(best))
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


def reliability(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw a reliability diagram by label: the accuracy of bins against their mean confidence.

    Each table has a row a bin and the columns `lower`, `upper`, `count`, `confidence` and
    `accuracy`; of bins with less than 0.2 % of the images no accuracy is drawn. Bars are each
    bin's share of the images, and the titles give the expected calibration error over all bins
    (Guo et al. 2017, section 2).
    """
    for table in tables.values():
        _check_columns(table, ["lower", "upper", "count", "confidence", "accuracy"])
    colours = _colours(tables)
    columns = 2 if len(tables) == 4 else min(len(tables), 3)
    rows = -(-len(tables) // columns)
    figure, grid = _panels(rows, columns, max(columns, 2) * _WIDTH / 3, 0.5 + 2.75 * rows)
    for number, (name, table) in enumerate(tables.items()):
        axes, table = grid.flat[number], table[table["count"] > 0]
        share = table["count"] / table["count"].sum()
        drawn = table[share >= _RARE]
        error = metrics.ece_of(table)
        width = table["upper"] - table["lower"]
        axes.bar(table["lower"], share, width, align="edge", color="#D9D9D9", ec="white", lw=0.5)
        axes.plot([0, 1], [0, 1], "--", color=_GREY, lw=1)
        style = {"color": colours[name], "marker": marker(name), "ms": 5, "mec": "white"}
        axes.plot(drawn["confidence"], drawn["accuracy"], **style, clip_on=False)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=f"{label(name)}: ECE {error:.3f}")
        axes.set_ylabel("Accuracy" if number % columns == 0 else "")
        axes.set_xlabel("Confidence" if number + columns >= len(tables) else "")
    _hide(grid.flat[len(tables) :])
    key = [
        Line2D([], [], color=_GREY, marker="o", mec="white", ms=5, label="accuracy of a bin"),
        Line2D([], [], color=_GREY, ls="--", lw=1, label="perfect calibration"),
        Patch(color="#D9D9D9", label="share of the images"),
    ]
    _legend(figure, key, side="upper")
    return figure


# --- what models look at ------------------------------------------------------------------------


def filters(kernels: np.ndarray) -> Figure:
    """Draw n convolution kernels, float (k, k, 3, n), as RGB images.

    Each is scaled to its own range, symmetric about 0: a weight of 0 is mid-grey.
    """
    if kernels.ndim != 4 or kernels.shape[2] != 3:
        raise ValueError(
            f"kernels have shape {kernels.shape}: pass those of the first layer, (k, k, 3, n)"
        )
    tiles = np.moveaxis(np.asarray(kernels, dtype=float), -1, 0)
    largest = np.abs(tiles).max(axis=(1, 2, 3), keepdims=True)
    tiles = 0.5 + 0.5 * tiles / np.where(largest > 0, largest, 1)
    zoom = -(-24 // tiles.shape[1])  # so that the gaps between small kernels are thin
    columns = min(16, len(tiles))
    mosaic = _mosaic(tiles.repeat(zoom, axis=1).repeat(zoom, axis=2), columns, gap=3)
    width = _WIDTH * columns / 16
    figure, axes = _figure(width=width, height=width * mosaic.shape[0] / mosaic.shape[1])
    _show(axes, mosaic)
    return figure


def patches(image: np.ndarray, patch: int) -> Figure:
    """Draw an image, uint8 (H, W, 3), beside its patches of `patch` pixels a side.

    They are numbered from 0 in reading order, as the tokens are.
    """
    _check_images(image[None])
    height, width = image.shape[:2]
    if patch < 1 or height % patch or width % patch:
        raise ValueError(
            f"patches of {patch} pixels do not tile an image of {height} x {width}: "
            "choose a patch that divides both sides"
        )
    rows, columns = height // patch, width // patch
    tiles = image.reshape(rows, patch, columns, patch, 3).swapaxes(1, 2)
    gap = max(1, patch // 6)
    figure, panels = _panels(1, 2, _WIDTH, 0.3 + _WIDTH / 2 * height / width)
    whole, cut = panels.flat
    _show(whole, image, f"Image of {height} x {width} pixels")
    mosaic = _mosaic(tiles.reshape(-1, patch, patch, 3) / 255, columns, gap)
    _show(cut, mosaic, f"{rows * columns} patches of {patch} x {patch} pixels")
    outline = [withStroke(linewidth=1.8, foreground="black")]
    style = {"color": "white", "fontsize": min(9, 90 / columns), "path_effects": outline}
    for number, (row, column) in enumerate(np.ndindex(rows, columns)):
        x, y = (patch + gap) * np.array([column, row]) + (patch - 1) / 2
        cut.text(x, y, str(number), ha="center", va="center", **style)
    return figure


def position_similarity(similarity: np.ndarray, grid: tuple[int, int]) -> Figure:
    """Draw the cosine similarities (T, T) of position embeddings, a small map for each position.

    `grid` is the rows and columns of patches, T = rows * columns. The map at row r and column c
    shows how similar the embedding of that patch is to those of all patches. Of more than 8 rows
    or columns, which count from 0, evenly spaced ones are drawn. (Dosovitskiy et al. 2021,
    figure 7, centre.)
    """
    rows, columns = grid
    similarity = _check_square(similarity, rows * columns, "patches (drop the class token)")
    step = -(-max(grid) // 8)
    shown = [range(step // 2, length, step) for length in grid]
    maps = similarity.reshape(rows, columns, rows, columns)[np.ix_(*shown)]
    mosaic = _mosaic(maps.reshape(-1, rows, columns), len(shown[1]), gap=1, fill=np.nan)
    figure, axes = _figure(width=6.4, height=5.4)
    axes.imshow(mosaic, cmap=_SIGNED, vmin=-1, vmax=1, interpolation="nearest")
    for axis, length, numbers in zip((axes.yaxis, axes.xaxis), grid, shown, strict=True):
        centres = np.arange(len(numbers)) * (length + 1) + (length - 1) / 2
        axis.set_ticks(centres, numbers)
    axes.set(xlabel="Column of the patch", ylabel="Row of the patch")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    _colour_bar(figure, axes, "Cosine similarity", ScalarMappable(Normalize(-1, 1), _SIGNED))
    return figure


def heatmaps(
    images: np.ndarray,
    maps: Mapping[str, np.ndarray],
    row_titles: Sequence[str] | None = None,
    alpha: float = 0.5,
    captions: Mapping[str, Sequence[str]] | None = None,
    own_scale: bool = True,
) -> Figure:
    """Draw a row for each image: the image itself, then each method's map over it in grey.

    `images` are uint8 (N, H, W, 3), `maps` float (N, H, W) by column title. Each map is scaled to
    [0, 1] by its own minimum and maximum, or, without `own_scale`, is in [0, 1] already; one that
    is constant becomes 0, one that is NaN leaves the grey image. `captions` has a text below each
    image's map, by column title.
    """
    _check_images(images)
    row_titles = _entries("row_titles", row_titles, len(images), "image")
    for title, values in maps.items():
        if values.shape != images.shape[:3]:
            raise ValueError(
                f"the maps of {title!r} have shape {values.shape} for images {images.shape}: "
                f"resize them to {images.shape[:3]}, one an image"
            )
    margin = _room(row_titles)
    side = min((_WIDTH - 0.8 - margin) / (1 + len(maps)), 1.5, 8 / len(images))
    words = " ".join(("Image", *maps)).split()
    title_size = _size_that_fits(words, 0.9 * side, 9.5)
    titles = [_wrap(title, side / (_CHARACTER * title_size)) for title in ("Image", *maps)]
    captions = captions or {}
    if set(captions) - set(maps):
        raise ValueError(f"captions of {sorted(set(captions) - set(maps))}: name columns of maps")
    caption_size = _size_that_fits(chain.from_iterable(captions.values()), side, 8)
    for title, texts in captions.items():
        _entries(f"captions[{title!r}]", texts, len(images), "image")
    row_height = side + (0.2 if captions else 0.04)
    height = 0.15 * max(title.count("\n") + 2 for title in titles) + row_height * len(images)
    figure, grid = _panels(len(images), len(titles), margin + side * len(titles) + 0.8, height)
    for row, image in zip(range(len(images)), images, strict=True):
        _show(grid[row, 0], image)
        for axes, (title, values) in zip(grid[row, 1:], maps.items(), strict=True):
            shown = _unit_range(values[row]) if own_scale else values[row]
            _overlay(axes, image, shown, Normalize(0, 1), alpha)
            if title in captions:
                axes.set_xlabel(captions[title][row], fontsize=caption_size, labelpad=2)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=title_size)
    _name_rows(grid, row_titles)
    _colour_bar(figure, grid, "Relative\nvalue", ScalarMappable(Normalize(0, 1), _HEAT))
    return figure


def attention_grid(
    image: np.ndarray,
    attention: np.ndarray,
    grid: tuple[int, int],
    query: int | None = None,
    titles: Sequence[str] | None = None,
) -> Figure:
    """Draw the image, uint8 (H, W, 3), then each head's attention over it in grey, on one scale.

    `attention` is float (heads, T), T = rows * columns of `grid`, in reading order. `query`, the
    index of the patch that attends (from 0), is framed; None stands for a mean over queries.
    `titles` has one entry a head (default: "Head 1" and so on).
    """
    _check_images(image[None])
    titles = _entries("titles", titles, len(attention), "head") or [
        f"Head {head}" for head in range(1, len(attention) + 1)
    ]
    rows, columns = grid
    if attention.ndim != 2 or attention.shape[1] != rows * columns:
        raise ValueError(
            f"attention has shape {attention.shape} for a grid of {rows} x {columns}: pass "
            f"(heads, {rows * columns}), without the class token"
        )
    if query is not None and not 0 <= query < rows * columns:
        raise ValueError(f"query is {query}: choose a patch from 0 to {rows * columns - 1}")
    number = 1 + len(attention)
    across, down = min(number, 5), -(-number // 5)
    side = (_WIDTH - 0.8) / 5
    figure, panels = _panels(down, across, side * across + 0.8, (side + 0.25) * down)
    _show(panels.flat[0], image, "Image")
    scale = Normalize(0, attention.max())
    for axes, weights, title in zip(panels.flat[1:], attention, titles, strict=False):
        _overlay(axes, image, weights.reshape(grid), scale, alpha=0.6)
        axes.set_title(title)
    if query is not None:
        height, width = image.shape[0] / rows, image.shape[1] / columns
        corner = (query % columns * width - 0.5, query // columns * height - 0.5)
        for axes in panels.flat[:number]:
            axes.add_patch(Rectangle(corner, width, height, fill=False, ec="#D55E00", lw=1.8))
    _hide(panels.flat[number:])
    _colour_bar(figure, panels, "Attention weight", ScalarMappable(scale, _HEAT))
    return figure


def line_panels(frame: pd.DataFrame, x: str, y: str, line: str, xlabel: str, ylabel: str) -> Figure:
    """Draw a panel for each `model` of `frame`, and in it a line for each value of `line`.

    `x`, `y` and `line` name columns; a line has the same colour and dashes in every panel, a method
    of explanation in every figure. Both axes start at 0, `y` below it where values are; `x` ends at
    its maximum, `y` at 1.
    """
    _check_columns(frame, ["model", x, y, line])
    names, panels = (list(dict.fromkeys(frame[key])) for key in (line, "model"))
    dealt = zip(_colours(names).values(), cycle(_DASHES))
    looks = dict(zip(names, dealt, strict=True)) | _LINES
    styles = {name: dict(zip(("color", "ls"), looks[name], strict=True)) for name in names}
    rows = -(-len(panels) // 3)
    columns = -(-len(panels) // rows)  # four stand two by two
    figure, grid = _panels(rows, columns, max(columns, 2) * _WIDTH / 3, 0.6 + 2.3 * rows)
    for number, panel in enumerate(panels):
        axes, own = grid.flat[number], frame[frame["model"] == panel]
        for name, points in own.groupby(line, sort=False):
            axes.plot(points[x], points[y], **styles[name], clip_on=False)
        axes.set(xlim=(0, frame[x].max()), ylim=(min(0, frame[y].min()), 1), title=label(panel))
        axes.set_ylabel(ylabel if number % columns == 0 else "")
        axes.set_xlabel(xlabel if number + columns >= len(panels) else "")
        axes.grid(visible=True)
    _hide(grid.flat[len(panels) :])
    _legend(figure, [Line2D([], [], **styles[name], label=name) for name in names])
    return figure


def gains_with_intervals(
    frame: pd.DataFrame, value: str, low: str, high: str, label: str, panel: str, xlabel: str
) -> Figure:
    """Draw a dot and an interval for each row of `frame`, in a panel for each value of `panel`.

    The arguments but the last name columns. Rows stand in their order, those of one `label` on
    one line across the panels; the look is that of column `model`. Zero, no gain, is marked, and
    a dot is hollow where its interval includes it.
    """
    _check_columns(frame, ["model", value, low, high, label, panel])
    names = list(dict.fromkeys(frame[label]))
    panels = list(dict.fromkeys(frame[panel]))
    figure, grid = _panels(1, len(panels), _WIDTH, 1.1 + 0.34 * len(names))
    for axes in grid.flat[1:]:
        axes.sharex(grid[0, 0])
    for axes, title in zip(grid.flat, panels, strict=True):
        axes.axvline(0, color=_GREY, ls="--", lw=1)
        for _, row in frame[frame[panel] == title].iterrows():
            look, line = _look(row["model"]), names.index(row[label])
            fill = "white" if row[low] <= 0 <= row[high] else look.colour
            axes.hlines(line, row[low], row[high], color=look.colour, lw=2.2)
            axes.plot(row[value], line, look.marker, ms=8, mec=look.colour, mfc=fill, mew=1.5)
        axes.set(xlabel=xlabel, title=title, ylim=(len(names) - 0.4, -0.6))
        axes.set_yticks(range(len(names)), names if axes is grid[0, 0] else [])
        axes.grid(axis="x")
    return figure


# --- figures, axes and keys ---------------------------------------------------------------------


def _look(name: object) -> _Look:
    return _MODELS.get(name, _Look(str(name), _GREY, "o"))


def _colours(names: Iterable[str]) -> dict[str, str]:
    """Map models to their own colours, and what is no model to those of the palette in turn."""
    names = list(names)
    if not names:
        raise ValueError("there is nothing to draw: pass at least one label with its values")
    others = [name for name in names if name not in _MODELS]
    if len(others) > len(_PALETTE):
        raise ValueError(
            f"there are {len(_PALETTE)} colours for {len(others)} labels that are no models: "
            "split them over several figures"
        )
    free = dict(zip(others, _PALETTE, strict=False))
    return {name: free.get(name, colour(name)) for name in names}


def _figure(height: float, width: float = _WIDTH) -> tuple[Figure, Axes]:
    return plt.subplots(figsize=(width, height), layout=_LAYOUT)


def _panels(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    """Return a figure and its axes, always as an array (rows, columns)."""
    size = (width, height)
    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout=_LAYOUT)


def _hide(unused: Iterable[Axes]) -> None:
    for axes in unused:
        axes.set_axis_off()


def _legend(figure: Figure, handles: Sequence[Artist | BarContainer], side: str = "lower") -> None:
    """Put the key beside the axes, in rows of equal length, so that it covers nothing."""
    rows = -(-len(handles) // 4)
    columns = -(-len(handles) // rows)
    figure.legend(handles=list(handles), loc=f"outside {side} center", ncols=columns)


def _tilt(axes: Axes) -> None:
    plt.setp(axes.get_xticklabels(), rotation=35, ha="right", rotation_mode="anchor")


def _room(row_labels: Sequence[str]) -> float:
    """Return the inches that row labels take."""
    lines = [line for text in row_labels for line in text.split("\n")]
    return 0.15 + 0.08 * max(map(len, lines)) if lines else 0.0


def _name_rows(grid: np.ndarray, row_labels: Sequence[str]) -> None:
    for axes, text in zip(grid[:, 0], row_labels, strict=False):
        axes.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=9)


def _size_that_fits(lines: Iterable[str], width: float, largest: float) -> float:
    """Return the font size, up to `largest` points, at which no line is over `width` inches."""
    longest = max(map(len, lines), default=0)
    return min(largest, width / (_CHARACTER * longest)) if longest else largest


def _wrap(text: str, width: float) -> str:
    """Break lines longer than `width` characters at spaces; breaks that are there stay."""
    options = {"break_long_words": False, "break_on_hyphens": False}
    return "\n".join(
        textwrap.fill(line, max(int(width), 1), **options) for line in text.split("\n")
    )


# --- bars, cells, images and names --------------------------------------------------------------


def _bars(
    values: Mapping[str, Sequence[float]], groups: Sequence[str], height: float
) -> tuple[Figure, Axes, list[BarContainer]]:
    """Draw a bar for each label in every group; return each label's bars too."""
    colours = _colours(values)
    figure, axes = _figure(height)
    width = 0.8 / len(values)
    bars = []
    for number, (name, heights) in enumerate(values.items()):
        centres = np.arange(len(groups)) + (number - (len(values) - 1) / 2) * width
        style = {"color": colours[name], "ec": "white", "lw": 0.4, "label": label(name)}
        bars.append(axes.bar(centres, heights, width, **style))
    crowded = len(groups) > 10
    texts = groups if crowded else [_wrap(text, 90 / len(groups)) for text in groups]
    axes.set_xticks(range(len(groups)), texts)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y")
    if crowded:
        _tilt(axes)
    return figure, axes, bars


def _cells(
    axes: Axes,
    matrix: np.ndarray,
    texts: np.ndarray | None,
    names: Sequence[str],
    fontsize: float,
    **options: object,
) -> None:
    """Draw a square matrix with `texts` in its cells and `names` along both sides."""
    sns.heatmap(
        matrix,
        annot=texts,
        fmt="",
        annot_kws={"fontsize": fontsize},
        xticklabels=names,
        yticklabels=names,
        linewidths=0 if texts is None else 0.7,
        ax=axes,
        **options,
    )
    axes.tick_params(length=0, axis="both")
    axes.tick_params(axis="y", rotation=0)
    _tilt(axes)


def _show(axes: Axes, image: np.ndarray, title: str = "") -> None:
    axes.imshow(image, interpolation="nearest")
    axes.set(xticks=[], yticks=[], title=title)
    axes.spines[:].set_visible(False)


def _overlay(
    axes: Axes, image: np.ndarray, values: np.ndarray, scale: Normalize, alpha: float
) -> None:
    """Draw a map of any resolution over the image, in grey so that all colour is the map's."""
    grey = image @ [0.299, 0.587, 0.114] / 255  # ITU-R BT.601
    _show(axes, np.repeat(grey[..., None], 3, axis=2))
    height, width = grey.shape
    edges = (-0.5, width - 0.5, height - 0.5, -0.5)
    style = {"cmap": _HEAT, "norm": scale, "alpha": alpha, "interpolation": "nearest"}
    axes.imshow(values, extent=edges, **style)


def _colour_bar(
    figure: Figure, axes: Axes | np.ndarray, text: str, colours: ScalarMappable
) -> None:
    shrink = min(0.8, 3.5 / figure.get_figheight())  # beside many rows, 3.5 inches are enough
    bar = figure.colorbar(colours, ax=axes, label=text, shrink=shrink, aspect=25)
    bar.outline.set_visible(False)


def _mosaic(tiles: np.ndarray, columns: int, gap: int, fill: float = 1.0) -> np.ndarray:
    """Lay tiles (N, h, w, ...) out in rows of `columns`, left to right, `gap` pixels apart."""
    height, width = tiles.shape[1:3]
    rows = -(-len(tiles) // columns)
    size = (rows * (height + gap) - gap, columns * (width + gap) - gap)
    mosaic = np.full(size + tiles.shape[3:], fill)
    for number, tile in enumerate(tiles):
        top, left = np.array(divmod(number, columns)) * (height + gap, width + gap)
        mosaic[top : top + height, left : left + width] = tile
    return mosaic


def _unit_range(values: np.ndarray) -> np.ndarray:
    return (values - values.min()) / (np.ptp(values) or 1)


def _name_points(
    axes: Axes, frame: pd.DataFrame, x: str, y: str, low: str, high: str, corners: np.ndarray
) -> None:
    """Write each name beside its first point, clear of points, intervals, names and a line.

    `corners` (n, 2) are those of the line, whose pieces are horizontal or vertical. Of 16 places
    around the point, the one that hides least is taken, the nearer on a tie.
    """
    axes.figure.draw_without_rendering()  # only then is it settled where the axes stand
    pixels = axes.figure.dpi / 72  # a point
    inside = axes.get_window_extent()
    ends = (axes.transData.transform(frame[[x, column]].to_numpy(float)) for column in (low, high))
    taken = [Bbox([start - 5 * pixels, end + 5 * pixels]) for start, end in zip(*ends, strict=True)]
    for piece in pairwise(axes.transData.transform(corners)):
        taken.append(Bbox([np.min(piece, axis=0) - pixels, np.max(piece, axis=0) + pixels]))
    sides = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)])
    key = "name" if "name" in frame else "model"
    for _, row in frame.drop_duplicates(key).iterrows():
        name, point = label(row[key]), (row[x], row[y])
        size = _text_size(axes, name)
        corner = axes.transData.transform(point) - size / 2
        shifts = np.concatenate([sides * (size / 2 + gap * pixels) for gap in _NAME_GAPS])
        boxes = [Bbox.from_bounds(*(corner + shift), *size) for shift in shifts]
        best = int(np.argmin([_hidden(box, taken, inside) for box in boxes]))
        taken.append(boxes[best])
        text = axes.annotate(
            name,
            point,
            shifts[best] / pixels,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=_NAME_SIZE,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
            arrowprops=_LEADER if best >= len(sides) else None,
        )
        text.set_in_layout(False)


def _text_size(axes: Axes, text: str) -> np.ndarray:
    """Return the width and height of `text` in pixels."""
    probe = axes.text(0, 0, text, fontsize=_NAME_SIZE)
    box = probe.get_window_extent()
    probe.remove()
    return np.array([box.width, box.height])


def _hidden(box: Bbox, taken: Sequence[Bbox], inside: Bbox) -> float:
    """Return the pixels that `box` has in common with what is taken, or outside the axes."""

    def common(other: Bbox) -> float:
        both = Bbox.intersection(box, other)
        return both.width * both.height if both is not None else 0.0

    return sum(map(common, taken)) + box.width * box.height - common(inside)


# --- checks -------------------------------------------------------------------------------------


def _check_images(images: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not len(images):
        raise ValueError(
            f"images are {images.dtype} {images.shape}: pass uint8 (N, H, W, 3) with N > 0, "
            "the pixels before any scaling"
        )


def _entries(name: str, entries: Sequence | None, expected: int, thing: str) -> list:
    """Return `entries` as a list, empty for None."""
    if entries is not None and len(entries) != expected:
        raise ValueError(f"{name} has {len(entries)} entries: pass {expected}, one a {thing}")
    return [] if entries is None else list(entries)


def _check_classes(values: Mapping[str, Sequence], classes: Sequence[str]) -> None:
    if len(classes) > _MOST_CLASSES:
        raise ValueError(f"{len(classes)} classes do not fit: choose at most {_MOST_CLASSES}")
    for name, numbers in values.items():
        _entries(repr(name), numbers, len(classes), "class")


def _check_columns(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ValueError(
            f"the columns {missing} are missing: add them to those there, {list(frame.columns)}"
        )


def _check_square(matrix: pd.DataFrame | np.ndarray, size: int, names: str) -> np.ndarray:
    matrix = np.asarray(matrix)
    if matrix.shape != (size, size):
        raise ValueError(
            f"the matrix has shape {matrix.shape} for {size} {names}: pass ({size}, {size})"
        )
    return matrix
