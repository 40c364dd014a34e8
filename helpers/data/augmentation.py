"""Augmentation of whole batches in NumPy, reproducible from the generator that is passed in.

Images are uint8 (N, H, W, 3) in and out.  The published systems augment floats in [0, 1]; here
a change of brightness or contrast is rounded and clipped to the 256 levels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from helpers.data.randaugment import random_operations


@dataclass(frozen=True)
class Augmentation:
    """What happens to each training image, independently; the default is nothing.

    Attributes:
        flip: mirror left-right with probability 1/2, or `alternating`: in every other epoch, half
            of the images in the odd ones (Jordan 2024, section 3.6): `training.batches` does that,
            as it takes the number of the epoch and of each image.
        crop: pixels of zero padding on each side before a random crop back to size.
        randaugment: number of operations and their magnitude, of 30 (`helpers.data.randaugment`).
        brightness: largest shift, as a fraction of the full range, with probability 1/2.
        contrast: lowest and highest factor about the channels' means, with probability 1/2.
        cutout: side of a square of zeros (DeVries & Taylor 2017), centre anywhere; 0 is none.
        mixup: Beta parameter of mixing each image and its label with another's (Zhang et al.
            2018); 0 is none.
        cutmix: Beta parameter of pasting a rectangle of another image, labels mixed by area (Yun
            et al. 2019); 0 is none.

    Raises:
        ValueError: mixup and cutmix at once; an unknown flip.
    """

    flip: bool | str = False
    crop: int = 0
    randaugment: tuple[int, int] | None = None
    brightness: float = 0.0
    contrast: tuple[float, float] | None = None
    cutout: int = 0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self):
        if self.flip not in (False, True, "alternating"):
            raise ValueError(f"unknown flip {self.flip!r}: choose True, False or 'alternating'")
        if self.mixup and self.cutmix:
            raise ValueError("a batch is mixed in one way: choose mixup or cutmix")

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The augmented batch, a new array; what changes labels too is left to `mix`."""
        if self.crop:
            images = random_crop(images, self.crop, rng)
        if self.flip and self.flip != "alternating":
            images = random_flip(images, rng)
        if self.randaugment:
            images = random_operations(images, *self.randaugment, rng)
        if self.brightness:
            images = random_brightness(images, self.brightness, rng)
        if self.contrast:
            images = random_contrast(images, *self.contrast, rng)
        if self.cutout:
            images = random_cutout(images, self.cutout, rng)
        return images

    @property
    def mixes(self) -> bool:
        """Whether labels are mixed, so that an image no longer has one class."""
        return bool(self.mixup or self.cutmix)

    def mix(
        self, images: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """The batch mixed with its own permutation: images and one-hot labels float32 (N, C)."""
        if self.mixup:
            return mixup(images, labels, self.mixup, rng)
        if self.cutmix:
            return cutmix(images, labels, self.cutmix, rng)
        return images, labels


def random_flip(images, rng):
    """Mirrors each image left-right with probability 1/2."""
    return mirror(images, rng.random(len(images)) < 0.5)


def mirror(images, chosen):
    """Mirrors the chosen images, bool (N,), left-right."""
    originals = images[chosen]
    reversed_rows = np.empty_like(originals)
    for channel in range(images.shape[-1]):  # a tenth of the time that pixels as a whole take
        reversed_rows[..., channel] = originals[:, :, ::-1, channel]
    images = images.copy()
    images[chosen] = reversed_rows
    return images


def random_crop(images, padding, rng):
    """Shifts each image by up to `padding`, at least 1, pixels; zeros come in from outside."""
    count, height, width, channels = images.shape
    padded = np.zeros((count, height + 2 * padding, width + 2 * padding, channels), images.dtype)
    padded[:, padding:-padding, padding:-padding] = images
    top, left = rng.integers(0, 2 * padding + 1, (2, count))
    rows = padded.reshape(count, height + 2 * padding, -1)
    windows = sliding_window_view(rows, (height, width * channels), axis=(1, 2))
    return windows[np.arange(count), top, channels * left].reshape(images.shape)


def random_brightness(images, delta, rng):
    """Adds up to +-`delta` of the full range to each image, with probability 1/2."""
    shift = rng.uniform(-delta, delta, len(images)) * (rng.random(len(images)) < 0.5)
    return _to_pixels(images + 255 * shift[:, None, None, None])


def random_contrast(images, low, high, rng):
    """Scales each image about its channels' means, with probability 1/2."""
    count = len(images)
    factor = np.where(rng.random(count) < 0.5, rng.uniform(low, high, count), 1.0)
    # With each row as one long axis, in a tenth of the time that an axis of 3 channels takes.
    rows = images.reshape(*images.shape[:2], -1)
    columns = rows.sum(axis=1, dtype=float).reshape(count, *images.shape[2:])
    mean = columns.sum(axis=1) / (images.shape[1] * images.shape[2])
    mean = np.tile(mean, images.shape[2])[:, None]
    values = rows - mean
    values *= factor[:, None, None]
    values += mean
    return _to_pixels(values).reshape(images.shape)


def random_cutout(images, size, rng):
    """Blackens a square of `size` pixels about a random centre of each image."""
    count, height, width, _ = images.shape
    top = rng.integers(0, height, count) - size // 2
    left = rng.integers(0, width, count) - size // 2
    images = images.copy()
    for image, y, x in zip(images, top.tolist(), left.tolist(), strict=True):
        image[max(y, 0) : y + size, max(x, 0) : x + size] = 0
    return images


def mixup(images, labels, alpha, rng):
    """Weighted means of two images and of their labels, one weight for the batch."""
    share = np.float32(rng.beta(alpha, alpha))
    order = rng.permutation(len(images))
    mixed = share * images
    mixed += (1 - share) * images[order]
    return _to_pixels(mixed), share * labels + (1 - share) * labels[order]


def cutmix(images, labels, alpha, rng):
    """A rectangle of each image is another image's, at the same place throughout the batch."""
    _, height, width, _ = images.shape
    side = np.sqrt(1 - rng.beta(alpha, alpha))
    top, bottom = _interval(rng.integers(height), side * height, height)
    left, right = _interval(rng.integers(width), side * width, width)
    order = rng.permutation(len(images))
    images = images.copy()
    images[:, top:bottom, left:right] = images[order, top:bottom, left:right]
    share = np.float32(1 - (bottom - top) * (right - left) / (height * width))
    return images, share * labels + (1 - share) * labels[order]


def _interval(centre, length, limit):
    """Ends of an interval of whole pixels about a centre, cut at 0 and `limit`."""
    half = round(length) // 2
    return max(centre - half, 0), min(centre + half, limit)


def _to_pixels(values):
    """Floats, which are overwritten, as uint8."""
    np.rint(values, out=values)
    return np.clip(values, 0, 255, out=values).astype(np.uint8)
