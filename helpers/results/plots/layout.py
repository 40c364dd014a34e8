"""What the figures share: panels, legends, bars, cells, overlays and names that do not collide."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from helpers.results.plots.style import GREY, HEAT, WIDTH, colours_of, label

LAYOUT = "compressed"  # constrained layout that also holds for images of fixed aspect

MOST_CLASSES = 20  # that bars and cells can be labelled for

# Names stand beside points at the first gap or, with a line that leads to the point, at the second.
NAME_SIZE, _NAME_GAPS = 9, (7, 20)  # typographic points

CHARACTER = 0.009  # inches: about the width of a character, a point of its size

LEADER = {"arrowstyle": "-", "color": GREY, "lw": 0.7, "shrinkA": 0, "shrinkB": 6}


def new_figure(height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    return plt.subplots(figsize=(width, height), layout=LAYOUT)


def new_panels(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    """Return a figure and its axes, always as an array (rows, columns)."""
    size = (width, height)
    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout=LAYOUT)


def hide(unused: Iterable[Axes]) -> None:
    for axes in unused:
        axes.set_axis_off()


def add_legend(
    figure: Figure, handles: Sequence[Artist | BarContainer], side: str = "lower"
) -> None:
    """Put the key beside the axes, in rows of equal length, so that it covers nothing."""
    rows = -(-len(handles) // 4)
    columns = -(-len(handles) // rows)
    figure.legend(handles=list(handles), loc=f"outside {side} center", ncols=columns)


def tilt_labels(axes: Axes) -> None:
    plt.setp(axes.get_xticklabels(), rotation=35, ha="right", rotation_mode="anchor")


def room_for(row_labels: Sequence[str]) -> float:
    """Return the inches that row labels take."""
    lines = [line for text in row_labels for line in text.split("\n")]
    return 0.15 + 0.08 * max(map(len, lines)) if lines else 0.0


def name_rows(grid: np.ndarray, row_labels: Sequence[str]) -> None:
    for axes, text in zip(grid[:, 0], row_labels, strict=False):
        axes.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=9)


def size_that_fits(lines: Iterable[str], width: float, largest: float) -> float:
    """Return the font size, up to `largest` points, at which no line is over `width` inches."""
    longest = max(map(len, lines), default=0)
    return min(largest, width / (CHARACTER * longest)) if longest else largest


def wrapped(text: str, width: float) -> str:
    """Break lines longer than `width` characters at spaces; breaks that are there stay."""
    options = {"break_long_words": False, "break_on_hyphens": False}
    return "\n".join(
        textwrap.fill(line, max(int(width), 1), **options) for line in text.split("\n")
    )


def draw_bars(
    values: Mapping[str, Sequence[float]], groups: Sequence[str], height: float
) -> tuple[Figure, Axes, list[BarContainer]]:
    """Draw a bar for each label in every group; return each label's bars too."""
    colours = colours_of(values)
    figure, axes = new_figure(height)
    width = 0.8 / len(values)
    bars = []
    for number, (name, heights) in enumerate(values.items()):
        centres = np.arange(len(groups)) + (number - (len(values) - 1) / 2) * width
        style = {"color": colours[name], "ec": "white", "lw": 0.4, "label": label(name)}
        bars.append(axes.bar(centres, heights, width, **style))
    crowded = len(groups) > 10
    texts = groups if crowded else [wrapped(text, 90 / len(groups)) for text in groups]
    axes.set_xticks(range(len(groups)), texts)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y")
    if crowded:
        tilt_labels(axes)
    return figure, axes, bars


