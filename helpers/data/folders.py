"""A user's own pictures as a data set: a folder in, arrays out."""

import hashlib
import json
import os
import re
import sys
import unicodedata
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image
from tqdm import tqdm

from helpers import config, files
from helpers.data import pictures
from helpers.data.listing import Listing, list_folder
from helpers.data.sources import Data, DataError

OWN = "own-"  # begins the name of every data set of a user
SHARE = 0.15  # of each class that validates, and of each that tests, where a folder doesn't say
CHUNK = 32  # pictures that a thread reads before it asks for more
CACHE_VERSION = 1  # goes up when the same files give other arrays
SIZES = range(16, 513, 8)


@dataclass(frozen=True, eq=False, kw_only=True)
class FolderData(Data):
    """All pictures of a user's folder, shrunk: uint8 (N, S, S, 3), sorted by class and name.

    Where the folder has no part that tests, `x_test` is empty, and `prepare` draws from `x_train`
    what tests: `Split.train_index` and `Split.val_index` leave that out.

    `train_files`, `test_files`: path below `folder` of each image.  `train_sizes`, `test_sizes`:
    int (N, 2), width and height of each picture as it is held.  `val_index`: positions in
    `x_train` of those that the folder has for validation; None if `prepare` is to draw them.
    """

    folder: Path
    train_files: np.ndarray
    test_files: np.ndarray
    train_sizes: np.ndarray
    test_sizes: np.ndarray
    val_index: np.ndarray | None = None
    test_is_drawn: bool = False  # by `prepare`
    unreadable: Mapping[str, str] = field(default_factory=dict)  # file -> reason; left out
    left_aside: Mapping[str, int] = field(default_factory=dict)  # kind -> files; no pictures

    @property
    def size(self) -> int:
        """Pixels of an image's side."""
        return self.x_train.shape[1]

    @property
    def has_test(self) -> bool:
        """Whether the folder says what tests; else `prepare` draws it by seed."""
        return len(self.y_test) > 0


class UnreadableError(DataError):
    """Pictures of a folder cannot be read; `reasons` has them all, file -> reason."""

    def __init__(self, folder: Path, reasons: Mapping[str, str]):
        lines = [f"  {file} {reason}" for file, reason in reasons.items()]
        count = f"{len(lines):,} pictures" if len(lines) > 1 else "1 picture"
        super().__init__(
            "\n".join(
                [
                    f"{count} of {folder} cannot be read: mend or delete what is listed here, or "
                    "leave it out with --skip-unreadable",
                    *lines,
                ]
            )
        )
        self.reasons = dict(reasons)


def load_folder(path: Path | str, size: int = 32, skip_unreadable: bool = False) -> FolderData:
    """A user's pictures, from a folder a class, with or without folders of parts above.

    Parts are `train`, `val` (or `valid`, `validation`) and `test`; of train and val alone, val
    tests.  Short sides are scaled to `size` pixels, and the middle is kept.  The arrays are kept
    in the cache folder, and read from there while no file is added, taken away or changed.

    Args:
        path: the folder.
        size: side of the images, a multiple of 8 from 16 to 512.
        skip_unreadable: leave out what cannot be read, instead of raising.

    Raises:
        ValueError: another size.
        DataError: no such folder, one class only, an empty class, classes that differ from part
            to part, a class with fewer pictures than it has parts to be in.
        UnreadableError: pictures that cannot be read: all of them, with reasons.
    """
    if type(size) is not int or size not in SIZES:
        raise ValueError(f"size {size!r}: choose a multiple of 8 from 16 to 512, such as 32 or 64")
    listing = list_folder(Path(path))
    arrays = _arrays(listing, size)
    reasons = json.loads(str(arrays["unreadable"]))
    if reasons and not skip_unreadable:
        raise UnreadableError(listing.folder, reasons)
    return _assembled(listing, arrays, reasons)


def own_name(folder: Path) -> str:
    """The name of a folder's data set: `own-` and the folder's, safe in paths and patterns."""
    name = unicodedata.normalize("NFC", folder.name)
    return OWN + (re.sub(r"[^\w.-]+", "_", name).strip("._") or "pictures")


def split_folder(data: FolderData, seed: int) -> tuple[FolderData, np.ndarray, np.ndarray]:
    """What tests, trains and validates: the data with its test images, and two sorted positions.

    Of each class, `SHARE` is drawn for each part that the folder lacks, at least one image.

    Raises:
        ValueError: what tests was drawn from the data before.
    """
    if data.test_is_drawn:
        raise ValueError(f"{data.name} is split already: pass what load_folder gave")
    rest, val = np.arange(len(data.y_train)), data.val_index
    if not data.has_test:
        rest, test = _draw(data.y_train, rest, seed, salt=1)
        data = replace(
            data,
            x_test=data.x_train[test],
            y_test=data.y_train[test],
            test_index=test,
            test_is_drawn=True,
            test_files=data.train_files[test],
            test_sizes=data.train_sizes[test],
        )
    if val is None:
        rest, val = _draw(data.y_train, rest, seed, salt=0)
    else:
        rest = np.setdiff1d(rest, val)
    return data, rest, val


def _draw(labels, positions, seed, salt):
    """Of sorted positions, those that stay, and those drawn from each class; both sorted."""
    rng = np.random.default_rng((seed, salt))
    drawn = []
    totals = np.bincount(labels)
    for label, total in enumerate(totals):
        own = positions[labels[positions] == label]
        drawn.append(rng.permutation(own)[: max(1, round(SHARE * total))])
    drawn = np.sort(np.concatenate(drawn))
    return np.setdiff1d(positions, drawn), drawn


