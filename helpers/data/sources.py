"""CIFAR-10 and CIFAR-100: load and verify.  Nothing is unpickled.

Images are uint8 (N, 32, 32, 3) in RGB, labels int64 (N,).
"""

import hashlib
import http.client
import os
import shutil
import tarfile
import tempfile
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image

from helpers import config, files
from helpers.data.names import CIFAR10_CLASSES, CIFAR100_CLASSES, CIFAR100_COARSE_CLASSES

VERIFIED = ("x_train", "y_train", "x_test", "y_test", "coarse_train", "coarse_test")  # by SHA-256

RESTORE = "it belongs to the study: restore it, e.g. git checkout helpers/sample"


class DataError(RuntimeError):
    """Data is missing, damaged or not what it should be; the text says what to do."""


@dataclass(frozen=True)
class Source:
    """An official distribution: where its archive lies, and what its bytes must be."""

    name: str
    url: str
    md5: str
    classes: tuple[str, ...]  # in the labels' order
    label_bytes: int  # labels before each image in the binary files; the last is the class
    train_files: tuple[str, ...]
    test_files: tuple[str, ...]
    sha256: Mapping[str, str]  # of each array
    coarse_classes: tuple[str, ...] = ()
    sorts: bool = False  # into an order of our own, see `in_canonical_order`; else the archive's


SOURCES = {
    "cifar10": Source(
        name="cifar10",
        url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
        classes=CIFAR10_CLASSES,
        label_bytes=1,
        train_files=tuple(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)),
        test_files=("cifar-10-batches-bin/test_batch.bin",),
        sha256={
            "x_train": "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
            "y_train": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
            "x_test": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
            "y_test": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
        },
    ),
    "cifar100": Source(
        name="cifar100",
        url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        md5="03b5dce01913d631647c71ecec9e9cb8",
        classes=CIFAR100_CLASSES,
        coarse_classes=CIFAR100_COARSE_CLASSES,
        sorts=True,
        label_bytes=2,
        train_files=("cifar-100-binary/train.bin",),
        test_files=("cifar-100-binary/test.bin",),
        sha256={
            "x_train": "7aff2dac74bf90f339a3f25a285f39b0a035ad170717368c16392c714366482e",
            "y_train": "24e451cae1d0bb4af05bb556f43f7442043340bdc64d9e1896c2ad19efa810d1",
            "x_test": "160f6ca1befc7a270d6e0956b48a15f578bf6518bc82149d1095ba45e71dda98",
            "y_test": "7335f3ca04ad4876c5479947470a13b869b8fe2143b1077bb51b95a0c23892b1",
            "coarse_train": "0a1c20789b0ca58c74a571ab4b81032a177c0ad1dce9af08b818cb933aebfec3",
            "coarse_test": "ec767882fa772b8151c635fbc960deee46f5a8b971c422579fe770c28c70e8a0",
        },
    ),
}


