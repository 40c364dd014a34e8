"""Maps over pictures, attention, and the tests of explanations."""

from collections.abc import Mapping, Sequence
from itertools import chain, cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from helpers.results.plots.layout import (
    CHARACTER,
    add_colour_bar,
    add_legend,
    check_columns,
    check_images,
    entries_of,
    hide,
    name_rows,
    new_panels,
    overlay_map,
    room_for,
    show_image,
    size_that_fits,
    unit_range,
    wrapped,
)
from helpers.results.plots.style import (
    DASHES,
    GREY,
    HEAT,
    LINES,
    WIDTH,
    colours_of,
    label,
    look_of,
)


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
    check_images(images)
    row_titles = entries_of("row_titles", row_titles, len(images), "image")
    for title, values in maps.items():
        if values.shape != images.shape[:3]:
            raise ValueError(
                f"the maps of {title!r} have shape {values.shape} for images {images.shape}: "
                f"resize them to {images.shape[:3]}, one an image"
            )
    margin = room_for(row_titles)
    side = min((WIDTH - 0.8 - margin) / (1 + len(maps)), 1.5, 8 / len(images))
    words = " ".join(("Image", *maps)).split()
    title_size = size_that_fits(words, 0.9 * side, 9.5)
    titles = [wrapped(title, side / (CHARACTER * title_size)) for title in ("Image", *maps)]
    captions = captions or {}
    if set(captions) - set(maps):
        raise ValueError(f"captions of {sorted(set(captions) - set(maps))}: name columns of maps")
    caption_size = size_that_fits(chain.from_iterable(captions.values()), side, 8)
    for title, texts in captions.items():
        entries_of(f"captions[{title!r}]", texts, len(images), "image")
    row_height = side + (0.2 if captions else 0.04)
    height = 0.15 * max(title.count("\n") + 2 for title in titles) + row_height * len(images)
    figure, grid = new_panels(len(images), len(titles), margin + side * len(titles) + 0.8, height)
    for row, image in zip(range(len(images)), images, strict=True):
        show_image(grid[row, 0], image)
        for axes, (title, values) in zip(grid[row, 1:], maps.items(), strict=True):
            shown = unit_range(values[row]) if own_scale else values[row]
            overlay_map(axes, image, shown, Normalize(0, 1), alpha)
            if title in captions:
                axes.set_xlabel(captions[title][row], fontsize=caption_size, labelpad=2)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=title_size)
    name_rows(grid, row_titles)
    add_colour_bar(figure, grid, "Relative\nvalue", ScalarMappable(Normalize(0, 1), HEAT))
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
    check_images(image[None])
    titles = entries_of("titles", titles, len(attention), "head") or [
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
    side = (WIDTH - 0.8) / 5
    figure, panels = new_panels(down, across, side * across + 0.8, (side + 0.25) * down)
    show_image(panels.flat[0], image, "Image")
    scale = Normalize(0, attention.max())
    for axes, weights, title in zip(panels.flat[1:], attention, titles, strict=False):
        overlay_map(axes, image, weights.reshape(grid), scale, alpha=0.6)
        axes.set_title(title)
    if query is not None:
        height, width = image.shape[0] / rows, image.shape[1] / columns
        corner = (query % columns * width - 0.5, query // columns * height - 0.5)
        for axes in panels.flat[:number]:
            axes.add_patch(Rectangle(corner, width, height, fill=False, ec="#D55E00", lw=1.8))
    hide(panels.flat[number:])
    add_colour_bar(figure, panels, "Attention weight", ScalarMappable(scale, HEAT))
    return figure


def line_panels(frame: pd.DataFrame, x: str, y: str, line: str, xlabel: str, ylabel: str) -> Figure:
    """Draw a panel for each `model` of `frame`, and in it a line for each value of `line`.

    `x`, `y` and `line` name columns; a line has the same colour and dashes in every panel, a method
    of explanation in every figure. Both axes start at 0, `y` below it where values are; `x` ends at
    its maximum, `y` at 1.
    """
    check_columns(frame, ["model", x, y, line])
    names, panels = (list(dict.fromkeys(frame[key])) for key in (line, "model"))
    dealt = zip(colours_of(names).values(), cycle(DASHES))
    looks = dict(zip(names, dealt, strict=True)) | LINES
    styles = {name: dict(zip(("color", "ls"), looks[name], strict=True)) for name in names}
    rows = -(-len(panels) // 3)
    columns = -(-len(panels) // rows)  # four stand two by two
    figure, grid = new_panels(rows, columns, max(columns, 2) * WIDTH / 3, 0.6 + 2.3 * rows)
    for number, panel in enumerate(panels):
        axes, own = grid.flat[number], frame[frame["model"] == panel]
        for name, points in own.groupby(line, sort=False):
            axes.plot(points[x], points[y], **styles[name], clip_on=False)
        axes.set(xlim=(0, frame[x].max()), ylim=(min(0, frame[y].min()), 1), title=label(panel))
        axes.set_ylabel(ylabel if number % columns == 0 else "")
        axes.set_xlabel(xlabel if number + columns >= len(panels) else "")
        axes.grid(visible=True)
    hide(grid.flat[len(panels) :])
    add_legend(figure, [Line2D([], [], **styles[name], label=name) for name in names])
    return figure


def gains_with_intervals(
    frame: pd.DataFrame, value: str, low: str, high: str, label: str, panel: str, xlabel: str
) -> Figure:
    """Draw a dot and an interval for each row of `frame`, in a panel for each value of `panel`.

    The arguments but the last name columns. Rows stand in their order, those of one `label` on
    one line across the panels; the look is that of column `model`. Zero, no gain, is marked, and
    a dot is hollow where its interval includes it.
    """
    check_columns(frame, ["model", value, low, high, label, panel])
    names = list(dict.fromkeys(frame[label]))
    panels = list(dict.fromkeys(frame[panel]))
    figure, grid = new_panels(1, len(panels), WIDTH, 1.1 + 0.34 * len(names))
    for axes in grid.flat[1:]:
        axes.sharex(grid[0, 0])
    for axes, title in zip(grid.flat, panels, strict=True):
        axes.axvline(0, color=GREY, ls="--", lw=1)
        for _, row in frame[frame[panel] == title].iterrows():
            look, line = look_of(row["model"]), names.index(row[label])
            fill = "white" if row[low] <= 0 <= row[high] else look.colour
            axes.hlines(line, row[low], row[high], color=look.colour, lw=2.2)
            axes.plot(row[value], line, look.marker, ms=8, mec=look.colour, mfc=fill, mew=1.5)
        axes.set(title=title, ylim=(len(names) - 0.4, -0.6))
        axes.set_yticks(range(len(names)), names if axes is grid[0, 0] else [])
        axes.grid(axis="x")
    figure.supxlabel(xlabel, fontsize=plt.rcParams["axes.labelsize"])  # once: panels are narrow
    return figure
