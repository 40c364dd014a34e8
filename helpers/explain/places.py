"""Where in a model's layers the places of an image are kept: feature maps and grids of tokens."""

import math
import warnings
from typing import NamedTuple

import numpy as np

from helpers.backend import keras
from helpers.explain import fields
from helpers.models.layers import AttentionWeights, ClassToken


class Grid(NamedTuple):
    """What a tensor says of the image: `rows` x `columns` places, after `first` other tokens."""

    rows: int
    columns: int
    first: int


Centres = tuple[tuple[float, ...], tuple[float, ...]]  # of a grid's rows and columns, in pixels


def default_layer(model: keras.Model) -> str:
    """Name of the layer that a map is taken from unless another one is named.

    A convolutional network's last feature map.  In a transformer, the last norm whose tokens the
    logits depend on: the final one (`norm`) where all tokens are pooled; where a class token is
    read, what the last attention reads (`block2_norm1` of two blocks), since no patch counts after
    it.  Where the transformer stands beside a convolutional branch (`hybrid_dual`), that branch's
    last map; to explain the other branch, name a layer of it.

    Raises:
        ValueError: the model has neither.
    """
    attention = attention_layers(model)
    tokenizer = _upstream(model, attention[-1].output) if attention else []
    for layer in reversed(model.layers):
        is_map = len(getattr(layer.output, "shape", ())) == 4  # several outputs have none
        if is_map and layer not in tokenizer and _is_usable(model, layer):
            return layer.name
    has_class_token = any(isinstance(layer, ClassToken) for layer in tokenizer)
    for layer in reversed(tokenizer if has_class_token else model.layers):
        is_norm = isinstance(layer, keras.layers.LayerNormalization)
        if attention and is_norm and _is_usable(model, layer):
            return layer.name
    raise ValueError(
        f"model {model.name!r} has neither a feature map nor a transformer block that starts with "
        f"a norm: {_advice(model)}"
    )


def grid_size(model: keras.Model, layer: str | None = None) -> tuple[int, int]:
    """Rows and columns of a layer's map (default: `default_layer`), before it is enlarged.

    Raises:
        ValueError: no such layer, or one without maps or tokens.
    """
    return grid(model, target(model, layer).output)[:2]


def centres(model: keras.Model, layer: str | None = None) -> Centres:
    """Where on the image the cells of a layer's map lie (default: `default_layer`).

    The middles of their receptive fields: of the Fast CNN's 3 x 3 cells, pixels 4, 12 and 20,
    counted from 0.

    Raises:
        ValueError: no such layer, or one without maps or tokens.
    """
    return centres_of(model, target(model, layer).output)


def centres_of(model: keras.Model, tensor) -> Centres:
    """The same, of a tensor that has a `grid`."""
    rows, columns, first = grid(model, tensor)
    found = fields.centres(model, tensor)
    if found is not None:
        # A reshaping can leave places that are in no rows and columns.
        y, x = found.reshape(2, -1)[:, first:].reshape(2, rows, columns)
        is_grid = (y == y[:, :1]).all() and (x == x[:1]).all()
        y, x = y[:, 0], x[0]
        if is_grid and (np.diff(y) > 0).all() and (np.diff(x) > 0).all():
            return tuple(y.tolist()), tuple(x.tolist())
    warnings.warn(
        f"model {model.name!r} has a layer that helpers.explain.fields does not know, so that the "
        f"{rows} x {columns} cells of a map are taken to fill the image evenly",
        stacklevel=2,
    )
    return even_centres((rows, columns), model.input_shape[1:3])


def even_centres(size: tuple[int, int], shape: tuple[int, int]) -> Centres:
    """The centres of a grid of that size that fills an image of that shape evenly."""
    return tuple(tuple(fields.evenly(*pair).tolist()) for pair in zip(size, shape, strict=True))


def target(model: keras.Model, name: str | None = None) -> keras.layers.Layer:
    """The layer of that name (default: `default_layer`), if there is a map in it.

    Raises:
        ValueError: no such layer, or one without maps or tokens; the text lists those with.
    """
    name = name or default_layer(model)
    for layer in model.layers:
        if layer.name == name:
            if _is_usable(model, layer):
                return layer
            raise ValueError(
                f"layer {name!r} has no feature map or square of tokens that comes after a "
                f"trained weight: {_advice(model)}"
            )
    raise ValueError(f"model {model.name!r} has no layer {name!r}: {_advice(model)}")


def grid(model: keras.Model, tensor) -> Grid | None:
    """The places that a tensor of the model has.

    None where it is neither a feature map (N, rows, columns, C) nor a grid of tokens (N, T, D),
    with or without a class token, in the proportions of the input; or several tensors in one.
    """
    if not hasattr(tensor, "shape"):
        return None
    if len(tensor.shape) == 4:
        rows, columns = tensor.shape[1:3]
        return Grid(rows, columns, 0) if rows * columns > 1 else None
    if len(tensor.shape) != 3:
        return None
    height, width = model.input_shape[1:3]
    # Behind a class token there may still be tensors without it.
    for first in (1, 0) if _has_class_token(model, tensor) else (0,):
        tokens = tensor.shape[1] - first
        rows = round(math.sqrt(tokens * height / width))
        if tokens > 1 and rows and rows * round(rows * width / height) == tokens:
            return Grid(rows, tokens // rows, first)
    return None


def attention_layers(model: keras.Model) -> list[AttentionWeights]:
    """The layers that give attention weights, first block first."""
    return [layer for layer in model.layers if isinstance(layer, AttentionWeights)]


def required_attention(model: keras.Model) -> list[AttentionWeights]:
    """The same, or ValueError: the model has none."""
    layers = attention_layers(model)
    if not layers:
        raise ValueError(
            f"model {model.name!r} has no AttentionWeights layer, which alone shows its attention: "
            "choose a transformer of this study, or use grad_cam"
        )
    return layers


def _advice(model):
    usable = [layer.name for layer in model.layers if _is_usable(model, layer)]
    return (
        f"choose from {', '.join(usable)}"
        if usable
        else "choose a model with feature maps that come after a weight with trainable = True"
    )


def _is_usable(model, layer):
    """Whether the layer's output has a place for each part of the image, and a gradient."""
    weights = [attention.output for attention in attention_layers(model)]
    # (N, heads, T, T) only looks like a feature map, and may pass through a dropout layer.
    is_attention = any(tensor is layer.output or tensor is layer.input for tensor in weights)
    if is_attention or grid(model, layer.output) is None:
        return False
    # Backends follow the gradient to what comes after a trained weight only.
    return any(before.trainable_weights for before in _upstream(model, layer.output))


def _has_class_token(model, tensor):
    return any(isinstance(layer, ClassToken) for layer in _upstream(model, tensor))


def _upstream(model, tensor):
    """The layers from the pixels to a tensor, in order."""
    return keras.Model(model.input, tensor).layers
