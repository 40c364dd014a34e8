"""RandAugment (Cubuk et al. 2020): a few random operations an image, one common strength.

The fourteen operations of the paper's section 3, with the ranges that torchvision gives them, but
for translations: up to 0.3 of the side, there 0.45.  Where an operation has a direction, either is
as likely.  Each acts at once on all images of a batch that drew it, and gives the bytes that
Pillow gives for one image after another: tests hold that.
"""

import math
from functools import lru_cache, partial

import numpy as np

GREATEST = 30  # magnitude, as torchvision counts it; the paper's own scale ends at 10


def random_operations(images, operations, magnitude, rng):
    """Applies `operations` of `OPERATIONS`, drawn for each image with replacement, in turn.

    Args:
        images: uint8 (N, H, W, 3).
        operations: how many an image.
        magnitude: of each, from 0 (nothing happens, but for autocontrast and equalize, which
            have no strength) to 30.
        rng: what the draws follow from.
    """
    drawn = rng.integers(len(OPERATIONS), size=(len(images), operations))
    strength = magnitude / GREATEST * rng.choice((-1, 1), size=drawn.shape)
    result = images.copy()
    for numbers, strengths in zip(drawn.T, strength.T, strict=True):
        for number, operation in enumerate(OPERATIONS):
            chosen = np.flatnonzero(numbers == number)
            if len(chosen):
                result[chosen] = operation(result[chosen], strengths[chosen])
    return result


def _identity(images, strength):
    return images


# ---- operations that move pixels


def _rotate(s, height, width):
    """Coefficients of a turn about the middle, by up to 30 degrees counter-clockwise."""
    angle = -math.radians(30 * s % 360)
    cosine, sine = round(math.cos(angle), 15), round(math.sin(angle), 15)
    x, y = width / 2, height / 2
    return cosine, sine, cosine * -x + sine * -y + x, -sine, cosine, -sine * -x + cosine * -y + y


def _shear_x(s, height, width):
    return 1, 0.3 * s, 0, 0, 1, 0


def _shear_y(s, height, width):
    return 1, 0, 0, 0.3 * s, 1, 0


def _translate_x(s, height, width):
    return 1, 0, round(0.3 * s * width), 0, 1, 0


def _translate_y(s, height, width):
    return 1, 0, 0, 0, 1, round(0.3 * s * height)


def _move(coefficients, images, strength):
    """Pixel (x, y) becomes pixel (ax + by + c, dx + ey + f) of the image, or black."""
    count, height, width, channels = images.shape
    flat = images.reshape(count, -1)
    moved = np.empty_like(flat)
    for s in set(strength.tolist()):
        source, inside = _sources(coefficients(s, height, width), height, width, channels)
        chosen = strength == s
        moved[chosen] = flat[chosen].take(source, axis=1, mode="clip") & inside
    return moved.reshape(images.shape)


@lru_cache(64)
def _sources(coefficients, height, width, channels):
    """Where each byte of a moved image comes from.

    Nearest neighbour in the fixed point arithmetic (16 bits of fraction) that Pillow uses: a
    pixel's centre, at 0.5, is mapped, and then rounded down.

    Returns:
        Positions in an image's bytes (H x W x channels,), arbitrary for those from outside; and
        uint8 of the same shape, 0 for those, else 255.
    """
    a, b, c, d, e, f = coefficients
    x, y = np.arange(width), np.arange(height)[:, None]
    column = (_fixed(c + a * 0.5 + b * 0.5) + x * _fixed(a) + y * _fixed(b)) >> 16
    row = (_fixed(f + d * 0.5 + e * 0.5) + x * _fixed(d) + y * _fixed(e)) >> 16
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    pixel = (row * width + column)[..., None]
    source = (pixel * channels + np.arange(channels)).ravel()
    return source, np.repeat(np.where(inside, 255, 0).astype(np.uint8).ravel(), channels)


def _fixed(value):
    return math.floor(value * 65536 + 0.5)


# ---- operations that change each channel's values


def _autocontrast(images, strength):
    """Stretches the values of each channel to the whole range; a flat channel stays."""
    rows = _rows(images)
    low, high = (_by_channel(end(rows, axis=1), end).astype(float) for end in (np.min, np.max))
    spread = high - low
    scale = np.where(spread, 255 / np.where(spread, spread, 1), 1)
    offset = np.where(spread, -low * scale, 0)
    width = images.shape[2]
    stretched = rows * _along_rows(scale, width)
    stretched += _along_rows(offset, width)
    return stretched.astype(np.uint8).reshape(images.shape)


