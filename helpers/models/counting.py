"""Parameters and multiply-accumulate operations (MACs) of a model."""

import math

import pandas as pd

from helpers.backend import keras
from helpers.models.fast import Whitening
from helpers.models.layers import AttentionMix, AttentionWeights, SequencePooling


def trainable_parameters(model: keras.Model) -> int:
    """Trained numbers; unlike `model.count_params()` without batch normalisation's statistics."""
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def macs(model: keras.Model) -> int:
    """Multiply-accumulate operations for one image.

    Convolutions, dense layers, and the two matrix products of attention, which some papers
    leave out (CCT-2/3x2's 33M, for example).  Element-wise work is not counted.
    """
    return sum(_layer_macs(layer) for layer in model.layers)


def layer_table(model: keras.Model) -> pd.DataFrame:
    """A row for each layer that changes the shape or computes: output shape, parameters, MACs."""
    rows = []
    shape = None
    for layer in model.layers:
        counted = layer.count_params(), _layer_macs(layer)
        if layer.output.shape != shape or any(counted):
            shape = layer.output.shape
            rows.append((layer.name, str(tuple(shape[1:])), *counted))
    return pd.DataFrame(rows, columns=["layer", "output", "parameters", "MACs"]).set_index("layer")


def _layer_macs(layer) -> int:
    layers = keras.layers
    if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | Whitening):
        return math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
    if isinstance(layer, layers.Dense):
        return math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape)
    if isinstance(layer, AttentionWeights):
        _, tokens, width = layer.input.shape
        return tokens * tokens * width // 3
    if isinstance(layer, AttentionMix):
        _, tokens, width = layer.output.shape
        return tokens * tokens * width
    if isinstance(layer, SequencePooling):
        _, tokens, dimension = layer.input.shape
        return 2 * tokens * dimension
    return 0
