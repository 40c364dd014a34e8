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


def _refuse_limits():
    """Raise BackendError where Keras is told to end every training and prediction early."""
    for name in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):
        if name in os.environ:
            raise config.BackendError(
                f"{name} is set, and Keras would end every training or prediction early without "
                "a word: unset it"
            )


_keep_memory()
_refuse_limits()
_CHOSEN = config.backend()
os.environ["KERAS_NNX_ENABLED"] = "false"  # or `keras.json` could ask for another kind of layers
with _quiet():
    try:
        import keras
    except Exception as error:
        if "keras.src.backend.config" in sys.modules:  # Keras has its settings: it is not those
            raise
        folder = os.environ.get("KERAS_HOME", "~/.keras")
        raise config.BackendError(
            f"Keras cannot use its settings in {folder}/keras.json ({error!r}): correct or delete "
            "that file"
        ) from None

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

# Whatever the user's `keras.json`, or a program that had Keras before, says: other networks, or
# other numbers, would have the same names.
keras.config.set_image_data_format("channels_last")
keras.config.set_floatx("float32")
keras.config.set_epsilon(1e-7)
keras.config.set_dtype_policy("float32")


def require_settings() -> None:
    """Raise ValueError where Keras would build other networks than the study's."""
    found = keras.config.image_data_format(), keras.config.floatx()
    if found != ("channels_last", "float32"):
        raise ValueError(
            f"Keras is set to {' and '.join(found)}, with which the study's models are others: "
            'call keras.config.set_image_data_format("channels_last") and set_floatx("float32")'
        )


def _keep_compiled():
    """Have JAX keep what it compiled for a GPU beside the data sets, for the next process.

    `JAX_COMPILATION_CACHE_DIR` may name another folder.
    """
    import jax

    if jax.config.jax_compilation_cache_dir is None:
        folder = str(config.cifar_home() / "compiled")
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


# Asking JAX for its devices would take seconds here.
if keras.backend.backend() == "jax" and os.path.exists("/dev/nvidiactl"):
    _keep_compiled()


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