def _equalize(images, strength):
    """Makes the values of each channel about equally frequent."""
    count, _, width, channels = images.shape
    first = np.arange(0, 256 * count * channels, 256).reshape(count, channels)
    positions = _rows(images) + _along_rows(first, width)
    histogram = np.bincount(positions.ravel(), minlength=256 * first.size).reshape(-1, 256)
    brightest = 255 - (histogram[:, ::-1] > 0).argmax(axis=1, keepdims=True)
    others = histogram.sum(axis=1, keepdims=True) - np.take_along_axis(histogram, brightest, 1)
    step = others // 255  # pixels of one value of the result; 0: too few to tell values apart
    below = histogram.cumsum(axis=1) - histogram
    table = np.where(step, (step // 2 + below) // np.maximum(step, 1), np.arange(256))
    table = np.minimum(table, 255).astype(np.uint8)
    return table.ravel().take(positions, mode="clip").reshape(images.shape)


def _solarize(images, strength):
    """Inverts the values from a threshold on, which falls from 256 to 0."""
    threshold = np.ceil(256 - 256 * abs(strength)).astype(np.uint16)
    inverted = (images >= _by_image(threshold)).view(np.uint8) * np.uint8(255)
    return images ^ inverted  # a twentieth of the time that `np.where` takes


def _posterize(images, strength):
    """Clears up to 4 of the lowest bits."""
    cleared = np.rint(4 * abs(strength)).astype(int)
    return images & _by_image((0xFF << cleared).astype(np.uint8))


# ---- operations that go from an image without some quality to one with more of it


def _colour(images, strength):
    return _enhance(images, np.repeat(_grey(images)[..., None], 3, axis=-1), strength)


def _contrast(images, strength):
    mean = np.floor(_grey(images).mean(axis=(1, 2), dtype=float) + 0.5)
    return _enhance(images, _by_image(mean.astype(np.float32)), strength)


def _brightness(images, strength):
    return _enhance(images, np.float32(0), strength)


def _sharpness(images, strength):
    """The image without sharpness: each pixel 5 parts of 13, its 8 neighbours one each."""
    channels = images.shape[-1]
    rows = _rows(images).astype(np.uint16)
    three = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    nine = three[..., : -2 * channels] + three[..., channels:-channels] + three[..., 2 * channels :]
    middle = np.s_[:, 1:-1, channels:-channels]
    smooth = rows.copy()  # the outermost pixels stay
    smooth[middle] = (2 * (nine + 4 * rows[middle]) + 13) // 26  # rounded, never half-way
    return _enhance(images, smooth.astype(np.float32).reshape(images.shape), strength)


def _enhance(images, without, strength):
    """From 0.1 to 1.9 times as far from the image without the quality, float32, as it is."""
    factor = (1 + 0.9 * strength).astype(np.float32)
    values = images.astype(np.float32)
    values -= without
    values *= _by_image(factor)
    values += without
    return np.clip(values, 0, 255, out=values).astype(np.uint8)


def _grey(images):
    """Luma of ITU-R BT.601, whole numbers as float32 (N, H, W), as Pillow rounds it."""
    # In parts of 65,536: every sum is below 2**24, and therefore exact.
    grey = np.full(images.shape[:-1], 32768, np.float32)
    for channel, parts in enumerate((19595, 38470, 7471)):
        grey += images[..., channel] * np.float32(parts)
    grey /= 65536
    return np.floor(grey, out=grey)


# ---- shapes: NumPy is fast where the last axis is long


def _rows(images):
    """(N, H, W, C) -> (N, H, W x C)."""
    return images.reshape(*images.shape[:2], -1)


def _by_channel(values, reduce):
    """(N, W x 3), reduced to (N, 3)."""
    return reduce(values.reshape(len(values), -1, 3), axis=1)


def _along_rows(values, width):
    """(N, 3) -> (N, 1, W x 3), a value for each byte of a row."""
    return np.tile(values, width)[:, None]


def _by_image(values):
    """(N,) -> (N, 1, 1, 1)."""
    return values[:, None, None, None]


# Each takes images, uint8 (N, H, W, 3), and a strength in [-1, 1] for each of them.
OPERATIONS = (
    _identity,
    _autocontrast,
    _equalize,
    partial(_move, _rotate),
    _solarize,
    _colour,
    _posterize,
    _contrast,
    _brightness,
    _sharpness,
    partial(_move, _shear_x),
    partial(_move, _shear_y),
    partial(_move, _translate_x),
    partial(_move, _translate_y),
)
