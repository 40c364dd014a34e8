"""Which pixels a layer's cells read, by its receptive fields, worked out from the layer graph."""

import numpy as np

from helpers.backend import keras
from helpers.models.layers import ClassToken

layers = keras.layers


def centres(model: keras.Model, tensor) -> np.ndarray | None:
    """The middle of the receptive field of each place of a tensor, in pixels.

    As Araujo et al. (2019, "Computing receptive fields of convolutional neural networks") have
    it, a field goes on beyond the image's edge where a layer pads: cells keep equal distances.
    Layers that mix all places, as attention does, count by what they leave in place.

    Args:
        model: functional, from pixels (N, H, W, C).
        tensor: of the model, (N, ..., C).

    Returns:
        float (2, ...), rows then columns, 0 the middle of the first pixel; NaN of a class token;
        None behind a layer that moves places in a way that is not known here.  A layer of one's
        own is known if it keeps its input's places, or if it has what a convolution's windows are
        known by: `kernel_size`, `strides` and `padding`, as attributes.
    """
    field = _fields(model, tensor)
    if field is None:
        return None
    field = field.max(axis=-1)
    return (field[1] - field[0]) / 2


def evenly(cells: int, length: int) -> np.ndarray:
    """The centres of so many cells that fill a side of `length` pixels: float (cells,)."""
    return (np.arange(cells) + 0.5) * length / cells - 0.5


def between(points: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Weights (P, K) that interpolate linearly between ascending knots; beyond them, constant."""
    return np.stack([np.interp(points, knots, unit) for unit in np.eye(len(knots))], axis=1)


def _fields(model, tensor):
    """The last pixels that each value reads, up and left, negative, and down and right.

    (2, 2, ..., C): the two directions of both axes.  With the negative, both ends of several
    fields together are a maximum.
    """
    rows, columns, channels = model.input_shape[1:]
    pixels = np.indices((rows, columns), dtype=float)[..., None]
    pixels = np.broadcast_to(np.stack([-pixels, pixels]), (2, 2, rows, columns, channels))
    found = {id(model.input): pixels}
    for operation in keras.Model(model.input, tensor).operations:
        outputs = keras.tree.flatten(operation.output)
        if outputs[0] is model.input:
            continue
        read = keras.tree.flatten(operation.input)
        for output in outputs:
            shape = output.shape[1:]
            if len(read) > 1 and not isinstance(operation, layers.Concatenate):
                # Weights of attention, or of channels, are in other places, and move none.
                read = [x for x in read if x.shape[1:-1] == shape[:-1]]
            inputs = [found.get(id(x)) for x in read]
            is_known = inputs and all(field is not None for field in inputs)
            found[id(output)] = _through(operation, inputs, shape) if is_known else None
    return found.get(id(tensor))


def _through(operation, inputs, shape):
    """The fields of an operation's output of that shape, from those of its inputs."""
    if isinstance(operation, layers.Concatenate):
        axis = operation.axis
        return np.concatenate(inputs, axis if axis < 0 else axis + 1)
    if isinstance(operation, _MOVING):
        found = _moved(operation, inputs[0], shape)
    elif len(shape) == 3 and _window(operation):
        found = _windows(operation, inputs[0])
    else:
        found = _in_place(inputs, shape)
    # What else changes a shape, such as a transposed convolution, is not known.
    if found is None or found.shape[2:-1] != shape[:-1]:
        return None
    return np.broadcast_to(found, (2, 2, *shape))


_MOVING = (
    layers.Reshape,
    layers.Flatten,
    layers.Permute,
    layers.ZeroPadding2D,
    layers.Cropping2D,
    layers.UpSampling2D,
    layers.Resizing,
    ClassToken,
)


def _moved(layer, field, shape):
    if isinstance(layer, layers.Reshape | layers.Flatten):
        return field.reshape(2, 2, *shape)
    if isinstance(layer, layers.Permute):
        return field.transpose(0, 1, *(axis + 1 for axis in layer.dims))
    if isinstance(layer, layers.ZeroPadding2D):
        return _extended(field, layer.padding)
    if isinstance(layer, layers.Cropping2D):
        (top, _), (left, _) = layer.cropping
        return field[:, :, top : top + shape[0], left : left + shape[1]]
    if isinstance(layer, ClassToken):
        return np.pad(field, ((0, 0), (0, 0), (1, 0), (0, 0)), constant_values=np.nan)
    if getattr(layer, "crop_to_aspect_ratio", False) or getattr(
        layer, "pad_to_aspect_ratio", False
    ):
        return None
    return _resampled(field, shape[:2])


def _in_place(inputs, shape):
    """What inputs with the output's places read together, whichever the channel."""
    if len(shape) < 2:
        return None
    field = np.maximum.reduce([x.max(axis=-1, keepdims=True) for x in inputs])
    lost_class_token = field.shape[2] == shape[0] + 1 and np.isnan(field[:, :, 0]).all()
    return field[:, :, 1:] if lost_class_token else field


def _window(layer):
    """The sides of a layer's windows; None where it has none over rows and columns."""
    size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    return size if size is not None and len(size) == 2 else None


def _windows(layer, field):
    field = field.max(axis=-1, keepdims=True)
    dilation = getattr(layer, "dilation_rate", (1, 1))
    sides = [(side - 1) * d + 1 for side, d in zip(_window(layer), dilation, strict=True)]
    if layer.padding == "same":
        # As TensorFlow pads: what cannot be shared out evenly comes after the last pixel.
        missing = [
            max((-(-length // stride) - 1) * stride + side - length, 0)
            for length, stride, side in zip(field.shape[2:4], layer.strides, sides, strict=True)
        ]
        field = _extended(field, [(total // 2, total - total // 2) for total in missing])
    if sides[0] > field.shape[2] or sides[1] > field.shape[3]:
        return None
    rows, columns = layer.strides
    windows = np.lib.stride_tricks.sliding_window_view(field, sides, axis=(2, 3))
    return windows[:, :, ::rows, ::columns].max(axis=(-2, -1))


def _extended(field, padding):
    """Rows and columns more at each end, as far from one another as those that are there."""
    return np.pad(field, ((0, 0), (0, 0), *padding, (0, 0)), mode="reflect", reflect_type="odd")


def _resampled(field, shape):
    for axis, length in zip((2, 3), shape, strict=True):
        cells = field.shape[axis]
        points, knots = evenly(length, cells), np.arange(-1, cells + 1)
        padding = [(1, 1), (0, 0)] if axis == 2 else [(0, 0), (1, 1)]
        weights = between(points, knots)
        field = np.moveaxis(np.tensordot(weights, _extended(field, padding), (1, axis)), 0, axis)
    return field
