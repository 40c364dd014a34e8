"""The operations of RandAugment, by what each may do to a picture."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from helpers.data import randaugment
from helpers.data.randaugment import OPERATIONS, random_operations

WITHOUT_STRENGTH = (1, 2)  # autocontrast and equalize


def apply(operation, pixels, strength):
    return np.asarray(OPERATIONS[operation](Image.fromarray(pixels), strength))


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
        return lambda image, s: Image.fromarray(
            np.asarray(image) + np.array([number, 1, 100 + round(50 * s)], np.uint8)
        )

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
