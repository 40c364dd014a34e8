"""RandAugment (Cubuk et al. 2020): a few random operations an image, one common strength.

The fourteen operations of the paper's section 3, with the ranges that torchvision gives them, but
for translations: up to 0.3 of the side, there 0.45.  Each acts on one image through Pillow, and
where an operation has a direction, either is as likely.
"""

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

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
    result = np.empty_like(images)
    for i, pixels in enumerate(images):
        image = Image.fromarray(pixels)
        for operation, s in zip(drawn[i], strength[i], strict=True):
            image = OPERATIONS[operation](image, float(s))
        result[i] = image
    return result


def _affine(image, a=1.0, b=0.0, c=0.0, d=0.0, e=1.0, f=0.0):
    """Pixel (x, y) of the result is pixel (ax + by + c, dx + ey + f) of the image, or black."""
    return image.transform(image.size, Image.Transform.AFFINE, (a, b, c, d, e, f))


def _enhance(enhancer):
    return lambda image, s: enhancer(image).enhance(1 + 0.9 * s)


# Each takes an image and a strength in [-1, 1].
OPERATIONS = (
    lambda image, s: image,
    lambda image, s: ImageOps.autocontrast(image),
    lambda image, s: ImageOps.equalize(image),
    lambda image, s: image.rotate(30 * s),
    lambda image, s: ImageOps.solarize(image, 256 - 256 * abs(s)),
    _enhance(ImageEnhance.Color),
    lambda image, s: ImageOps.posterize(image, 8 - round(4 * abs(s))),
    _enhance(ImageEnhance.Contrast),
    _enhance(ImageEnhance.Brightness),
    _enhance(ImageEnhance.Sharpness),
    lambda image, s: _affine(image, b=0.3 * s),
    lambda image, s: _affine(image, d=0.3 * s),
    lambda image, s: _affine(image, c=round(0.3 * s * image.width)),
    lambda image, s: _affine(image, f=round(0.3 * s * image.height)),
)
