"""The gradient of a class's logit: all of the explanations that depends on the backend."""

import numpy as np

from helpers.backend import keras
from helpers.training.batches import one_hot


def at_outputs(
    probe: keras.Model, images: np.ndarray, labels: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The values of a probe's outputs, and how the logits of the classes depend on them.

    Args:
        probe: from pixels to tensors of a model, which come after a trained weight, and, as its
            last output, the logits.
        images: uint8 (N, H, W, 3).
        labels: the classes, int (N,).

    Returns:
        A pair for each of the tensors, in their shapes: values and gradient, float32.

    Raises:
        NotImplementedError: Keras runs on another backend than TensorFlow and PyTorch.
    """
    return _values_and_gradients(probe, images, labels, of_input=False)


def at_pixels(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How the logit of each image's class depends on its pixels: float32 (N, H, W, 3).

    Args:
        model: from float pixels to logits, as `with_float_input` makes it.
        images: (N, H, W, 3).
        labels: the classes, int (N,).

    Raises:
        NotImplementedError: Keras runs on another backend than TensorFlow and PyTorch.
    """
    ((_, gradient),) = _values_and_gradients(model, images, labels, of_input=True)
    return gradient


def with_float_input(model: keras.Model) -> keras.Model:
    """A copy of a model, same weights, that takes float pixels (N, H, W, 3) of 0 to 255.

    They have a gradient, as uint8 has none: for saliency or adversarial examples, give it to
    TensorFlow's `GradientTape` or PyTorch's `autograd.grad` in the place of a recorded or an
    exported model.
    """
    pixels = keras.Input(model.input_shape[1:], dtype="float32")
    copy = keras.models.clone_model(model, input_tensors=pixels)
    copy.set_weights(model.get_weights())
    return copy


def _values_and_gradients(model, images, labels, of_input):
    pixels = keras.ops.convert_to_tensor(images, dtype=model.input.dtype)
    chosen = keras.ops.convert_to_tensor(one_hot(labels, model.outputs[-1].shape[-1]))

    def run(pixels):
        *values, logits = keras.tree.flatten(model(pixels, training=False))
        score = keras.ops.sum(keras.ops.cast(logits, "float32") * chosen)
        return [pixels] if of_input else values, score

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow

        with tensorflow.GradientTape() as tape:
            if of_input:
                tape.watch(pixels)
            values, score = run(pixels)
        found = tape.gradient(score, values)
    elif backend == "torch":
        import torch

        values, score = run(pixels.requires_grad_(of_input))
        found = torch.autograd.grad(score, values)
    else:
        raise NotImplementedError(
            f"explanations have no gradient on {backend}: restart with KERAS_BACKEND=tensorflow "
            "or torch"
        )
    return [
        tuple(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")) for tensor in pair)
        for pair in zip(values, found, strict=True)
    ]
