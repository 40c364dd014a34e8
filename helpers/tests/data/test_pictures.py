"""Users' own pictures: of any size and kind, and broken."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import data
from helpers.data import pictures


def test_the_square_middle_is_read(photograph, sample):
    found = data.read_picture(photograph)
    assert found.shape == (32, 32, 3)
    assert found.dtype == np.uint8
    difference = np.abs(found.astype(int) - sample.x_test[0])
    assert difference.mean() < 5  # no red from the sides


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_other_kinds_of_pictures_are_read(tmp_path, mode):
    Image.new(mode, (10, 20)).save(tmp_path / "one.png")
    assert data.read_picture(tmp_path / "one.png").shape == (32, 32, 3)


def test_what_is_transparent_is_white(tmp_path):
    cut_out = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    cut_out.paste((200, 0, 0, 255), (8, 8, 24, 24))
    cut_out.save(tmp_path / "cut.png")
    found = data.read_picture(tmp_path / "cut.png")
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[16, 16].tolist() == [200, 0, 0]


def png(width, height, pixels=b"", bits=8, colour=0):
    """A PNG, in grey unless `colour` is 2, that claims to be of this size."""

    def chunk(kind, content):
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(pixels)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


# A JPEG 2000 file, its header cut off where the size should be.
HUGE_JP2 = bytes.fromhex(
    "0000000c6a5020200d0a870a00000014667479706a703220000000006a703220000000016a70326840" + 14 * "0"
)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no picture",
        HUGE_JP2,
        png(8, 8)[:24],  # cut within the header
        png(8, 8)[:40],
        png(8, 8, b"\xff" * 30),  # too few pixels, of an unknown filter
        b"GIF89a",
        b"BM" + 20 * b"\xff",
        b"II*\0\xff\xff\xff\x7f",
        b"RIFF\x10\0\0\0WEBPVP8 \xff\xff\xff\xff",
        b"\0\0\1\0\1\0" + 16 * b"\xff",  # an icon
    ],
)
def test_damage_is_one_line_that_names_the_file(tmp_path, content):
    path = tmp_path / "damaged.png"
    path.write_bytes(content)
    kinds = "(empty|damaged or cut off|no picture that can be read)"
    with pytest.raises(ValueError, match=rf"damaged\.png is {kinds}: pass"):
        data.read_picture(path)


@pytest.mark.parametrize("size", [(14_000, 14_000), (30_000, 30_000)])
def test_what_is_too_large_says_so_with_the_limit(tmp_path, size):
    (tmp_path / "large.png").write_bytes(png(*size))
    limit = "large.png is too large: pass a picture of at most 100 million pixels, or a JPEG of"
    with pytest.raises(ValueError, match=limit):
        data.read_picture(tmp_path / "large.png")


@pytest.mark.parametrize("progressive", [False, True])
def test_larger_jpegs_are_read(tmp_path, sample, monkeypatch, progressive):
    image = Image.fromarray(sample.x_test[0]).resize((4_096, 4_096), Image.Resampling.BICUBIC)
    path = tmp_path / "phone.jpg"
    image.save(path, progressive=progressive)
    whole = data.read_picture(path)
    monkeypatch.setattr(pictures, "LARGEST", 10_000_000)
    reduced = data.read_picture(path)
    assert np.abs(whole.astype(int) - reduced).max() < 10
    monkeypatch.setattr(pictures, "LARGEST_JPEG", 16_000_000)
    with pytest.raises(ValueError, match="too large"):
        data.read_picture(path)


@pytest.mark.filterwarnings("error")
def test_pillow_s_own_limit_does_not_count(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # of which it warns, and refuses twice it
    for side in (12, 20):
        Image.new("L", (side, side)).save(tmp_path / "large.png")
        assert data.read_picture(tmp_path / "large.png").shape == (32, 32, 3)
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".", r"\. is a folder: pass one picture in it"),
        ("/", "/ is a folder"),
        ("https://example.org/cat.jpg", "is an address: save the picture, and pass its file"),
        ("file:///home/me/cat.jpg", "is an address"),
        (os.devnull, "is no file: pass a picture"),
    ],
)
def test_what_is_no_file_says_what_is_expected(path, text):
    with pytest.raises(ValueError, match=text):
        data.read_picture(Path(path))


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        data.read_picture(tmp_path / "none.png")
