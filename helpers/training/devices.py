"""One training over several devices: each computes its part of every batch (data parallel).

Batches, their order and augmentation, and the seeds are those of one device.  On JAX so is what
is computed, but for rounding.  On TensorFlow each device normalises and drops out by itself.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import cache

from helpers.backend import keras


def over(number: int) -> AbstractContextManager:
    """A context in which models are built and fitted over so many devices of this machine.

    Its GPUs; where there is none, what else the backend calls its devices.

    Raises:
        ValueError: the backend cannot, or has fewer devices.
    """
    if number < 1:
        raise ValueError(f"--devices is {number}: at least one has to compute")
    if number == 1:
        return nullcontext()
    backend = keras.backend.backend()
    if backend == "torch":
        raise ValueError(
            f"--devices is {number}, but on torch a run has one: set KERAS_BACKEND to tensorflow "
            "or jax"
        )
    present = keras.distribution.list_devices()
    if number > len(present):
        raise ValueError(
            f"--devices is {number}, but {backend} finds {', '.join(present)}: choose at most "
            f"{len(present)}"
        )
    if backend == "jax":
        return keras.distribution.DataParallel(devices=present[:number]).scope()
    return _mirrored(number).scope()


@cache  # TensorFlow confuses the sums of one strategy's models with those of another's
def _mirrored(number):
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(keras.distribution.list_devices()[:number])


def number() -> int:
    """Over how many devices models are built and fitted in this context."""
    backend = keras.backend.backend()
    if backend == "jax":
        distribution = keras.distribution.distribution()
        return distribution.num_model_replicas if distribution else 1
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.distribute.get_strategy().num_replicas_in_sync
    return 1


def require_equal_parts(images: int, batch_size: int, validated: int) -> None:
    """Raise ValueError where the devices of this context do not divide every batch.

    Args:
        images: of an epoch.
        batch_size: of all batches of it but the last.
        validated: images of validation.
    """
    last = images % batch_size or batch_size
    if any(size % number() for size in (batch_size, last, validated)):
        raise ValueError(
            f"--devices is {number()}, which does not divide batches of {batch_size} images, "
            f"{last} in an epoch's last one, and {validated} images of validation: choose another"
        )
