"""A user's own pictures as a data set: a folder in, arrays out."""

import hashlib
import json
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping
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
BLOCK = 250  # pictures that are held at a time where only what is made of them is kept
IMAGES, FACTS = "", "-facts"  # kinds of files in the cache folder, with images and without
CACHE_VERSION = 1  # goes up when the same files give other arrays
SIZES = range(16, 513, 8)


@dataclass(frozen=True, eq=False, kw_only=True)
class FolderData(Data):
    """All pictures of a user's folder, shrunk: uint8 (N, S, S, 3), sorted by class and name.

    Where the folder has no part that tests, `x_test` is empty, and `prepare` draws from `x_train`
    what tests: `Split.train_index` and `Split.val_index` leave that out.  Of `map_folder`,
    `x_train` and `x_test` are what a function made of the images.

    `size`: pixels of an image's side.  `train_files`, `test_files`: path below `folder` of each
    image.  `train_sizes`, `test_sizes`: int (N, 2), width and height of each picture as it is
    held.  `val_index`: positions in `x_train` of those that the folder has for validation; None if
    `prepare` is to draw them.
    """

    folder: Path
    size: int
    train_files: np.ndarray
    test_files: np.ndarray
    train_sizes: np.ndarray
    test_sizes: np.ndarray
    val_index: np.ndarray | None = None
    test_is_drawn: bool = False  # by `prepare`
    unreadable: Mapping[str, str] = field(default_factory=dict)  # file -> reason; left out
    left_aside: Mapping[str, int] = field(default_factory=dict)  # kind -> files; no pictures

    @property
    def has_test(self) -> bool:
        """Whether the folder says what tests; else `prepare` draws it by seed."""
        return len(self.y_test) > 0

    def test_pictures(self, size: int) -> pictures.PictureFiles:
        """The pictures that test, in their order, at any size; read when they are asked for."""
        return pictures.PictureFiles([self.folder / file for file in self.test_files], size)


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
    _require_size(size)
    listing = list_folder(Path(path))
    arrays = _kept(listing, size, IMAGES, lambda: _from_files(listing, size))
    return _assembled(listing, size, arrays, arrays["images"], skip_unreadable)


def map_folder(
    listing: Listing,
    function: Callable[[np.ndarray], np.ndarray],
    size: int = 32,
    skip_unreadable: bool = False,
) -> FolderData:
    """As `load_folder`, but with what a function makes of the images in place of these.

    `BLOCK` images at most are in memory at a time, and none are kept in the cache folder.

    Args:
        listing: of the folder, see `list_folder`.
        function: of uint8 (n, S, S, 3), in the files' order; it gives an array (n, ...).
        size, skip_unreadable: as in `load_folder`.

    Raises:
        ValueError, DataError, UnreadableError: as `load_folder`.
    """
    _require_size(size)
    made = []

    def take(images, reasons):
        if len(images) and (skip_unreadable or not reasons):
            made.append(function(images))

    facts = _facts(listing, size, BLOCK, take)
    _kept(listing, size, FACTS, lambda: facts)  # for `folder_sha256`
    made = np.concatenate(made) if made else np.empty(0)
    return _assembled(listing, size, facts, made, skip_unreadable)


def folder_sha256(
    listing: Listing, size: int = 32, skip_unreadable: bool = False
) -> Mapping[str, str]:
    """The digests `sha256` of what `load_folder` gives, without holding all of it in memory.

    They are kept in the cache folder.  Arguments and errors are those of `map_folder`.
    """
    _require_size(size)
    facts = _kept(listing, size, FACTS, lambda: _facts(listing, size, BLOCK))
    nothing = np.empty(len(facts["labels"]))
    return _assembled(listing, size, facts, nothing, skip_unreadable).sha256


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


def _require_size(size):
    if type(size) is not int or size not in SIZES:
        raise ValueError(f"size {size!r}: choose a multiple of 8 from 16 to 512, such as 32 or 64")


