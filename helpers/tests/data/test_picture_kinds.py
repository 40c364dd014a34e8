"""Every kind of picture that people have is read as it looks."""

import errno

import numpy as np
import pytest
from PIL import Image
from test_pictures import png

from helpers import data

RED, GREEN, BLUE, YELLOW = (220, 30, 20), (30, 200, 40), (20, 40, 210), (230, 220, 30)


def quarters(width=120, height=80, colours=(RED, GREEN, BLUE, YELLOW)):
    """A picture whose square middle has these colours in its quarters, black at both sides."""
    pixels = np.zeros((height, width, 3), np.uint8)
    left, top, half = (width - height) // 2, 0, height // 2
    for i, colour in enumerate(colours):
        y, x = top + half * (i // 2), left + half * (i % 2)
        pixels[y : y + half, x : x + half] = colour
    return Image.fromarray(pixels)


def seen(path, size=32):
    """The colours in the middle of the quarters, as read."""
    found = data.read_picture(path, size)
    assert found.shape == (size, size, 3)
    assert found.dtype == np.uint8
    a, b = size // 4, 3 * size // 4
    return found[[a, a, b, b], [a, b, a, b]].astype(int)


def assert_close(found, expected, tolerance):
    assert np.abs(found - np.array(expected)).max() <= tolerance


KINDS = {  # name: how Pillow writes it, how far a colour may be off
    "a.png": ({}, 0),
    "A.PNG": ({}, 0),
    "a.bmp": ({}, 0),
    "a.tif": ({}, 0),
    "lzw.tiff": ({"compression": "tiff_lzw"}, 0),
    "a.ppm": ({}, 0),
    "a.tga": ({}, 0),
    "a.pcx": ({}, 0),
    "a.sgi": ({}, 0),
    "a.jpg": ({"quality": 95}, 4),
    "progressive.JPEG": ({"quality": 95, "progressive": True}, 4),
    "a.webp": ({"lossless": True}, 0),
    "lossy.webp": ({"quality": 90}, 12),
    "a.jp2": ({}, 2),
    "a.avif": ({"quality": 95}, 12),
    "a.gif": ({}, 2),
    "wrong_ending.jpg": ({"format": "PNG"}, 0),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_format_is_read(tmp_path, name):
    settings, tolerance = KINDS[name]
    quarters().save(tmp_path / name, **settings)
    assert_close(seen(tmp_path / name), [RED, GREEN, BLUE, YELLOW], tolerance)


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk_is_read(tmp_path, name):
    quarters().convert("CMYK").save(tmp_path / name)
    assert_close(seen(tmp_path / name), [RED, GREEN, BLUE, YELLOW], 8)


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.bmp", "a.tif"])
def test_palettes_are_read(tmp_path, name):
    quarters().quantize(8).save(tmp_path / name)
    assert_close(seen(tmp_path / name), [RED, GREEN, BLUE, YELLOW], 2)


@pytest.mark.parametrize(
    ("mode", "name"),
    [("L", "a.png"), ("L", "a.jpg"), ("L", "a.tif"), ("LA", "a.png"), ("L", "a.pgm")],
)
def test_greyscale_is_read(tmp_path, mode, name):
    greys = [(value,) * 3 for value in (10, 90, 170, 250)]
    quarters(colours=greys).convert(mode).save(tmp_path / name)
    assert_close(seen(tmp_path / name), greys, 3)


def test_black_and_white_is_read(tmp_path):
    corners = [(255,) * 3, (0,) * 3, (0,) * 3, (255,) * 3]
    quarters(colours=corners).convert("1").save(tmp_path / "a.png")
    assert_close(seen(tmp_path / "a.png"), corners, 0)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm", "a.jp2"])
def test_of_16_bits_the_upper_8_count(tmp_path, name):
    greys = [(value,) * 3 for value in (10, 90, 170, 250)]
    pixels = np.asarray(quarters(colours=greys))[:, :, 0].astype(np.uint16) * 256 + 7
    Image.fromarray(pixels).save(tmp_path / name)
    assert_close(seen(tmp_path / name), greys, 1)


def test_colours_of_16_bits_are_read(tmp_path):
    pixels = np.asarray(quarters()).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)  # 0: no filter
    (tmp_path / "a.png").write_bytes(png(120, 80, rows, bits=16, colour=2))
    assert_close(seen(tmp_path / "a.png"), [RED, GREEN, BLUE, YELLOW], 1)


def cut_out(mode="RGBA"):
    """Red and blue quarters; the others are transparent, whatever colour lies below."""
    picture = quarters().convert("RGBA")
    pixels = np.array(picture)
    pixels[:40, 60:, 3] = 0
    pixels[40:, 60:, 3] = 0
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "a.gif", "a.ico"])
def test_what_is_transparent_is_white(tmp_path, name):
    picture = cut_out()
    if name == "a.ico":
        picture = picture.crop((20, 0, 100, 80))
    picture.save(
        tmp_path / name,
        **({"lossless": True} if name == "a.webp" else {}),
        **({"sizes": [(80, 80)]} if name == "a.ico" else {}),
    )
    assert_close(seen(tmp_path / name), [RED, (255,) * 3, BLUE, (255,) * 3], 3)