@dataclass(frozen=True, eq=False)
class Data:
    """All images and labels of a source, or the embedded sample of them.

    CIFAR-10 is in the order that it is distributed in, CIFAR-100 in its canonical order, see
    `in_canonical_order`.  `train_index` and `test_index` are positions in the whole sets.
    `coarse_train` and `coarse_test` are CIFAR-100's 20 superclasses, else None.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[str, ...]
    sha256: Mapping[str, str]
    train_index: np.ndarray
    test_index: np.ndarray
    is_sample: bool = False
    coarse_train: np.ndarray | None = None
    coarse_test: np.ndarray | None = None
    coarse_classes: tuple[str, ...] = ()


def load(name: str = "cifar10", allow_sample: bool = False) -> Data:
    """The whole data set, verified, from the cache folder or else from its official archive.

    Args:
        name: `cifar10` or `cifar100`.
        allow_sample: where neither cache nor network has CIFAR-10, print a line that says so
            and return the embedded sample.

    Raises:
        ValueError: an unknown name.
        DataError: no data to be had, a damaged file, an unwritable cache folder.
    """
    if name not in SOURCES:
        raise ValueError(f"unknown data set {name!r}: choose from {', '.join(SOURCES)}")
    source = SOURCES[name]
    try:
        path = _home() / f"{name}.npz"
        if not os.path.exists(path):  # False, too, for a folder that may not be entered
            _download(source, path)
    except DataError as error:
        if not (allow_sample and name == "cifar10"):
            raise
        print(f"EMBEDDED SAMPLE: 2,000 training and 1,000 test images instead of all. {error}")
        return load_sample()
    return _read(source, path)


def _home() -> Path:
    try:
        return config.cifar_home()
    except ValueError as error:
        raise DataError(str(error)) from error


@cache
def load_sample() -> Data:
    """The embedded 2,000 training (200 a class) and 1,000 test images (100 a class) of CIFAR-10.

    Raises:
        DataError: one of its files is missing or damaged.
    """
    labels = _sample_labels()
    arrays = {
        "x_train": _read_sprite(config.SAMPLE / "train.webp", len(labels["y_train"])),
        "y_train": labels["y_train"].astype(np.int64),
        "x_test": _read_sprite(config.SAMPLE / "test.webp", len(labels["y_test"])),
        "y_test": labels["y_test"].astype(np.int64),
    }
    return Data(
        name="cifar10",
        **arrays,
        classes=CIFAR10_CLASSES,
        sha256=_digests(arrays),
        train_index=labels["train_index"],
        test_index=labels["test_index"],
        is_sample=True,
    )


@cache
def official_labels(name: str = "cifar10") -> tuple[np.ndarray, np.ndarray]:
    """All labels of a source, (50000,) of training and (10000,) of test; no download.

    With them, recorded predictions can be scored where the images are not at hand.  Those of
    CIFAR-10 are embedded; CIFAR-100's canonical order says what they are.
    """
    if SOURCES[name].sorts:
        return np.repeat(np.arange(100), 500), np.repeat(np.arange(100), 100)
    labels = _sample_labels()
    return labels["all_y_train"].astype(np.int64), labels["all_y_test"].astype(np.int64)


def _sample_labels():
    path = config.SAMPLE / "labels.npz"
    try:
        labels = files.arrays(path, RESTORE)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: {RESTORE}") from error
    except ValueError as error:
        raise DataError(str(error)) from error
    names = {"y_train", "y_test", "train_index", "test_index", "all_y_train", "all_y_test"}
    if missing := names - set(labels):
        raise DataError(f"{path} is damaged (no {min(missing)}): {RESTORE}")
    return labels


def _read_sprite(path, count):
    """A lossless picture of 32 x 32 tiles, 50 a row in reading order -> (count, 32, 32, 3)."""
    try:
        with Image.open(path) as picture:
            sprite = np.asarray(picture.convert("RGB"))
        tiles = sprite.reshape(count // 50, 32, 50, 32, 3).transpose(0, 2, 1, 3, 4)
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises, and another size
        reason = "missing" if isinstance(error, FileNotFoundError) else f"damaged ({error})"
        raise DataError(f"{path} is {reason}: {RESTORE}") from error
    return np.ascontiguousarray(tiles.reshape(count, 32, 32, 3))


def _read(source: Source, path: Path) -> Data:
    remedy = f"delete {path} and load again, with network"
    try:
        arrays = files.arrays(path, remedy)
    except ValueError as error:
        raise DataError(str(error)) from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error}): set CIFAR_HOME to a folder that you may read"
        ) from error
    try:
        _validate(arrays, source)
    except ValueError as error:
        raise DataError(f"{path}: {error}: {remedy}") from error

    digests = _digests(arrays)
    wrong = _wrong(digests, source)
    if wrong and source.sorts:  # the same set, perhaps, as some other program keeps it
        arrays = in_canonical_order(arrays)
        digests = _digests(arrays)
        if not _wrong(digests, source):
            wrong = []
    if wrong:
        raise DataError(f"{path}: {', '.join(wrong)} are not the official arrays: {remedy}")
    return Data(
        name=source.name,
        x_train=arrays["x_train"],
        y_train=arrays["y_train"].astype(np.int64),
        x_test=arrays["x_test"],
        y_test=arrays["y_test"].astype(np.int64),
        classes=source.classes,
        sha256=digests,
        train_index=np.arange(len(arrays["y_train"])),
        test_index=np.arange(len(arrays["y_test"])),
        coarse_train=_coarse_labels(arrays, "train"),
        coarse_test=_coarse_labels(arrays, "test"),
        coarse_classes=source.coarse_classes,
    )


def _validate(arrays: Mapping[str, np.ndarray], source: Source) -> None:
    kinds = {"y": source.classes}
    if source.coarse_classes:
        kinds["coarse"] = source.coarse_classes
    for part in ("train", "test"):
        missing = {f"{key}_{part}" for key in ("x", *kinds)} - set(arrays)
        if missing:
            raise ValueError(f"{', '.join(sorted(missing))} missing")
        images = arrays[f"x_{part}"]
        if images.shape[1:] != (32, 32, 3) or images.dtype != np.uint8:
            raise ValueError(f"x_{part} is {images.dtype} {images.shape}, not uint8 (N, 32, 32, 3)")
        for kind, classes in kinds.items():
            labels, key = arrays[f"{kind}_{part}"], f"{kind}_{part}"
            if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
                raise ValueError(
                    f"{key} is {labels.dtype} {labels.shape}, not int ({len(images)},)"
                )
            if labels.min() < 0 or labels.max() >= len(classes):
                raise ValueError(
                    f"{key} has labels {labels.min()} to {labels.max()}, "
                    f"not 0 to {len(classes) - 1}"
                )


def _coarse_labels(arrays, part):
    labels = arrays.get(f"coarse_{part}")
    return None if labels is None else labels.astype(np.int64)


def _digests(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """SHA-256 of each array's bytes, labels taken as uint8 as they are distributed."""
    return {
        key: hashlib.sha256(np.ascontiguousarray(arrays[key], dtype=np.uint8)).hexdigest()
        for key in VERIFIED
        if key in arrays
    }


