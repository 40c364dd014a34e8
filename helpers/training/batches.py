"""Batches of training images for Keras: shuffled and augmented from (seed, epoch) alone."""

import numpy as np

from helpers import data
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
        weighted_from: the first epoch, from 0, that the class weights count in.
        sampling: `all` images once an epoch, or as many of each class as of any other
            (`balanced`), as many in all; of a class, each image as often as any other, or once
            more.

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
        weighted_from=0,
        sampling="all",
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
        self.weighted_from, self.sampling = weighted_from, sampling
        self._first_mirrored = np.random.default_rng((seed, MIRRORED)).random(len(images)) < 0.5
        self.epoch = 0

    @property
    def epoch(self) -> int:
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch = epoch
        rng = np.random.default_rng((self.seed, epoch))
        chosen = self.index if self.sampling == "all" else self._balanced(rng)
        self._order = rng.permutation(chosen)

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
        if self.epoch < self.weighted_from:
            return images, labels, np.ones(len(chosen), np.float32)
        return images, labels, np.asarray(self.class_weights, np.float32)[self.labels[chosen]]

    def _balanced(self, rng):
        """As many positions as `index` has, of each class as many, or one more."""
        classes = self.number_of_classes
        share, over = divmod(len(self.index), classes)
        shares = share + (rng.permutation(classes) < over)
        counts = data.class_counts(self.labels[self.index], classes)
        parts = []
        for label, (wanted, count) in enumerate(zip(shares, counts, strict=True)):
            own = self.index[self.labels[self.index] == label]
            passes = [rng.permutation(own) for _ in range(-(-wanted // count))]
            parts.append(np.concatenate(passes)[:wanted])
        return np.concatenate(parts)


def one_hot(labels, number_of_classes):
    """Ints (N,) -> float32 (N, C)."""
    return np.eye(number_of_classes, dtype=np.float32)[labels]