def _assembled(listing, arrays, reasons):
    """The data set, its parts being views of one array of images."""
    of_part, labels = arrays["of_part"], arrays["labels"]
    # The only other part tests.
    parts = listing.parts if listing.parts != ("train", "val") else ("train", "test")
    tests = np.searchsorted(of_part, parts.index("test")) if "test" in parts else len(labels)
    has_own_val = parts == ("train", "val", "test")
    val = np.flatnonzero(of_part == 1) if has_own_val else None
    _require_enough(listing, labels, of_part, 1 + (val is None) + ("test" not in parts), reasons)
    x, y = arrays["images"], labels.astype(np.int64)
    kept = [file for file in listing.files if file not in reasons]
    names = np.array(kept, dtype=object)
    sizes = arrays["sizes"]
    return FolderData(
        name=own_name(listing.folder),
        x_train=x[:tests],
        y_train=y[:tests],
        x_test=x[tests:],
        y_test=y[tests:],
        classes=listing.classes,
        sha256={"images": str(arrays["sha256"]), "labels": _sha256(y)},
        train_index=np.arange(tests),
        test_index=np.arange(len(y) - tests),
        folder=listing.folder,
        train_files=names[:tests],
        test_files=names[tests:],
        train_sizes=sizes[:tests],
        test_sizes=sizes[tests:],
        val_index=val,
        unreadable=reasons,
        left_aside=listing.left_aside,
    )


def _require_enough(listing, labels, of_part, shares, reasons):
    """Raise DataError unless each class has an image for each part that it is to be in."""
    parts = listing.parts or ("",)
    lines = []
    for index, part in enumerate(parts):
        least = shares if part in ("", "train") else 1
        counts = np.bincount(labels[of_part == index], minlength=len(listing.classes))
        for label in np.flatnonzero(counts < least):
            where = listing.folder / part / listing.classes[label]
            lines.append(f"{where} has {counts[label]} of at least {least}")
    if lines:
        without = " (unreadable ones don't count)" if reasons else ""
        raise DataError(
            f"too few pictures to train, validate and test on{without}: {', '.join(lines)}: add "
            "pictures, or delete the class"
        )


def _arrays(listing, size):
    """The arrays of a folder, from the cache, or else from its files, which one process reads."""
    if arrays := _from_cache(listing, size):
        return arrays
    try:
        path = _cache_file(listing, size)
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            arrays = _from_cache(listing, size)
            if not arrays:
                arrays = _from_files(listing, size)
                with files.whole(path, sum(array.nbytes for array in arrays.values())) as beside:
                    np.savez(beside, **arrays)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        print(
            f"the pictures will be read again next time, as they cannot be kept ({reason}): make "
            "room, or set CIFAR_HOME to a folder that you may write to",
            file=sys.stderr,
        )
    return arrays or _from_files(listing, size)


def _from_cache(listing, size):
    """The arrays, if they are there, whole, and those of the folder as it is now; else None."""
    try:
        arrays = files.arrays(_cache_file(listing, size), remedy="")
    except (OSError, ValueError):  # not there, or not to be read: the pictures are there
        return None
    is_current = str(arrays.get("key")) == _key(listing, size)
    return arrays if is_current and str(arrays["sha256"]) == _sha256(arrays["images"]) else None


def _from_files(listing, size):
    images, sizes, reasons = _read(listing, size)
    kept = np.array([file not in reasons for file in listing.files])
    return {
        "key": np.array(_key(listing, size)),
        "images": images,
        "sha256": np.array(_sha256(images)),
        "labels": np.array(listing.labels, np.int32)[kept],
        "of_part": np.array(listing.of_part, np.int8)[kept],
        "sizes": sizes,
        "unreadable": np.array(json.dumps(reasons)),
    }


def _read(listing: Listing, size: int):
    """Images (N, S, S, 3), widths and heights (N, 2) of what can be read; reasons for the rest."""
    count = len(listing.files)
    images = np.empty((count, size, size, 3), np.uint8)
    sizes = np.zeros((count, 2), np.int32)
    reasons = {}

    def read(start):
        for i in range(start, min(start + CHUNK, count)):
            try:
                images[i], sizes[i] = pictures.read_within_limits(
                    listing.folder / listing.files[i], size
                )
            except pictures.PictureError as error:
                reasons[listing.files[i]] = error.reason
            except OSError as error:
                reasons[listing.files[i]] = f"cannot be opened ({error.strerror})"
        return min(CHUNK, count - start)

    Image.init()  # once, and not by several threads
    bar = tqdm(total=count, desc="Reading pictures", unit="", disable=None, leave=False)
    with pictures.limits(), bar, ThreadPoolExecutor(_cores()) as pool:
        for done in pool.map(read, range(0, count, CHUNK)):
            bar.update(done)

    kept = np.array([file not in reasons for file in listing.files])
    for to, source in enumerate(np.flatnonzero(kept)):  # in place: a copy would take as much again
        if to != source:
            images[to], sizes[to] = images[source], sizes[source]
    ordered = {file: reasons[file] for file in listing.files if file in reasons}
    return images[: kept.sum()], sizes[: kept.sum()], ordered


def _cores():
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return allowed or 1


def _cache_file(listing, size):
    place = hashlib.sha256(str(listing.folder).encode()).hexdigest()[:8]
    return config.cifar_home() / "own" / f"{own_name(listing.folder)}-{place}-{size}.npz"


def _key(listing, size):
    """A digest of all that the arrays follow from; files count by name, size and times."""
    of = (CACHE_VERSION, Image.__version__, size, listing.parts, listing.files, listing.stamps)
    return hashlib.sha256(repr(of).encode("utf-8", "surrogateescape")).hexdigest()


def _sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()