def draw_cells(
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
    tilt_labels(axes)


def show_image(axes: Axes, image: np.ndarray, title: str = "") -> None:
    axes.imshow(image, interpolation="nearest", origin="upper")
    axes.set(xticks=[], yticks=[], title=title)
    axes.spines[:].set_visible(False)


def see_through(name: str, opacity: float) -> Colormap:
    """Return a colour map that is transparent at 0, and ever more opaque up to `opacity` at 1."""
    colours = plt.get_cmap(name)(np.linspace(0, 1, 256))
    colours[:, 3] = np.linspace(0, opacity, 256)
    return ListedColormap(colours)


def overlay_map(
    axes: Axes,
    image: np.ndarray,
    values: np.ndarray,
    scale: Normalize,
    alpha: float | None,
    shades: str | Colormap = HEAT,
) -> None:
    """Draw a map of any resolution over the image, in grey so that all colour is the map's."""
    grey = image @ [0.299, 0.587, 0.114] / 255  # ITU-R BT.601
    show_image(axes, np.repeat(grey[..., None], 3, axis=2))
    height, width = grey.shape
    edges = (-0.5, width - 0.5, height - 0.5, -0.5)
    style = {"cmap": shades, "norm": scale, "alpha": alpha, "interpolation": "nearest"}
    axes.imshow(values, extent=edges, origin="upper", **style)


def add_colour_bar(
    figure: Figure, axes: Axes | np.ndarray, text: str, colours: ScalarMappable
) -> None:
    shrink = min(0.8, 3.5 / figure.get_figheight())  # beside many rows, 3.5 inches are enough
    bar = figure.colorbar(colours, ax=axes, label=text, shrink=shrink, aspect=25)
    bar.outline.set_visible(False)


def mosaic_of(tiles: np.ndarray, columns: int, gap: int, fill: float = 1.0) -> np.ndarray:
    """Lay tiles (N, h, w, ...) out in rows of `columns`, left to right, `gap` pixels apart."""
    height, width = tiles.shape[1:3]
    rows = -(-len(tiles) // columns)
    size = (rows * (height + gap) - gap, columns * (width + gap) - gap)
    mosaic = np.full(size + tiles.shape[3:], fill)
    for number, tile in enumerate(tiles):
        top, left = np.array(divmod(number, columns)) * (height + gap, width + gap)
        mosaic[top : top + height, left : left + width] = tile
    return mosaic


def unit_range(values: np.ndarray) -> np.ndarray:
    return (values - values.min()) / (np.ptp(values) or 1)


def name_points(
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
            fontsize=NAME_SIZE,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
            arrowprops=LEADER if best >= len(sides) else None,
        )
        text.set_in_layout(False)


def _text_size(axes: Axes, text: str) -> np.ndarray:
    """Return the width and height of `text` in pixels."""
    probe = axes.text(0, 0, text, fontsize=NAME_SIZE)
    box = probe.get_window_extent()
    probe.remove()
    return np.array([box.width, box.height])


def _hidden(box: Bbox, taken: Sequence[Bbox], inside: Bbox) -> float:
    """Return the pixels that `box` has in common with what is taken, or outside the axes."""

    def common(other: Bbox) -> float:
        both = Bbox.intersection(box, other)
        return both.width * both.height if both is not None else 0.0

    return sum(map(common, taken)) + box.width * box.height - common(inside)


def check_images(images: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not len(images):
        raise ValueError(
            f"images are {images.dtype} {images.shape}: pass uint8 (N, H, W, 3) with N > 0, "
            "the pixels before any scaling"
        )


def entries_of(name: str, entries: Sequence | None, expected: int, thing: str) -> list:
    """Return `entries` as a list, empty for None."""
    if entries is not None and len(entries) != expected:
        raise ValueError(f"{name} has {len(entries)} entries: pass {expected}, one a {thing}")
    return [] if entries is None else list(entries)


def check_classes(values: Mapping[str, Sequence], classes: Sequence[str]) -> None:
    if len(classes) > MOST_CLASSES:
        raise ValueError(f"{len(classes)} classes do not fit: choose at most {MOST_CLASSES}")
    for name, numbers in values.items():
        entries_of(repr(name), numbers, len(classes), "class")


def check_columns(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ValueError(
            f"the columns {missing} are missing: add them to those there, {list(frame.columns)}"
        )


def check_square(matrix: pd.DataFrame | np.ndarray, size: int, names: str) -> np.ndarray:
    matrix = np.asarray(matrix)
    if matrix.shape != (size, size):
        raise ValueError(
            f"the matrix has shape {matrix.shape} for {size} {names}: pass ({size}, {size})"
        )
    return matrix
