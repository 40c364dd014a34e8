"""The operations of RandAugment, by what each may do to a picture."""

import platform

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from helpers.data import randaugment
from helpers.data.randaugment import OPERATIONS, random_operations

WITHOUT_STRENGTH = (1, 2)  # autocontrast and equalize


# ---- as Pillow does it, one image after another


def affine(a=1.0, b=0.0, c=0.0, d=0.0, e=1.0, f=0.0):
    return lambda image: image.transform(image.size, Image.Transform.AFFINE, (a, b, c, d, e, f))


def enhance(enhancer):
    return lambda image, s: enhancer(image).enhance(1 + 0.9 * s)


BY_PILLOW = (
    lambda image, s: image,
    lambda image, s: ImageOps.autocontrast(image),
    lambda image, s: ImageOps.equalize(image),
    lambda image, s: image.rotate(30 * s),
    lambda image, s: ImageOps.solarize(image, 256 - 256 * abs(s)),
    enhance(ImageEnhance.Color),
    lambda image, s: ImageOps.posterize(image, 8 - round(4 * abs(s))),
    enhance(ImageEnhance.Contrast),
    enhance(ImageEnhance.Brightness),
    enhance(ImageEnhance.Sharpness),
    lambda image, s: affine(b=0.3 * s)(image),
    lambda image, s: affine(d=0.3 * s)(image),
    lambda image, s: affine(c=round(0.3 * s * image.width))(image),
    lambda image, s: affine(f=round(0.3 * s * image.height))(image),
)


def by_pillow(operation, images, strengths):
    return np.stack(
        [
            BY_PILLOW[operation](Image.fromarray(image), s)
            for image, s in zip(images, strengths.tolist(), strict=True)
        ]
    )


def assert_equal_bytes(found, expected):
    assert found.dtype == np.uint8
    if platform.machine() in ("x86_64", "AMD64"):
        np.testing.assert_array_equal(found, expected)
    else:  # where Pillow's compiler may have fused a multiplication and an addition
        difference = np.abs(found.astype(int) - expected)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.01


@pytest.fixture(scope="module")
def pictures(sample):
    """Batches of many kinds and sizes."""
    noise = np.random.default_rng(0).integers
    return {
        "photographs": sample.x_train[:31],
        "little contrast": sample.x_train[:31] // 8 + 90,
        "noise": noise(0, 256, (31, 32, 32, 3), dtype=np.uint8),
        "few values": noise(0, 3, (31, 32, 32, 3), dtype=np.uint8),
        "one value": np.full((31, 8, 8, 3), np.arange(0, 248, 8)[:, None, None, None], np.uint8),
        "oblong": noise(0, 256, (31, 17, 41, 3), dtype=np.uint8),
        "large": noise(0, 256, (3, 150, 220, 3), dtype=np.uint8),
        "tiny": noise(0, 256, (31, 2, 3, 3), dtype=np.uint8),
    }


@pytest.mark.parametrize("operation", range(14))
def test_operation_gives_pillow_s_bytes(pictures, operation):
    for images in pictures.values():
        for strength in (np.linspace(-1, 1, len(images)), np.resize((0.3, -0.3), len(images))):
            before = images.copy()
            found = OPERATIONS[operation](images, strength)
            assert_equal_bytes(found, by_pillow(operation, images, strength))
            np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("magnitude", [0, 9, 14.5, 30])
