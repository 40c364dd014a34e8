"""Files of arrays that a download, a kill or a full disk may have damaged."""

import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile

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
            return dict(archive)
    except _DAMAGE as error:
        raise ValueError(f"{path} is damaged ({error}): {remedy}") from error
