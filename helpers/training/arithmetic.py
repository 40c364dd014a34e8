"""In which arithmetic matrix products and convolutions are computed, and what a record says of it.

GPUs multiply float32 with three digits, in TensorFloat-32, unless told not to.  Another machine
would not get the predictions that are recorded so, and a small model trains hardly faster by it.
"""

import os
from contextlib import contextmanager, nullcontext

from helpers.backend import keras, on_gpu


@contextmanager
def full_float32():
    """While it lasts, the backend multiplies float32 in float32, on a GPU too."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        with jax.default_matmul_precision("float32"):
            yield
    elif backend == "tensorflow":
        from tensorflow.config import experimental

        usual = experimental.tensor_float_32_execution_enabled()
        experimental.enable_tensor_float_32_execution(False)
        try:
            yield
        finally:
            experimental.enable_tensor_float_32_execution(usual)
    else:
        import torch

        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        usual = matmul.allow_tf32, cudnn.allow_tf32
        matmul.allow_tf32 = cudnn.allow_tf32 = False
        try:
            yield
        finally:
            matmul.allow_tf32, cudnn.allow_tf32 = usual


def training(precision: str):
    """The arithmetic that a recipe's `precision` trains and chooses its epoch in, a context.

    Full float32 on a GPU too, so that a run there is of the same recipe as one on a CPU; with
    JAX, `JAX_DEFAULT_MATMUL_PRECISION=tensorfloat32` in the environment asks for TensorFloat-32.
    """
    return full_float32() if trained_in(precision) == "float32" else nullcontext()


def trained_in(precision: str) -> str:
    """What a record says of training in a recipe's `precision` on this machine.

    `float32`, `tensorfloat32` or `bfloat16`.
    """
    if precision == "mixed_bfloat16":
        return "bfloat16"
    if keras.backend.backend() == "jax" and on_gpu():
        return os.environ.get("JAX_DEFAULT_MATMUL_PRECISION") or "float32"
    return "float32"