def _assembled(listing, size, facts, x, skip_unreadable):
    """The data set, its parts being views of one array `x`: images, or what was made of them."""
    reasons = json.loads(str(facts["unreadable"]))
    if reasons and not skip_unreadable:
        raise UnreadableError(listing.folder, reasons)
    of_part, labels = facts["of_part"], facts["labels"]
    # The only other part tests.
    parts = listing.parts if listing.parts != ("train", "val") else ("train", "test")
    tests = np.searchsorted(of_part, parts.index("test")) if "test" in parts else len(labels)
    has_own_val = parts == ("train", "val", "test")
    val = np.flatnonzero(of_part == 1) if has_own_val else None
    _require_enough(listing, labels, of_part, 1 + (val is None) + ("test" not in parts), reasons)
    y = labels.astype(np.int64)
    kept = [file for file in listing.files if file not in reasons]
    names = np.array(kept, dtype=object)
    sizes = facts["sizes"]
    return FolderData(
        name=own_name(listing.folder),
        x_train=x[:tests],
        y_train=y[:tests],
        x_test=x[tests:],
        y_test=y[tests:],
        classes=listing.classes,
        sha256={"images": str(facts["sha256"]), "labels": _sha256(y)},
        train_index=np.arange(tests),
        test_index=np.arange(len(y) - tests),
        folder=listing.folder,
        size=size,
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


def _kept(listing, size, kind, make):
    """Arrays from the cache, or else as one process makes them from the files, and keeps them."""
    if arrays := _from_cache(listing, size, kind):
        return arrays
    try:
        path = _cache_file(listing, size, kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            arrays = _from_cache(listing, size, kind)
            if not arrays:
                arrays = make()
                with files.whole(path, sum(array.nbytes for array in arrays.values())) as beside:
                    np.savez(beside, **arrays)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        print(
            f"the pictures will be read again next time, as they cannot be kept ({reason}): make "
            "room, or set CIFAR_HOME to a folder that you may write to",
            file=sys.stderr,
        )
    return arrays or make()


def _from_cache(listing, size, kind):
    """The arrays, if they are there, whole, and those of the folder as it is now; else None."""
    try:
        arrays = files.arrays(_cache_file(listing, size, kind), remedy="")
    except (OSError, ValueError):  # not there, or not to be read: the pictures are there
        return None
    if str(arrays.get("key")) != _key(listing, size):
        return None
    is_whole = kind == FACTS or str(arrays["sha256"]) == _sha256(arrays["images"])
    return arrays if is_whole else None


def _from_files(listing, size):
    """All arrays of a folder, read at once."""
    held = []
    facts = _facts(listing, size, len(listing.files), lambda images, _: held.append(images))
    (images,) = held
    return facts | {"images": images}


def _facts(listing, size, at_once, take=lambda images, reasons: None):
    """The arrays of a folder but for the images, of which it reads so many at a time.

    `take` is given them, and why others up to there cannot be read.
    """
    count, digest, sizes, reasons = len(listing.files), hashlib.sha256(), [], {}
    Image.init()  # once, and not by several threads
    with tqdm(total=count, desc="Reading pictures", unit="", disable=None, leave=False) as bar:
        for start in range(0, count, at_once):
            block = listing.files[start : start + at_once]
            images, of_images, of_others = _read(listing.folder, block, size, bar)
            digest.update(images)
            sizes.append(of_images)
            reasons |= of_others
            take(images, reasons)
            del images  # before the next ones are read
    kept = np.array([file not in reasons for file in listing.files])
    return {
        "key": np.array(_key(listing, size)),
        "sha256": np.array(digest.hexdigest()),
        "labels": np.array(listing.labels, np.int32)[kept],
        "of_part": np.array(listing.of_part, np.int8)[kept],
        "sizes": np.concatenate(sizes),
        "unreadable": np.array(json.dumps(reasons)),
    }


def _read(folder, names, size, bar):
    """Images (N, S, S, 3), widths and heights (N, 2) of what can be read; reasons for the rest."""
    count = len(names)
    images = np.empty((count, size, size, 3), np.uint8)
    sizes = np.zeros((count, 2), np.int32)
    reasons = {}

    def read(start):
        for i in range(start, min(start + CHUNK, count)):
            try:
                images[i], sizes[i] = pictures.read_within_limits(folder / names[i], size)
            except pictures.PictureError as error:
                reasons[names[i]] = error.reason
            except OSError as error:
                reasons[names[i]] = f"cannot be opened ({error.strerror})"
        return min(CHUNK, count - start)

    with pictures.limits(), ThreadPoolExecutor(_cores()) as pool:
        for done in pool.map(read, range(0, count, CHUNK)):
            bar.update(done)

    kept = np.array([file not in reasons for file in names])
    for to, source in enumerate(np.flatnonzero(kept)):  # in place: a copy would take as much again
        if to != source:
            images[to], sizes[to] = images[source], sizes[source]
    ordered = {file: reasons[file] for file in names if file in reasons}
    return images[: kept.sum()], sizes[: kept.sum()], ordered


def _cores():
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return allowed or 1


def _cache_file(listing, size, kind):
    place = hashlib.sha256(str(listing.folder).encode()).hexdigest()[:8]
    return config.cifar_home() / "own" / f"{own_name(listing.folder)}-{place}-{size}{kind}.npz"


def _key(listing, size):
    """A digest of all that the arrays follow from; files count by name, size and times."""
    of = (CACHE_VERSION, Image.__version__, size, listing.parts, listing.files, listing.stamps)
    return hashlib.sha256(repr(of).encode("utf-8", "surrogateescape")).hexdigest()


def _sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()
