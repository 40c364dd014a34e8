"""Maps over pictures, attention, and the tests of explanations."""

from collections.abc import Mapping, Sequence
from itertools import chain, cycle

import numpy as np
import pandas as pd
import seaborn as sns
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
    see_through,
    show_image,
    size_that_fits,
    unit_range,
    wrapped,
)
from helpers.results.plots.style import (
    DASHES,
    GAINS,
    HEAT,
    LINES,
    WIDTH,
    colours_of,
    label,
)

_MOST_OPAQUE = 0.65  # of a map where it is highest: a picture of 32 pixels stays visible under it


def heatmaps(
    images: np.ndarray,
    maps: Mapping[str, np.ndarray],
    titles: Sequence[str] | None = None,
    alpha: float | None = None,
    captions: Mapping[str, Sequence[str]] | None = None,
    own_scale: bool = True,
    across: bool = False,
) -> Figure:
    """Draw a row for each image: the image itself, then each method's map over it in grey.

    `images` are uint8 (N, H, W, 3), `titles` has one entry an image, `maps` float (N, H, W) by
    method. Each map is scaled to [0, 1] by its own minimum and maximum, or, without `own_scale`, is
    in [0, 1] already; one that is constant becomes 0, one that is NaN leaves the grey image. Where
    it is 0 it is transparent, so that the image stays visible, unless `alpha`, an opacity, is the
    same everywhere. `captions` has a text below each image's map, by method. `across` draws a
    column for each image instead.
    """
    check_images(images)
    titles = entries_of("titles", titles, len(images), "image")
    for name, values in maps.items():
        if values.shape != images.shape[:3]:
            raise ValueError(
                f"the maps of {name!r} have shape {values.shape} for images {images.shape}: "
                f"resize them to {images.shape[:3]}, one an image"
            )
    captions = captions or {}
    if set(captions) - set(maps):
        raise ValueError(f"captions of {sorted(set(captions) - set(maps))}: name columns of maps")
    for name, texts in captions.items():
        entries_of(f"captions[{name!r}]", texts, len(images), "image")
    names = ("Image", *maps)
    beside, above = (names, titles) if across else (titles, names)
    rows, columns = (len(names), len(images)) if across else (len(images), len(names))
    beside = [wrapped(text, 14) for text in beside]
    margin = room_for(beside)
    side = min((WIDTH - 0.8 - margin) / columns, 1.1 if across else 1.5, 8 / rows)
    title_size = size_that_fits(" ".join(above).split(), 0.9 * side, 9.5)
    above = [wrapped(text, side / (CHARACTER * title_size)) for text in above]
    fitting = side / (CHARACTER * 8)
    captions = {
        name: [wrapped(text, fitting) for text in texts] for name, texts in captions.items()
    }
    lines = [text.split("\n") for texts in captions.values() for text in texts]
    caption_size = size_that_fits(chain.from_iterable(lines), side, 8)
    height = 0.15 * max((text.count("\n") + 2 for text in above), default=0)
    height += (side + 0.05 + 0.14 * max(map(len, lines), default=0)) * rows
    figure, grid = new_panels(rows, columns, margin + side * columns + 0.8, height)
    panels = grid.T if across else grid  # a row an image
    shades = HEAT if alpha is not None else see_through(HEAT, _MOST_OPAQUE)
    for number, image in enumerate(images):
        show_image(panels[number, 0], image)
        for axes, (name, values) in zip(panels[number, 1:], maps.items(), strict=True):
            shown = unit_range(values[number]) if own_scale else values[number]
            overlay_map(axes, image, shown, Normalize(0, 1), alpha, shades)
            if name in captions:
                axes.set_xlabel(captions[name][number], fontsize=caption_size, labelpad=2)
    for axes, text in zip(grid[0], above, strict=False):
        axes.set_title(text, fontsize=title_size)
    name_rows(grid, beside)
    add_colour_bar(figure, grid, "Relative\nvalue", ScalarMappable(Normalize(0, 1), shades))
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


def gain_cells(frame: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Draw a method's gains over blind maps as coloured cells with their numbers, in hundredths.

    `frame` has those rows of `tables.gains`: a cell for each test (column `score`) and model, in a
    panel for each `reference` that is a key of `panels`, whose title is its value. A loss is red; a
    star says that the gain differs from 0 (column `better`); what was not tested is empty.
    """
    check_columns(frame, ["model", "reference", "score", "gain", "better"])
    models, rows = (list(dict.fromkeys(frame[key])) for key in ("model", "score"))
    limit = 100 * frame["gain"].abs().max()
    figure, grid = new_panels(1, len(panels), WIDTH, 1.5 + 0.3 * len(rows))
    for axes, (reference, title) in zip(grid.flat, panels.items(), strict=True):
        own = frame[frame["reference"] == reference].set_index(["score", "model"])
        wide = own[["gain", "better"]].unstack().reindex(rows)
        gains, better = (wide[key].reindex(columns=models) for key in ("gain", "better"))
        texts = (100 * gains).map(_signed)
        sns.heatmap(
            100 * gains,
            annot=texts.where(better.fillna(0) == 0, texts + "*"),
            fmt="",
            annot_kws={"fontsize": 8},
            cmap=GAINS,
            vmin=-limit,
            vmax=limit,
            cbar=False,
            linewidths=0.7,
            xticklabels=[label(name) for name in models],
            yticklabels=rows if axes is grid[0, 0] else False,
            ax=axes,
        )
        axes.set(title=title, xlabel="", ylabel="")
        axes.tick_params(length=0)
        axes.tick_params(axis="x", rotation=90)
    scale = ScalarMappable(Normalize(-limit, limit), GAINS)
    add_colour_bar(figure, grid, "Gain, in hundredths", scale)
    return figure


def _signed(value: float) -> str:
    """Return a whole number with its sign, but for 0."""
    return f"{value:+.0f}".replace("-", "\u2212") if abs(value) >= 0.5 else "0"
