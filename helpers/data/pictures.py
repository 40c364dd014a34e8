"""Pictures that users bring: any size, any format that Pillow reads, and broken ones."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")

# Pixels.  A JPEG above the first limit is decoded at a part of its size, which takes little memory
# unless it is a progressive one: 0.6 GB for 200 million.
LARGEST, LARGEST_JPEG = 100_000_000, 400_000_000
REDUCED = 1024  # pixels that its shorter side keeps at least


def read_picture(path: Path, size: tuple[int, int] = (32, 32)) -> np.ndarray:
    """A picture's square middle as RGB, uint8 (H, W, 3) of `size`; what is transparent is white.

    Raises:
        ValueError: the path leads to no picture that can be read, or to one that is too large.
        OSError: there is no such file, or it may not be read.
    """
    _require_file(path)
    try:
        with _limits(), Image.open(path) as picture:
            upright = _upright(picture, path)
    except _Unfit as error:
        raise ValueError(str(error)) from None
    except Image.DecompressionBombError:
        raise ValueError(_too_large(path)) from None
    except Exception as error:  # of damaged files libraries raise whatever they come upon
        if isinstance(error, OSError) and error.errno is not None:
            raise  # there is no right to read it
        raise ValueError(f"{path} is no picture that can be read: pass a PNG or JPEG") from None
    return np.asarray(ImageOps.fit(upright, size[::-1], Image.Resampling.LANCZOS))


class _Unfit(Exception):
    """The picture can be read, but not used."""


def _require_file(path):
    if re.match("[A-Za-z][A-Za-z]+:/", str(path)):
        raise ValueError(f"{path} is an address: save the picture, and pass its file")
    if path.is_dir():
        raise ValueError(f"{path} is a folder: pass one picture in it, a PNG or JPEG")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no file: pass a picture, a PNG or JPEG")


@contextmanager
def _limits() -> Iterator[None]:
    """Pillow's own limit as wide as ours, and none of its warnings."""
    usual = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = LARGEST_JPEG // 2  # which Pillow doubles
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = usual


def _upright(picture, path):
    """The opened picture in RGB, the way it was held."""
    if picture.mode not in EIGHT_BITS:
        raise _Unfit(f"{path} has more than 8 bits a colour (mode {picture.mode}): save it with 8")
    if picture.width * picture.height > LARGEST:
        picture.draft("RGB", (REDUCED, REDUCED))  # of a JPEG; others stay as they are
    if picture.width * picture.height > LARGEST:
        raise _Unfit(_too_large(path))
    upright = ImageOps.exif_transpose(picture)
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
    return upright.convert("RGB")


def _too_large(path):
    return (
        f"{path} is too large: pass a picture of at most {LARGEST // 10**6} million pixels, or a "
        f"JPEG of at most {LARGEST_JPEG // 10**6} million"
    )
