"""Augmentation of whole batches in NumPy, reproducible from the generator that is passed in.

Images are uint8 (N, H, W, 3) in and out.  The published systems augment floats in [0, 1]; here
a change of brightness or contrast is rounded and clipped to the 256 levels.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Augmentation:
    """What happens to each training image, independently; the default is nothing.

    Attributes:
        flip: mirror left-right with probability 1/2.
        crop: pixels of zero padding on each side before a random crop back to size.
        brightness: largest shift, as a fraction of the full range, with probability 1/2.
        contrast: lowest and highest factor about the image's mean, with probability 1/2.
        cutout: side of a square of zeros (DeVries & Taylor 2017), centre anywhere; 0 is none.
        mixup: Beta parameter of mixing each image and its label with another's (Zhang et al.
            2018); 0 is none.
    """

    flip: bool = False
    crop: int = 0
    brightness: float = 0.0
    contrast: tuple[float, float] | None = None
    cutout: int = 0
    mixup: float = 0.0

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The augmented batch, a new array; mixup, which needs labels, is `mix`."""
        if self.crop:
            images = random_crop(images, self.crop, rng)
        if self.flip:
            images = random_flip(images, rng)
        if self.brightness:
            images = random_brightness(images, self.brightness, rng)
        if self.contrast:
            images = random_contrast(images, *self.contrast, rng)
        if self.cutout:
            images = random_cutout(images, self.cutout, rng)
        return images


def random_flip(images, rng):
    """Mirrors each image left-right with probability 1/2."""
    flip = rng.random(len(images)) < 0.5
    return np.where(flip[:, None, None, None], images[:, :, ::-1], images)


def random_crop(images, padding, rng):
    """Shifts each image by up to `padding` pixels either way; zeros come in from outside."""
    count, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    top, left = rng.integers(0, 2 * padding + 1, (2, count))
    return windows[np.arange(count), top, left].transpose(0, 2, 3, 1)


def random_brightness(images, delta, rng):
    """Adds up to +-`delta` of the full range to each image, with probability 1/2."""
    shift = rng.uniform(-delta, delta, len(images)) * (rng.random(len(images)) < 0.5)
    return _to_pixels(images + 255 * shift[:, None, None, None])


def random_contrast(images, low, high, rng):
    """Scales each image about its channels' means, with probability 1/2."""
    count = len(images)
    factor = np.where(rng.random(count) < 0.5, rng.uniform(low, high, count), 1.0)
    mean = images.mean(axis=(1, 2), keepdims=True)
    return _to_pixels(mean + factor[:, None, None, None] * (images - mean))


def random_cutout(images, size, rng):
    """Blackens a square of `size` pixels about a random centre of each image."""
    count, height, width, _ = images.shape
    top = rng.integers(0, height, (count, 1)) - size // 2
    left = rng.integers(0, width, (count, 1)) - size // 2
    rows, columns = np.arange(height), np.arange(width)
    inside_rows = (rows >= top) & (rows < top + size)
    inside_columns = (columns >= left) & (columns < left + size)
    return images * ~(inside_rows[:, :, None] & inside_columns[:, None, :])[..., None]


def mix(images, labels, alpha, rng):
    """Mixup of a batch with its own permutation: images and one-hot labels (N, C)."""
    share = rng.beta(alpha, alpha)
    order = rng.permutation(len(images))
    mixed = _to_pixels(share * images + (1 - share) * images[order])
    return mixed, share * labels + (1 - share) * labels[order]


def _to_pixels(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
