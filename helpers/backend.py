"""Keras on the chosen backend, imported without the chatter of the C++ libraries below it.

Every module and notebook takes Keras from here: `from helpers.backend import keras`.
"""

import ctypes
import importlib.util
import logging
import os
import sys
import tempfile
from contextlib import contextmanager

from helpers import config

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def _keep_memory():
    """Have glibc keep freed memory for the next array.

    Otherwise each large array is mapped anew, and the kernel clears it page by page: two fifths of
    the time of a training step of ResNet-20 where pages are of 4 KiB.  The price: what a process
    once needed stays its own until it ends.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, TypeError):  # no glibc; on Windows no library without a name
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, -1)  # never


@contextmanager
def _quiet():
    """Hold back what libraries write to file descriptor 2; print it if the block fails.

    TensorFlow's first lines appear before its log level is read, so that only the
    descriptor itself can be silenced.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:  # not where the user interrupts it
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


_keep_memory()
_CHOSEN = config.backend()
with _quiet():
    import keras

    # Keras on PyTorch imports TensorFlow in the midst of `fit`: do it here, where it is quiet.
    if keras.backend.backend() == "torch" and importlib.util.find_spec("tensorflow"):
        import tensorflow  # noqa: F401


# Python's part of TensorFlow warns of retracing where several models predict one after another.
logging.getLogger("tensorflow").setLevel(logging.ERROR)

if keras.backend.backend() != _CHOSEN:
    raise config.BackendError(
        f"Keras already runs on {keras.backend.backend()}, but KERAS_BACKEND is {_CHOSEN}: restart "
        "Python and set KERAS_BACKEND before it starts"
    )


def on_gpu() -> bool:
    """Whether the backend computes on a GPU."""
    if keras.backend.backend() == "torch":
        import torch

        return torch.cuda.is_available() or torch.backends.mps.is_available()
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        return bool(tensorflow.config.list_physical_devices("GPU"))
    import jax

    return jax.default_backend() == "gpu"