def _wrong(digests: Mapping[str, str], source: Source) -> list[str]:
    """The arrays whose digest is not the official one."""
    return [key for key in VERIFIED if digests.get(key) != source.sha256.get(key)]


def in_canonical_order(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a whole data set, sorted by fine label and then by the pixels' bytes.

    Every copy of the set can be brought into this order, whatever order its source has, and in
    it the labels of a set with equally many images a class follow from its size.

    Args:
        arrays: `x_train` uint8 (N, 32, 32, 3) and `y_train` ints (N,), perhaps `coarse_train`;
            likewise of test.
    """
    arranged = dict(arrays)
    for part in ("train", "test"):
        images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"].tolist()
        order = sorted(range(len(labels)), key=lambda i: (labels[i], images[i].tobytes()))
        for key in (f"x_{part}", f"y_{part}", f"coarse_{part}"):
            if key in arrays:
                arranged[key] = arrays[key][order]
    return arranged


def _download(source: Source, path: Path) -> None:
    """Fetch the archive, verify it, unpack it to `path`; nothing half-done keeps that name."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Of several processes that miss the file, one downloads it.
        with FileLock(path.with_suffix(".lock")):
            if path.exists():
                return
            for folder in path.parent.glob(f".{source.name}-*"):  # of a process that was killed
                shutil.rmtree(folder, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{source.name}-") as scratch:
                _fetch(source, path, Path(scratch))
    except OSError as error:
        raise DataError(
            f"cannot write to the cache folder {path.parent} ({error}): "
            "set CIFAR_HOME to a folder that you may write to"
        ) from error


def _fetch(source, path, scratch):
    """Download and unpack in the folder `scratch`, then give the file its name."""
    print(f"Downloading {source.url} to {path.parent} ...")
    try:
        with urllib.request.urlopen(source.url, timeout=10) as answer:
            content = answer.read()
    # A connection that was cut off; a proxy's address that is none.
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DataError(
            f"{source.name} is not in {path.parent} and could not be downloaded ({error}): "
            f"connect to the network, or set CIFAR_HOME to a folder that holds {path.name}"
        ) from error
    archive, unpacked = scratch / "archive.tar.gz", scratch / path.name
    try:
        archive.write_bytes(content)
        arrays = unpack(source, archive)
        archive.unlink()
        np.savez(unpacked, **arrays)
        os.replace(unpacked, path)
    except OSError as error:
        raise DataError(
            f"cannot write {path} ({error}): make room for 1 GB there, or set CIFAR_HOME to a "
            "folder that has it"
        ) from error


def unpack(source: Source, archive: Path) -> dict[str, np.ndarray]:
    """The arrays in an official binary archive, once its MD5 is what it should be.

    Each record is the label bytes (CIFAR-100: coarse, fine) and 3 x 32 x 32 pixels.

    Raises:
        DataError: the archive is not the official one, or lacks a file.
    """
    digest = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    if digest != source.md5:
        raise DataError(
            f"the archive from {source.url} is damaged or incomplete (MD5 {digest}, "
            f"not {source.md5}): load again"
        )
    arrays = {}
    with tarfile.open(archive) as tar:
        for part, names in (("train", source.train_files), ("test", source.test_files)):
            content = b"".join(_member(tar, name) for name in names)
            records = np.frombuffer(content, np.uint8).reshape(-1, source.label_bytes + 3072)
            pixels = records[:, source.label_bytes :].reshape(-1, 3, 32, 32)
            arrays[f"x_{part}"] = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
            arrays[f"y_{part}"] = records[:, source.label_bytes - 1].copy()
            if source.label_bytes == 2:
                arrays[f"coarse_{part}"] = records[:, 0].copy()
    _validate(arrays, source)
    return in_canonical_order(arrays) if source.sorts else arrays


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    try:
        return tar.extractfile(name).read()
    except KeyError as error:
        raise DataError(f"the archive lacks {name}: load again") from error
