"""SHA-256 digests, by which a recorded run vouches for its files."""

import hashlib
from functools import cache
from pathlib import Path


def of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; read once per process, unless the file changes.

    Raises:
        OSError: it is not there, or may not be read.
    """
    status = path.stat()
    return _of(path, status.st_size, status.st_mtime_ns)


@cache
def _of(path, size, changed):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(path: Path, digest: object, remedy: str) -> None:
    """Refuse a file that is not the one of a digest.

    Raises:
        FileNotFoundError: it is not there; the text ends with the remedy, as the next one's.
        ValueError: it is another file, or has been damaged.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: {remedy}")
    if of(path) != digest:
        raise ValueError(
            f"{path} is damaged, or another run's (its SHA-256 is not the one in run.json): "
            f"{remedy}"
        )
