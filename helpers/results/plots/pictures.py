"""Images, and what a model has learned of them: filters, patches, positions."""

from collections.abc import Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from helpers.results.plots.layout import (
    add_colour_bar,
    add_legend,
    check_images,
    check_square,
    entries_of,
    hide,
    mosaic_of,
    name_rows,
    new_figure,
    new_panels,
    room_for,
    show_image,
    wrapped,
)
from helpers.results.plots.style import SIGNED, WIDTH


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
    check_images(images)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    titles = entries_of("titles", titles, len(images), "image") or [""] * len(images)
    title_colours = entries_of("title_colours", title_colours, len(images), "image")
    row_labels = entries_of("row_labels", row_labels, rows, "row")
    margin = room_for(row_labels)
    side = min((WIDTH - margin) / columns, 1.6)
    titles = [wrapped(title, side / 0.062) for title in titles]
    lines = max(title.count("\n") + bool(title) for title in titles)
    height = rows * (side + 0.05 + 0.13 * lines)
    figure, grid = new_panels(rows, columns, margin + side * columns, height)
    for axes, image, title in zip(grid.flat, images, titles, strict=False):
        show_image(axes, image)
        axes.set_title(title, fontsize=7.5, pad=2)
    for axes, text_colour in zip(grid.flat, title_colours, strict=False):
        axes.title.set_color(text_colour)
    name_rows(grid, row_labels)
    hide(grid.flat[len(images) :])
    return figure


def channel_histograms(images: np.ndarray) -> Figure:
    """Draw how the pixels of uint8 images (N, H, W, 3) are distributed, channel by channel."""
    check_images(images)
    figure, axes = new_figure(height=3.2)
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
    add_legend(figure, axes.lines)
    return figure


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
    mosaic = mosaic_of(tiles.repeat(zoom, axis=1).repeat(zoom, axis=2), columns, gap=3)
    width = WIDTH * columns / 16
    figure, axes = new_figure(width=width, height=width * mosaic.shape[0] / mosaic.shape[1])
    show_image(axes, mosaic)
    return figure


def patches(image: np.ndarray, patch: int) -> Figure:
    """Draw an image, uint8 (H, W, 3), beside its patches of `patch` pixels a side.

    They are numbered from 0 in reading order, as the tokens are.
    """
    check_images(image[None])
    height, width = image.shape[:2]
    if patch < 1 or height % patch or width % patch:
        raise ValueError(
            f"patches of {patch} pixels do not tile an image of {height} x {width}: "
            "choose a patch that divides both sides"
        )
    rows, columns = height // patch, width // patch
    tiles = image.reshape(rows, patch, columns, patch, 3).swapaxes(1, 2)
    gap = max(1, patch // 6)
    figure, panels = new_panels(1, 2, WIDTH, 0.3 + WIDTH / 2 * height / width)
    whole, cut = panels.flat
    show_image(whole, image, f"Image of {height} x {width} pixels")
    mosaic = mosaic_of(tiles.reshape(-1, patch, patch, 3) / 255, columns, gap)
    show_image(cut, mosaic, f"{rows * columns} patches of {patch} x {patch} pixels")
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
    similarity = check_square(similarity, rows * columns, "patches (drop the class token)")
    step = -(-max(grid) // 8)
    shown = [range(step // 2, length, step) for length in grid]
    maps = similarity.reshape(rows, columns, rows, columns)[np.ix_(*shown)]
    mosaic = mosaic_of(maps.reshape(-1, rows, columns), len(shown[1]), gap=1, fill=np.nan)
    figure, axes = new_figure(width=6.4, height=5.4)
    axes.imshow(mosaic, cmap=SIGNED, vmin=-1, vmax=1, interpolation="nearest", origin="upper")
    for axis, length, numbers in zip((axes.yaxis, axes.xaxis), grid, shown, strict=True):
        centres = np.arange(len(numbers)) * (length + 1) + (length - 1) / 2
        axis.set_ticks(centres, numbers)
    axes.set(xlabel="Column of the patch", ylabel="Row of the patch")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    add_colour_bar(figure, axes, "Cosine similarity", ScalarMappable(Normalize(-1, 1), SIGNED))
    return figure
