"""Thin out and split training images: the data variants of the study."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from helpers.data.folders import OWN, FolderData, split_folder
from helpers.data.sources import SOURCES, Data, load, official_labels


@dataclass(frozen=True)
class Variant:
    """A data set of the study: a source, thinned out by class and as a whole, if at all.

    `permuted`: each image that is trained on gets the label of another one, so that there is
    nothing to learn; those that validate and test keep theirs.
    """

    source: str
    keep: Mapping[str, float] = field(default_factory=dict)  # class name -> fraction that stays
    fraction: float = 1.0  # of what `keep` leaves
    permuted: bool = False
    whole_validation: bool = False  # split first, then thin out what is trained on alone


HARD = {"cat": 0.2, "deer": 0.2, "dog": 0.2}
EASY = {"automobile": 0.2, "ship": 0.2, "truck": 0.2}

VARIANTS = {
    "cifar10": Variant("cifar10"),
    "cifar10-imbalanced": Variant("cifar10", keep=HARD),
    # Other scarce classes, which are easy, and the same three as system C's code has them.
    "cifar10-imbalanced_easy": Variant("cifar10", keep=EASY),
    "cifar10-thinned": Variant("cifar10", keep=HARD, whole_validation=True),
    "cifar10-5pct": Variant("cifar10", fraction=0.05),
    "cifar10-20pct": Variant("cifar10", fraction=0.2),
    "cifar10-permuted": Variant("cifar10", fraction=0.02, permuted=True),  # few enough to memorise
    "cifar100": Variant("cifar100"),
}


@dataclass(frozen=True, eq=False)
class Split:
    """What a run trains on and validates on: sorted positions in `data.x_train`."""

    data: Data
    train_index: np.ndarray
    val_index: np.ndarray

    @property
    def y_train(self) -> np.ndarray:
        return self.data.y_train[self.train_index]

    @property
    def x_val(self) -> np.ndarray:
        return self.data.x_train[self.val_index]

    @property
    def y_val(self) -> np.ndarray:
        return self.data.y_train[self.val_index]


def prepare(variant: str, seed: int, data: Data | None = None) -> Split:
    """Thin out and split the training images as the named variant has it.

    The seed says which images stay, which of them validate, and how labels are permuted, so that
    run k of every model sees the same split.  `data` (default: all of the variant's source) may
    be the sample.  A user's folder, `own-...`, is split off what its own parts leave open.

    Raises:
        ValueError: an unknown variant, or one of a user's own without its data.
    """
    if variant.startswith(OWN):
        if not isinstance(data, FolderData) or data.name != variant:
            raise ValueError(f"{variant} is a user's own: pass the data that load_folder gives")
        return Split(*split_folder(data, seed))
    if variant not in VARIANTS:
        raise ValueError(f"unknown data variant {variant!r}: choose from {', '.join(VARIANTS)}")
    data = data or load(VARIANTS[variant].source)
    train, val = _parts(VARIANTS[variant], data.y_train, data.classes, seed)
    if VARIANTS[variant].permuted:
        labels = data.y_train.copy()
        labels[train] = np.random.default_rng(seed).permutation(labels[train])
        data = replace(data, y_train=labels)
    return Split(data, train, val)


def training_images(variant: str) -> int:
    """How many images a run of the variant trains on; needs no download."""
    chosen = VARIANTS[variant]
    labels, classes = official_labels(chosen.source)[0], SOURCES[chosen.source].classes
    return len(_parts(chosen, labels, classes, seed=0)[0])


def split(labels: np.ndarray, seed: int, fraction: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Stratified positions for training and, `fraction` of them, validation; both sorted."""
    from sklearn.model_selection import train_test_split  # takes a second to load

    if not 0 < fraction < 1:
        raise ValueError(f"a fraction must lie in (0, 1) to leave images on both sides: {fraction}")
    try:
        train, val = train_test_split(
            np.arange(len(labels)), test_size=fraction, stratify=labels, random_state=seed
        )
    except ValueError as error:
        raise ValueError(f"too few images to split by class ({error}): keep more of them") from None
    return np.sort(train), np.sort(val)


def subset(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Sorted positions of `fraction` of each class, rounded, chosen by the seed."""
    return _keep(labels, dict.fromkeys(np.unique(labels).tolist(), fraction), seed)


def imbalance(
    labels: np.ndarray, keep: Mapping[str, float], classes: tuple[str, ...], seed: int
) -> np.ndarray:
    """Sorted positions of what stays when each class in `keep` is cut to its fraction.

    Args:
        labels: (N,) ints.
        keep: class name -> fraction in (0, 1]; other classes stay whole.
        classes: all names, in the labels' order.
        seed: says which images stay.

    Raises:
        ValueError: an unknown class, a fraction outside (0, 1], a class left without images.
    """
    unknown = set(keep) - set(classes)
    if unknown:
        raise ValueError(f"unknown classes {sorted(unknown)}: choose from {', '.join(classes)}")
    return _keep(labels, {classes.index(name): part for name, part in keep.items()}, seed)


def class_counts(labels: np.ndarray, number_of_classes: int) -> np.ndarray:
    """Images per class, (C,) ints; raises ValueError if a class has none."""
    counts = np.bincount(labels, minlength=number_of_classes)
    if (counts == 0).any():
        empty = np.flatnonzero(counts == 0).tolist()
        raise ValueError(f"classes {empty} have no images: keep at least one of each")
    return counts


def inverse_frequency(labels: np.ndarray, number_of_classes: int) -> np.ndarray:
    """Class weights n / (C x n_c), (C,) floats: each class weighs the same in the summed loss."""
    counts = class_counts(labels, number_of_classes)
    return len(labels) / (number_of_classes * counts)


def effective_number(labels: np.ndarray, number_of_classes: int, beta: float) -> np.ndarray:
    """Class weights by the effective number of images, (C,) floats, C in sum.

    A class of n_c images has (1 - beta^n_c) / (1 - beta) that count, for each is partly like the
    others; it weighs the inverse of that (Cui et al. 2019, section 4).
    """
    weights = 1 / (1 - beta ** class_counts(labels, number_of_classes))
    return weights * number_of_classes / weights.sum()


def _parts(variant: Variant, labels, classes, seed):
    """Sorted positions for training and validation."""
    if variant.whole_validation:
        train, val = split(labels, seed)
        return train[_thin_out(variant, labels[train], classes, seed)], val
    kept = _thin_out(variant, labels, classes, seed)
    train, val = split(labels[kept], seed)
    return kept[train], kept[val]


def _thin_out(variant: Variant, labels, classes, seed):
    kept = imbalance(labels, variant.keep, classes, seed)
    return kept[subset(labels[kept], variant.fraction, seed)]


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction <= 1:
        raise ValueError(f"a fraction must lie in (0, 1], not {fraction}")


def _keep(labels, fractions, seed):
    rng = np.random.default_rng(seed)
    mask = np.ones(len(labels), bool)
    for label, fraction in fractions.items():
        _check_fraction(fraction)
        members = np.flatnonzero(labels == label)
        stay = round(fraction * len(members))
        if stay == 0:
            raise ValueError(
                f"class {label} would keep none of its {len(members)} images: "
                f"raise its fraction {fraction}"
            )
        mask[rng.permutation(members)[stay:]] = False
    return np.flatnonzero(mask)
