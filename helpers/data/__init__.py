"""CIFAR-10, CIFAR-100 and users' own pictures: load, verify, split, thin out, augment.

Images are uint8 (N, S, S, 3) in RGB, S = 32 but for users' own; labels are int64 (N,).  NumPy and
Pillow only; nothing is unpickled.  A new data set, variant or augmentation goes here.
"""

from helpers.data.augmentation import Augmentation
from helpers.data.example import example_folder
from helpers.data.folders import FolderData, UnreadableError, load_folder
from helpers.data.names import CIFAR10_CLASSES, CIFAR100_CLASSES, CIFAR100_COARSE_CLASSES
from helpers.data.pictures import PictureError, read_picture
from helpers.data.report import FolderReport, folder_report
from helpers.data.sources import (
    SOURCES,
    Data,
    DataError,
    Source,
    in_canonical_order,
    load,
    load_sample,
    official_labels,
    unpack,
)
from helpers.data.splits import (
    VARIANTS,
    Split,
    Variant,
    class_counts,
    effective_number,
    imbalance,
    inverse_frequency,
    prepare,
    split,
    subset,
    training_images,
)

__all__ = [
    "CIFAR10_CLASSES",
    "CIFAR100_CLASSES",
    "CIFAR100_COARSE_CLASSES",
    "SOURCES",
    "VARIANTS",
    "Augmentation",
    "Data",
    "DataError",
    "FolderData",
    "FolderReport",
    "PictureError",
    "Source",
    "Split",
    "UnreadableError",
    "Variant",
    "class_counts",
    "effective_number",
    "example_folder",
    "folder_report",
    "imbalance",
    "in_canonical_order",
    "inverse_frequency",
    "load",
    "load_folder",
    "load_sample",
    "official_labels",
    "prepare",
    "read_picture",
    "split",
    "subset",
    "training_images",
    "unpack",
]
