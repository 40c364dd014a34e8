"""Batches follow from (seed, epoch), and every image comes once an epoch."""

import numpy as np
import pytest

from helpers.data.augmentation import Augmentation
from helpers.training.batches import Batches, one_hot

LABELS = np.arange(100) % 4


def numbered_images():
    """100 images, each of one value: its own position."""
    return np.broadcast_to(np.arange(100, dtype=np.uint8)[:, None, None, None], (100, 32, 32, 3))


def make(seed=0, epoch=0, augmentation=None, images=None, **settings):
    images = numbered_images() if images is None else images
    settings = {"index": np.arange(10, 80), "batch_size": 16} | settings
    augmentation = augmentation or Augmentation()
    batches = Batches(images, LABELS, 4, augmentation=augmentation, seed=seed, **settings)
    batches.epoch = epoch
    return batches


def passed(batches):
    """All images and labels of an epoch."""
    parts = zip(*(batches[step] for step in range(len(batches))), strict=True)
    return [np.concatenate(part) for part in parts]


def test_every_chosen_image_comes_once_an_epoch_with_its_label():
    images, labels = passed(make())
    positions = images[:, 0, 0, 0]
    assert sorted(positions) == list(range(10, 80))
    np.testing.assert_array_equal(labels, one_hot(LABELS[positions], 4))


def test_last_batch_has_the_rest():
    batches = make()
    assert [len(batches[step][0]) for step in range(len(batches))] == [16, 16, 16, 16, 6]


def test_there_is_no_batch_after_the_last():
    with pytest.raises(IndexError, match="batch 5 of 5"):
        make()[5]


def test_order_follows_from_seed_and_epoch():
    def order(seed, epoch):
        return passed(make(seed, epoch))[0][:, 0, 0, 0].tolist()

    assert order(0, 3) == order(0, 3)
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)


def test_augmentation_follows_from_seed_epoch_and_step(sample):
    def images(seed, epoch, step=2):
        batches = make(seed, epoch, Augmentation(flip=True, crop=4), sample.x_train[:100])
        return batches[step][0]

    np.testing.assert_array_equal(images(0, 3), images(0, 3))
    assert (images(0, 3) != images(0, 4)).any()
    assert (images(0, 3) != images(1, 3)).any()
    again = make(0, 3, Augmentation(crop=4), sample.x_train[:100], index=np.full(64, 7))
    assert (again[0][0] != again[1][0]).any()  # one image throughout, so that only steps differ


def test_a_batch_does_not_depend_on_those_before_it(sample):
    def new():
        return make(0, 1, Augmentation(flip=True, crop=4), sample.x_train[:100])

    np.testing.assert_array_equal(new()[3][0], passed(new())[0][48:64])


def test_an_image_is_augmented_anew_in_each_epoch(sample):
    shifts = []
    for epoch in range(6):
        batches = make(0, epoch, Augmentation(crop=4), sample.x_train[:100], index=np.array([7]))
        shifts.append(batches[0][0].tobytes())
    assert len(set(shifts)) > 3


def test_alternating_flip_shows_each_side_in_every_other_epoch(sample):
    images = sample.x_train[:100]
    augmentation = Augmentation(flip="alternating")
    mirrored = []
    for epoch in range(4):
        batches = make(0, epoch, augmentation, images, index=np.arange(100))
        order = batches._order
        shown = passed(batches)[0][np.argsort(order)]
        same = (shown == images).all(axis=(1, 2, 3))
        assert ((shown == images[:, :, ::-1]).all(axis=(1, 2, 3)) | same).all()
        mirrored.append(~same)
    assert 30 < mirrored[0].sum() < 70
    np.testing.assert_array_equal(mirrored[1], ~mirrored[0])
    np.testing.assert_array_equal(mirrored[2], mirrored[0])
    np.testing.assert_array_equal(mirrored[3], mirrored[1])


def test_images_stay_as_they_are(sample):
    images = sample.x_train[:100].copy()
    passed(make(0, 0, Augmentation(flip=True, crop=4, cutout=8), images))
    np.testing.assert_array_equal(images, sample.x_train[:100])


def test_class_weights_go_with_the_images():
    weights = np.array([0.5, 1.0, 2.0, 4.0])
    images, _, of_images = passed(make(class_weights=weights))
    np.testing.assert_array_equal(of_images, weights[LABELS[images[:, 0, 0, 0]]])


@pytest.mark.parametrize("mixing", ["mixup", "cutmix"])
def test_class_weights_with_mixed_labels_are_refused(mixing):
    with pytest.raises(ValueError, match="leave out mixup and cutmix, or weights"):
        make(augmentation=Augmentation(**{mixing: 0.2}), class_weights=np.ones(4))


@pytest.mark.parametrize("mixing", ["mixup", "cutmix"])
def test_mixing_gives_soft_labels(mixing):
    images, labels = make(augmentation=Augmentation(**{mixing: 1.0}))[0]
    assert images.dtype == np.uint8
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
    assert ((labels > 0) & (labels < 1)).any()


def test_label_smoothing_by_hand():
    images, labels = make(label_smoothing=0.2)[0]
    classes = LABELS[images[:, 0, 0, 0]]
    expected = np.full((16, 4), 0.05)
    expected[np.arange(16), classes] = 0.85
    np.testing.assert_allclose(labels, expected, rtol=1e-6)
    assert labels.dtype == np.float32


def test_one_hot_by_hand():
    expected = np.array([[0, 0, 1], [1, 0, 0]], np.float32)
    np.testing.assert_array_equal(one_hot(np.array([2, 0]), 3), expected)
    assert one_hot(np.array([2, 0]), 3).dtype == np.float32


def test_weights_that_come_later_are_ones_before():
    weights = [1.0, 2.0, 3.0, 4.0]
    for epoch in range(4):
        batch = make(epoch=epoch, class_weights=weights, weighted_from=2)[0]
        classes = batch[1].argmax(1)
        expected = np.array(weights)[classes] if epoch >= 2 else np.ones(16)
        assert batch[2].tolist() == expected.tolist()


def test_balanced_sampling_draws_each_class_as_often():
    # 15 images, of classes 0 to 3: 2, 3, 4 and 6 of them.
    index = np.array([0, 4, 1, 5, 9, 2, 6, 10, 14, 3, 7, 11, 15, 19, 23])
    times = np.zeros((6, 24), int)
    for epoch in range(6):
        batches = make(epoch=epoch, index=index, batch_size=5, sampling="balanced")
        images, labels = passed(batches)
        assert len(images) == len(index)
        assert sorted(labels.sum(0).tolist()) == [3, 4, 4, 4]
        times[epoch] = np.bincount(images[:, 0, 0, 0], minlength=24)
    assert set(np.flatnonzero(times.sum(0))) == set(index.tolist())
    for label in range(4):
        own = times[:, [i for i in index if LABELS[i] == label]]
        assert (own.max(1) - own.min(1) <= 1).all()  # of a class, no image is favoured


def test_balanced_sampling_follows_from_seed_and_epoch():
    first, again, later = (make(epoch=epoch, sampling="balanced")._order for epoch in (3, 3, 4))
    assert first.tolist() == again.tolist()
    assert first.tolist() != later.tolist()
