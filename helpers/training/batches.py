"""Batches of training images for Keras: shuffled and augmented from (seed, epoch) alone."""

import numpy as np

from helpers.backend import keras
from helpers.data.augmentation import mirror

MIRRORED = 2**31  # no epoch: a random stream of its own


class Batches(keras.utils.PyDataset):
    """Augmented batches of chosen images; the same on every backend, also after resuming.

    Batch i of an epoch depends on seed, epoch and i only.  The images stay where they are:
    `index` says which of them to use.  Set `epoch` before each pass.

    Args:
        images: uint8 (N, 32, 32, 3).
        labels: ints (N,).
        number_of_classes: C.
        index: positions of the images to train on.
        batch_size: images a batch; the last one may be smaller.
        augmentation: applied to each image anew in each epoch.
        seed: of order and augmentation.
        class_weights: (C,) floats; each image's loss is multiplied by its class's.
        label_smoothing: share of each label that is spread evenly over all classes (Szegedy et
            al. 2016, section 7).

    A batch is (images, labels float32 (n, C)), with class weights also (n,) floats.  Labels are
    one-hot where nothing mixes or smooths them.

    Raises:
        ValueError: class weights together with mixup or cutmix: a mixed label has no one class.
    """

    def __init__(
        self,
        images,
        labels,
        number_of_classes,
        index,
        batch_size,
        augmentation,
        seed,
        class_weights=None,
        label_smoothing=0.0,
    ):
        super().__init__()
        if class_weights is not None and augmentation.mixes:
            raise ValueError(
                "class weights need one class per image: leave out mixup and cutmix, or weights"
            )
        self.images, self.labels, self.index = images, labels, index
        self.number_of_classes = number_of_classes
        self.batch_size, self.augmentation = batch_size, augmentation
        self.seed, self.class_weights = seed, class_weights
        self.label_smoothing = label_smoothing
        self._first_mirrored = np.random.default_rng((seed, MIRRORED)).random(len(images)) < 0.5
        self.epoch = 0

    @property
    def epoch(self) -> int:
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch = epoch
        self._order = np.random.default_rng((self.seed, epoch)).permutation(self.index)

    def __len__(self):
        return -(-len(self.index) // self.batch_size)

    def __getitem__(self, step):
        if not 0 <= step < len(self):
            raise IndexError(f"batch {step} of {len(self)}")
        chosen = self._order[step * self.batch_size : (step + 1) * self.batch_size]
        rng = np.random.default_rng((self.seed, self.epoch, step))
        images = self.images[chosen]
        if self.augmentation.flip == "alternating":
            images = mirror(images, self._first_mirrored[chosen] ^ bool(self.epoch % 2))
        images = self.augmentation(images, rng)
        labels = one_hot(self.labels[chosen], self.number_of_classes)
        images, labels = self.augmentation.mix(images, labels, rng)
        labels += self.label_smoothing * (1 / self.number_of_classes - labels)
        if self.class_weights is None:
            return images, labels
        return images, labels, np.asarray(self.class_weights, np.float32)[self.labels[chosen]]


def one_hot(labels, number_of_classes):
    """Ints (N,) -> float32 (N, C)."""
    return np.eye(number_of_classes, dtype=np.float32)[labels]
