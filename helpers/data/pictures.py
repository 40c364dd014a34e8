"""Pictures that users bring: any size, any kind that Pillow reads, and broken ones."""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

# Not all that Pillow knows: for EPS, say, it runs another program.
FORMATS = (
    *("JPEG", "PNG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "PPM"),
    *("JPEG2000", "AVIF", "TGA", "ICO", "PCX", "PSD", "SGI"),
)
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # its brands
KIND = "a PNG or JPEG"
SAVE_AGAIN = "save it as RGB or greyscale with 8 or 16 bits"

# Pixels.  A JPEG above the first limit is decoded at a part of its size, which takes little memory
# unless it is a progressive one: 0.6 GB for 200 million.
LARGEST, LARGEST_JPEG = 100_000_000, 400_000_000
# A JPEG's shorter side keeps at least so many times the pixels that are asked for; it is decoded
# at an eighth, a quarter or half of its size where that leaves enough.  Photographs of 500 x 400
# then come out within 0.4 of 255 levels, on average, of what decoding them whole gives, and 1.4
# with a margin of 1.
MARGIN = 2

UPRIGHT = {  # how a picture was held, as EXIF has it -> what sets it upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)
ORIENTATION = 0x0112  # the EXIF tag


class PictureError(ValueError):
    """A file that cannot be used; `reason` says why without the file's name."""

    def __init__(self, path: Path, reason: str, remedy: str = f"pass {KIND}"):
        super().__init__(f"{path} {reason}: {remedy}")
        self.reason = reason


def read_picture(path: Path, size: int = 32) -> np.ndarray:
    """A picture's square middle as RGB, uint8 (size, size, 3).

    The first frame, if it has several; upright, as EXIF says; what is transparent is white; of
    16 bits the upper 8 count.

    Raises:
        PictureError: the path leads to no picture that can be read, or to one that is too large.
        OSError: there is no such file, or it may not be read.
    """
    _require_file(path)
    with limits():
        return read_within_limits(path, size)[0]


@dataclass(frozen=True)
class PictureFiles:
    """Pictures in files: indexed by positions (n,), it reads these, uint8 (n, S, S, 3)."""

    paths: Sequence[Path]
    size: int

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, positions: np.ndarray) -> np.ndarray:
        return np.stack([read_picture(self.paths[i], self.size) for i in positions])


@contextmanager
def limits() -> Iterator[None]:
    """While it lasts, Pillow's own limit is as wide as ours, and it warns of nothing.

    Both belong to the process, not to a thread.
    """
    usual = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = LARGEST_JPEG // 2  # which Pillow doubles
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = usual


def read_within_limits(path: Path, size: int) -> tuple[np.ndarray, tuple[int, int]]:
    """As `read_picture`, for threads inside one `limits()`; also the picture's width and height."""
    try:
        with Image.open(path, formats=FORMATS) as picture:
            return _square(picture, path, size)
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise _too_large(path) from None
    except UnidentifiedImageError:
        raise _unknown(path) from None
    except Exception as error:  # of damaged files libraries raise whatever they come upon
        if isinstance(error, OSError) and error.errno is not None:
            # There is no such file, or no right to read it; or reading broke off.
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise PictureError(path, "is damaged or cut off") from None


def _require_file(path):
    if re.match("[A-Za-z][A-Za-z]+:/", str(path)):
        raise PictureError(path, "is an address", "save the picture, and pass its file")
    if path.is_dir():
        raise PictureError(path, "is a folder", f"pass one picture in it, {KIND}")
    if path.exists() and not path.is_file():
        raise PictureError(path, "is no file", f"pass a picture, {KIND}")


def _unknown(path):
    if path.stat().st_size == 0:
        return PictureError(path, "is empty")
    if path.suffix.lower() in (".heic", ".heif") or _is_heic(path):
        return PictureError(path, "is HEIC, which is not read here", "save it as JPEG")
    return PictureError(path, "is no picture that can be read")


def _is_heic(path):
    """Whether a file is a telephone's, whatever its name: as JPEG some programs hand it on."""
    with path.open("rb") as file:
        start = file.read(12)
    return start[4:8] == b"ftyp" and start[8:12] in HEIC


def _too_large(path):
    return PictureError(
        path,
        "is too large",
        f"pass a picture of at most {LARGEST // 10**6} million pixels, or a "
        f"JPEG of at most {LARGEST_JPEG // 10**6} million",
    )


def _square(picture, path, size):
    """The square middle of an opened picture, in RGB and upright; and its width and height."""
    width, height = picture.size
    drafted = picture.draft(None, (MARGIN * size, MARGIN * size))  # None but of a JPEG
    if picture.width * picture.height > LARGEST:
        raise _too_large(path)
    picture.load()  # by which Pillow turns a TIFF upright, and forgets how it was held
    if drafted is None:
        width, height = picture.size
    held = _held(picture)

    right, bottom = (width, height) if drafted is None else drafted[1][2:]
    side = min(right, bottom)
    middle = (right - side) / 2, (bottom - side) / 2, (right + side) / 2, (bottom + side) / 2
    colours = _in_colours(picture, path)
    square = colours.resize((size, size), Image.Resampling.LANCZOS, box=middle)
    if square.mode == "RGBA":
        square = Image.alpha_composite(Image.new("RGBA", square.size, "white"), square)
    square = square.convert("RGB")
    if held in UPRIGHT:
        square = square.transpose(UPRIGHT[held])
    return np.asarray(square), (height, width) if held in SIDEWAYS else (width, height)


def _held(picture):
    """How the camera was held, 1 to 8; 1 where nothing, or nothing that can be read, says so."""
    try:
        return picture.getexif().get(ORIENTATION, 1)
    except Exception:  # a picture is not worse for damaged EXIF
        return 1


def _in_colours(picture, path):
    """In a mode that can be resized: L, RGB, or RGBA if something may be transparent."""
    if picture.mode in ("I", "I;16", "I;16B", "I;16L", "I;16N"):
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 65_535:
            raise PictureError(path, "has more than 16 bits a colour", SAVE_AGAIN)
        return Image.fromarray((values >> 8).astype(np.uint8))
    if picture.mode in ("F", "LAB"):
        kind = {"F": "floating-point values", "LAB": "LAB colours"}[picture.mode]
        raise PictureError(path, f"has {kind}, whose range is not known here", SAVE_AGAIN)
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    if picture.mode in ("1", "L"):
        return picture.convert("L")
    return picture.convert("RGB")