def test_batch_is_what_pillow_makes_of_its_images_in_turn(sample, magnitude):
    images = sample.x_train[:128]
    found = random_operations(images, 2, magnitude, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    drawn = rng.integers(14, size=(128, 2))
    strength = magnitude / 30 * rng.choice((-1, 1), size=(128, 2))
    expected = images
    for k in range(2):
        expected = np.concatenate(
            [
                by_pillow(drawn[i, k], expected[i : i + 1], strength[i : i + 1, k])
                for i in range(128)
            ]
        )
    assert_equal_bytes(found, expected)


# ---- what the operations do


def apply(operation, pixels, strength):
    return OPERATIONS[operation](pixels[None], np.array([strength]))[0]


@pytest.fixture
def pixels():
    """A picture of 30 x 30 pixels, none of them black."""
    return np.random.default_rng(0).integers(1, 256, (30, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("operation", [k for k in range(14) if k not in WITHOUT_STRENGTH])
def test_no_strength_changes_nothing(pixels, operation):
    np.testing.assert_array_equal(apply(operation, pixels, 0.0), pixels)


@pytest.mark.parametrize("operation", range(1, 14))
def test_full_strength_changes_the_picture(pixels, operation):
    pixels = pixels // 2 + 20  # room for autocontrast
    assert (apply(operation, pixels, 1.0) != pixels).any()


@pytest.mark.parametrize(("operation", "axis"), [(12, 1), (13, 0)], ids=["x", "y"])
@pytest.mark.parametrize("strength", [1.0, -1.0])
def test_translation_by_hand(pixels, operation, axis, strength):
    shift = -9 if strength > 0 else 9  # 0.3 x 30 pixels
    expected = np.roll(pixels, shift, axis)
    emptied = slice(shift, None) if shift < 0 else slice(0, shift)
    expected[(slice(None),) * axis + (emptied,)] = 0
    np.testing.assert_array_equal(apply(operation, pixels, strength), expected)


def test_the_other_ranges_are_torchvision_s(pixels):
    from torchvision.transforms import RandAugment

    space = RandAugment()._augmentation_space(num_bins=31, image_size=(30, 30))
    strongest = {name: float(values[-1]) for name, (values, _) in space.items() if values.ndim}
    image = Image.fromarray(pixels)
    shear = strongest["ShearX"]
    expected = {
        3: image.rotate(strongest["Rotate"]),
        5: ImageEnhance.Color(image).enhance(1 + strongest["Color"]),
        6: ImageOps.posterize(image, int(strongest["Posterize"])),
        7: ImageEnhance.Contrast(image).enhance(1 + strongest["Contrast"]),
        8: ImageEnhance.Brightness(image).enhance(1 + strongest["Brightness"]),
        9: ImageEnhance.Sharpness(image).enhance(1 + strongest["Sharpness"]),
        10: image.transform(image.size, Image.Transform.AFFINE, (1, shear, 0, 0, 1, 0)),
        11: image.transform(image.size, Image.Transform.AFFINE, (1, 0, 0, shear, 1, 0)),
    }
    for operation, picture in expected.items():
        np.testing.assert_allclose(apply(operation, pixels, 1.0), picture, atol=1)


def test_solarize_and_posterize_by_hand():
    grey = np.array([[[10], [100], [129], [250]]], np.uint8).repeat(3, axis=2)
    solarized = apply(4, grey, 0.5)[0, :, 0]  # from 128 on, inverted
    assert solarized.tolist() == [10, 100, 126, 5]
    posterized = apply(6, grey, -1.0)[0, :, 0]  # the four highest bits stay
    assert posterized.tolist() == [0, 96, 128, 240]


def test_opposite_strengths_darken_and_brighten(pixels):
    dark, bright = (apply(8, pixels, s).astype(int).sum() for s in (-0.5, 0.5))
    assert dark < pixels.sum(dtype=int) < bright


def test_operations_are_drawn_for_each_image(monkeypatch):
    # Each operation leaves its own mark, its strength another.
    def mark(number):
        def operation(images, strength):
            marks = [np.full_like(strength, number), np.ones_like(strength), 100 + 50 * strength]
            return images + np.stack(marks, axis=-1).astype(np.uint8)[:, None, None]

        return operation

    monkeypatch.setattr(randaugment, "OPERATIONS", (mark(0), mark(10)))
    images = np.zeros((400, 4, 4, 3), np.uint8)
    result = random_operations(images, 1, 15, np.random.default_rng(0))
    which, times, strength = result[:, 0, 0].T
    assert set(times) == {1}
    assert set(strength) == {75, 125}  # half of the greatest magnitude, either direction
    assert 150 < (which == 10).sum() < 250
    assert 150 < (strength == 75).sum() < 250
    twice = random_operations(images, 2, 0, np.random.default_rng(0))
    assert set(twice[:, 0, 0, 1]) == {2}


def test_result_follows_from_the_generator(sample):
    def result(seed):
        return random_operations(sample.x_train[:20], 2, 9, np.random.default_rng(seed))

    before = sample.x_train[:20].copy()
    np.testing.assert_array_equal(result(0), result(0))
    assert (result(0) != result(1)).any()
    np.testing.assert_array_equal(sample.x_train[:20], before)
