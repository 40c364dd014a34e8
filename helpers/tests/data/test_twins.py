"""Images that are in two places."""

import numpy as np
import pytest

from helpers.data import twins


@pytest.fixture
def images():
    """Smooth images, each unlike the others."""
    coarse = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def test_the_nearest_is_found_and_how_alike_it_is(images):
    rng = np.random.default_rng(1)
    noisy = np.clip(images[[3, 7]] + rng.normal(0, 10, (2, 32, 32, 3)), 0, 255).astype(np.uint8)
    wanted = np.concatenate([images[:2], noisy, images[9:10, :, ::-1]])
    found = twins.nearest(wanted, images, np.arange(40))
    assert found.position.tolist() == [0, 1, 3, 7, 9]
    assert found.is_mirrored.tolist() == [False] * 4 + [True]
    pairs = zip(noisy, images[[3, 7]], strict=True)
    exact = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in pairs]
    assert np.allclose(found.correlation, [1, 1, *exact, 1], atol=1e-5)


def test_only_those_that_count_are_found(images):
    others = np.concatenate([images, images])
    found = twins.nearest(images, others, np.arange(40, 80))
    assert found.position.tolist() == list(range(40, 80))
    found = twins.nearest(images[:1], images, np.arange(1, 40))
    assert found.position[0] != 0
    assert found.correlation[0] < twins.TWIN


def test_blocks_change_nothing(images, monkeypatch):
    whole = twins.nearest(images, images[::-1], np.arange(40))
    monkeypatch.setattr(twins, "BLOCK", 120)
    parts = twins.nearest(images, images[::-1], np.arange(40))
    assert whole.position.tolist() == parts.position.tolist() == list(range(39, -1, -1))


def test_an_image_of_one_colour_is_like_none(images):
    plain = np.full((1, 32, 32, 3), 200, np.uint8)
    found = twins.nearest(plain, np.concatenate([plain, images]), np.arange(41))
    assert found.correlation.tolist() == [0]


@pytest.mark.parametrize("size", [16, 64, 96])
def test_other_sizes_are_compared(size):
    images = np.random.default_rng(0).integers(0, 256, (9, size, size, 3), np.uint8)
    assert twins.nearest(images, images, np.arange(9)).position.tolist() == list(range(9))


def test_equal_images_are_grouped(images, monkeypatch):
    others = images[[5, 3, 5, 8]] ^ np.array([0, 0, 0, 1], np.uint8)[:, None, None, None]
    assert twins.same(images, others) == [[3, 41], [5, 40, 42]]
    assert twins.same(images) == []
    monkeypatch.setattr(twins, "hash", lambda content: 0, raising=False)  # all hashes meet
    assert twins.same(images, others) == [[3, 41], [5, 40, 42]]
