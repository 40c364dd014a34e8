"""Each augmentation by what it may and must do to a pixel."""

import numpy as np
import pytest

from helpers.data import augmentation
from helpers.data.augmentation import Augmentation

EVERYTHING = Augmentation(flip=True, crop=4, brightness=0.2, contrast=(0.8, 1.2), cutout=8)


@pytest.fixture(scope="module")
def images():
    """200 images of 12 x 12 pixels, none of them black."""
    return np.random.default_rng(0).integers(1, 256, (200, 12, 12, 3), dtype=np.uint8)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def grey(value, count=400):
    return np.full((count, 12, 12, 3), value, np.uint8)


def test_nothing_is_the_default(images, rng):
    np.testing.assert_array_equal(Augmentation()(images, rng), images)


@pytest.mark.parametrize(
    "augment",
    [
        Augmentation(flip=True),
        Augmentation(crop=4),
        Augmentation(brightness=0.2),
        Augmentation(contrast=(0.5, 1.5)),
        Augmentation(cutout=4),
        Augmentation(randaugment=(2, 9)),
        EVERYTHING,
    ],
    ids=["flip", "crop", "brightness", "contrast", "cutout", "randaugment", "everything"],
)
def test_any_augmentation(images, augment):
    before = images.copy()
    result = augment(images, np.random.default_rng(1))
    again = augment(images, np.random.default_rng(1))
    other = augment(images, np.random.default_rng(2))

    assert result.shape == images.shape
    assert result.dtype == np.uint8
    assert (result != images).any()
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(result, again)
    assert (result != other).any()


def test_flip_mirrors_about_half_of_the_images(images, rng):
    flipped = 0
    for before, after in zip(images, augmentation.random_flip(images, rng), strict=True):
        if (after != before).any():
            flipped += 1
            np.testing.assert_array_equal(after, before[:, ::-1])
    assert 70 <= flipped <= 130


def test_crop_is_a_window_of_the_padded_image(images, rng):
    seen = set()
    for before, after in zip(images, augmentation.random_crop(images, 2, rng), strict=True):
        padded = np.zeros((16, 16, 3), np.uint8)
        padded[2:14, 2:14] = before
        places = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if (padded[top : top + 12, left : left + 12] == after).all()
        ]
        assert len(places) == 1
        seen.update(places)
    assert len(seen) == 25  # every shift from -2 to 2, both ways


def test_brightness_shifts_whole_images_by_at_most_delta(rng):
    result = augmentation.random_brightness(grey(100), 0.1, rng).astype(int)
    shift = result[:, 0, 0, 0] - 100
    np.testing.assert_array_equal(result, grey(100) + shift[:, None, None, None])
    assert shift.min() < -20
    assert shift.max() > 20
    assert abs(shift).max() <= 26  # 0.1 x 255, rounded
    assert 150 <= (shift == 0).sum() <= 260  # half are left alone, and few shifts round to 0


def test_contrast_scales_about_the_mean(rng):
    images = grey(100)
    images[:, ::2] = 140  # mean 120, deviation 20
    result = augmentation.random_contrast(images, 0.5, 1.5, rng).astype(int)
    deviation = result[:, 0, 0, 0] - 120
    np.testing.assert_array_equal(
        result[:, ::2], 120 + np.zeros_like(result[:, ::2]) + deviation[:, None, None, None]
    )
    np.testing.assert_array_equal(
        result[:, 1::2], 120 - np.zeros_like(result[:, 1::2]) - deviation[:, None, None, None]
    )
    assert deviation.min() in (10, 11)
    assert deviation.max() in (29, 30)
    assert 150 <= (deviation == 20).sum() <= 260


def test_contrast_takes_each_channel_s_own_mean(images, rng):
    images = images[:, :8] // np.array([1, 2, 4], np.uint8)  # oblong
    result = augmentation.random_contrast(images, 0.5, 0.5, rng)
    mean = images.mean(axis=(1, 2), keepdims=True)
    changed = (result != images).any(axis=(1, 2, 3))
    assert 60 <= changed.sum() <= 140
    np.testing.assert_array_equal(result[changed], np.rint((mean + images) / 2)[changed])


@pytest.mark.parametrize(("value", "bound"), [(5, 0), (250, 255)])
def test_pixels_are_clipped_not_wrapped(rng, value, bound):
    result = augmentation.random_brightness(grey(value), 0.5, rng).astype(int)
    assert (result == bound).any()
    assert (abs(result - value) <= 128).all()


@pytest.mark.parametrize("size", [1, 4, 5])
def test_cutout_blackens_one_square(images, rng, size):
    images = np.tile(images, (10, 1, 1, 1))
    after = augmentation.random_cutout(images, size, rng)
    black = (after == 0).all(axis=-1)
    np.testing.assert_array_equal(after[~black], images[~black])
    areas = set()
    for mask in black:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert mask.sum() == height * width  # a full rectangle
        assert max(height, width) <= size  # smaller only where it meets the border
        areas.add(int(mask.sum()))
    assert max(areas) == size**2
    assert black.any(axis=0).all()  # it reaches every pixel


def test_mixup_mixes_images_and_labels_alike(rng):
    images, labels = np.stack([grey(0, 1)[0], grey(200, 1)[0]]), np.eye(2, dtype=np.float32)
    seen = set()
    for _ in range(20):
        mixed, mixed_labels = Augmentation(mixup=1.0).mix(images, labels, rng)
        assert mixed.dtype == np.uint8
        assert mixed_labels.dtype == np.float32
        np.testing.assert_allclose(mixed_labels.sum(axis=1), 1, rtol=1e-6)
        for image, label in zip(mixed, mixed_labels, strict=True):
            assert (image == np.rint(200 * label[1])).all()
            seen.add(int(image[0, 0, 0]))
    assert len(seen) > 10


def test_cutmix_pastes_a_rectangle_and_mixes_labels_by_its_area(rng):
    images, labels = np.stack([grey(0, 1)[0], grey(200, 1)[0]]), np.eye(2, dtype=np.float32)
    shares = []
    for _ in range(400):
        mixed, mixed_labels = Augmentation(cutmix=1.0).mix(images, labels, rng)
        assert mixed.dtype == np.uint8
        assert mixed_labels.dtype == np.float32
        pasted = (mixed[0] == 200).all(axis=-1)
        assert (mixed[0][~pasted] == 0).all()
        if pasted.any():
            rows, columns = np.flatnonzero(pasted.any(1)), np.flatnonzero(pasted.any(0))
            assert pasted.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        if not pasted.all():  # else both images are whole: exchanged, or the same again
            assert mixed_labels[0, 1] == pytest.approx(pasted.mean(), abs=1e-6)
        shares.append(pasted.mean())
    np.testing.assert_array_equal(images[0], grey(0, 1)[0])
    # Half of the draws pair each image with itself; a rectangle's area is evenly spread over
    # [0, 1] before the border cuts it.
    assert 0.05 < np.mean(shares) < 0.25
    assert max(shares) > 0.6


def test_images_are_mixed_in_one_way():
    with pytest.raises(ValueError, match="choose mixup or cutmix"):
        Augmentation(mixup=0.2, cutmix=1.0)


def test_unknown_flip_is_refused():
    with pytest.raises(ValueError, match="choose True, False or 'alternating'"):
        Augmentation(flip="vertical")


def test_nothing_is_mixed_by_default(images, rng):
    labels = np.eye(200, dtype=np.float32)
    mixed, mixed_labels = Augmentation().mix(images, labels, rng)
    assert mixed is images
    assert mixed_labels is labels
    assert not Augmentation().mixes