def test_half_transparent_is_half_white(tmp_path):
    Image.new("RGBA", (40, 40), (255, 0, 0, 128)).save(tmp_path / "a.png")
    assert_close(seen(tmp_path / "a.png"), [(255, 127, 127)] * 4, 1)


def test_a_transparent_colour_of_a_palette_is_white(tmp_path):
    picture = quarters().quantize(8)
    green = picture.getpixel((80, 20))
    picture.save(tmp_path / "a.png", transparency=green)
    assert_close(seen(tmp_path / "a.png"), [RED, (255,) * 3, BLUE, YELLOW], 2)


def test_a_transparent_colour_without_alpha_is_white(tmp_path):
    quarters().save(tmp_path / "a.png", transparency=GREEN)
    assert_close(seen(tmp_path / "a.png"), [RED, (255,) * 3, BLUE, YELLOW], 0)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif", "a.mpo"])
def test_of_several_frames_the_first_is_read(tmp_path, name):
    second = quarters(colours=[BLUE] * 4)
    settings = {"lossless": True} if name == "a.webp" else {}
    quarters().save(tmp_path / name, save_all=True, append_images=[second], **settings)
    assert_close(seen(tmp_path / name), [RED, GREEN, BLUE, YELLOW], 12)


# What a camera that is held in these ways makes of the upright picture.
HELD = {
    1: [],
    2: [Image.Transpose.FLIP_LEFT_RIGHT],
    3: [Image.Transpose.ROTATE_180],
    4: [Image.Transpose.FLIP_TOP_BOTTOM],
    5: [Image.Transpose.ROTATE_90, Image.Transpose.FLIP_TOP_BOTTOM],
    6: [Image.Transpose.ROTATE_90],
    7: [Image.Transpose.ROTATE_90, Image.Transpose.FLIP_LEFT_RIGHT],
    8: [Image.Transpose.ROTATE_270],
}


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
@pytest.mark.parametrize("held", HELD)
def test_pictures_are_set_upright(tmp_path, name, held):
    picture = quarters()
    for turn in HELD[held]:
        picture = picture.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = held
    picture.save(tmp_path / name, exif=exif)
    assert_close(seen(tmp_path / name), [RED, GREEN, BLUE, YELLOW], 25)
    found = data.pictures.read_within_limits(tmp_path / name, 32)[1]
    assert found == (120, 80)


def test_damaged_exif_does_no_harm(tmp_path):
    quarters().save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0\0", quality=95)
    assert_close(seen(tmp_path / "a.jpg"), [RED, GREEN, BLUE, YELLOW], 4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 2), (33, 31), (2000, 40)])
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_every_shape_is_read(tmp_path, shape, name):
    Image.new("RGB", shape, RED).save(tmp_path / name, quality=95)
    assert_close(seen(tmp_path / name), [RED] * 4, 4)


@pytest.mark.parametrize("size", [32, 64, 96, 224])
def test_a_jpeg_decoded_in_part_looks_as_the_whole(tmp_path, size):
    """Decoding at half, a quarter or an eighth of the size is how the speed comes about."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (20, 25, 3), np.uint8))
    whole = coarse.resize((1003, 797), Image.Resampling.BICUBIC)
    whole.save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as picture:
        picture.load()
        picture.save(tmp_path / "a.png")
    in_part, of_whole = (
        data.read_picture(tmp_path / name, size).astype(int) for name in ("a.jpg", "a.png")
    )
    assert np.abs(in_part - of_whole).max() < 12
    assert np.abs(in_part - of_whole).mean() < 1


@pytest.mark.parametrize(
    ("name", "picture", "text"),
    [
        ("a.tif", Image.new("F", (8, 8), 0.5), "has floating-point values, whose range is not"),
        ("a.tif", Image.new("I", (8, 8), 100_000), "has more than 16 bits a colour: save it as"),
        ("a.tif", Image.new("LAB", (8, 8)), "has LAB colours, whose range is not known here"),
    ],
)
def test_what_cannot_be_shown_says_why(tmp_path, name, picture, text):
    picture.save(tmp_path / name)
    with pytest.raises(data.PictureError, match=text):
        data.read_picture(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "start"), [("a.heic", ""), ("a.jpg", "ftypheic"), ("a.JPEG", "ftypmif1")]
)
def test_a_telephone_s_heic_says_what_to_do(tmp_path, name, start):
    """Whatever its name: some programs hand it on as a JPEG."""
    (tmp_path / name).write_bytes(b"\0\0\0\x18" + start.encode() + bytes(100))
    with pytest.raises(data.PictureError, match=f"{name} is HEIC, .*: save it as JPEG"):
        data.read_picture(tmp_path / name)


def test_a_drive_that_fails_is_named_by_the_file(tmp_path, monkeypatch):
    def fail(*arguments, **settings):
        raise OSError(errno.EIO, "Input/output error")  # as of a file's content, without its name

    (tmp_path / "a.png").touch()
    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(OSError, match=r"Input/output error: '.*a\.png'"):
        data.read_picture(tmp_path / "a.png")


def test_other_programs_are_not_run(tmp_path, monkeypatch):
    """Of an EPS, Pillow would have Ghostscript make a picture, whatever its ending says."""
    quarters().save(tmp_path / "a.jpg", format="EPS")
    with pytest.raises(data.PictureError, match="no picture that can be read"):
        data.read_picture(tmp_path / "a.jpg")
