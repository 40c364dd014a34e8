"""Files that a download, a kill or a full disk may damage: read with care, and written whole."""

import math
import os
import shutil
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile

from helpers import config

# What NumPy and the libraries below it raise for bytes that are not what they should be.
_DAMAGE = (
    ValueError,
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def arrays(path: Path, remedy: str) -> dict[str, np.ndarray]:
    """All arrays of an .npz file.

    Raises:
        ValueError: the file is damaged; the text ends with the remedy.
        OSError: it is not there, or may not be read.
    """
    try:
        # `np.load` would leave a file open that it cannot read.
        with path.open("rb") as file, NpzFile(file, allow_pickle=False) as archive:
            try:
                return dict(archive)
            except MemoryError as error:
                _require_content(archive.zip, error)
                raise
    except _DAMAGE as error:
        raise ValueError(f"{path} is damaged ({error}): {remedy}") from error


def _require_content(archive, error):
    """Raise ValueError where it is not memory that is short, but a header that claims too much."""
    for member in archive.infolist():
        with archive.open(member) as file:
            if np.lib.format.read_magic(file) != (1, 0):  # as NumPy writes all but odd ones
                continue
            shape, _, kind = np.lib.format.read_array_header_1_0(file)
        if math.prod(shape) * kind.itemsize > member.file_size:
            raise ValueError(f"{member.filename} claims more than it holds") from error


class NotWritten(OSError):
    """A file that cannot be written; the text names it and the room that it takes."""

    def __init__(self, path: Path, reason: str, room: int):
        self.reason = reason
        super().__init__(
            f"{path} cannot be written ({reason}): it takes {max(1, -(-room // 10**6))} MB, in a "
            "folder that you may write to"
        )


@contextmanager
def whole(path: Path, room: int) -> Iterator[Path]:
    """Gives a name beside `path` to write to, a file or a folder, that becomes `path` at the end.

    Args:
        path: what is replaced; its folder is made.
        room: bytes that are about to be written, or more.

    Raises:
        NotWritten: and what is half-written goes.
    """
    beside = unfinished(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove(beside)  # of a process that was killed
        yield beside
        os.replace(beside, path)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        raise NotWritten(path, reason, room) from error
    finally:
        remove(beside)


def unfinished(path: Path) -> Path:
    """The name that a file or folder has while it is being written."""
    return path.with_name(f"{path.stem}.writing{path.suffix}")


def require_writable(folder: Path) -> None:
    """Raise NotWritten where a result of long work could not be written to a folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise NotWritten(folder, error.strerror, 1) from error


def remove(path: Path) -> None:
    """Remove a file or folder that was left half-written; nothing happens where there is none."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    elif path.exists():
        path.unlink()


def keep(path: Path, content: bytes) -> None:
    """Write a figure or table; where that is not to be, print once that it is only shown."""
    try:
        with whole(path, len(content)) as beside:
            beside.write_bytes(content)
    except NotWritten as error:
        _say_that_nothing_is_kept(config.FIGURES, error.reason)


@cache
def _say_that_nothing_is_kept(folder, reason):
    print(f"{folder} cannot be written to ({reason}): figures and tables are only shown")
