"""What every method shares: checked input, batches, enlarging maps, maps without a gradient."""

from collections.abc import Callable, Sequence

import numpy as np

from helpers.backend import keras
from helpers.explain import fields

BATCH = 50  # images at a time, so that memory does not grow with their number
TOLERANCE = 0.01  # of a sum of probabilities, as of ten in bfloat16
CONSTANT = 1e-3  # a sum is, that changes by less of what its terms change by
# Layers that leave probabilities what they are.
PASSING = ("Cast", "Dropout", "Flatten", "Identity", "Rescaling", "Reshape", "Squeeze")


class NoGradient(ValueError):
    """No image has a gradient where a method needs one; the text says where."""


def normalise(maps: np.ndarray) -> np.ndarray:
    """Each map (..., H, W) scaled to [0, 1] for display; a constant one becomes 0, NaN stays."""
    maps = np.asarray(maps, np.float32)
    low = maps.min(axis=(-2, -1), keepdims=True)
    span = maps.max(axis=(-2, -1), keepdims=True) - low
    return np.divide(maps - low, span, out=np.zeros_like(maps), where=span != 0)


def is_dead(maps: np.ndarray) -> np.ndarray:
    """Which of the maps (N, H, W) have no value somewhere, NaN or infinite: bool (N,)."""
    return ~np.isfinite(maps).all(axis=(1, 2))


def checked(
    model: keras.Model,
    images: np.ndarray,
    labels: int | np.ndarray | None = None,
    maps: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """What explanations and their tests take, as they go on with it.

    Args:
        model: functional, from pixels to logits.
        images: uint8 (N, H, W, C) of the model's input.
        labels: a class for all, or (N,); None where they do not matter.
        maps: (N, H, W), or None.

    Returns:
        The images; the labels, (N,); the maps, float64.

    Raises:
        ValueError: one of them is unfit; the text says what to pass.
    """
    _check_model(model)
    images, size = np.asarray(images), model.input_shape[1:]
    if images.dtype != np.uint8 or images.shape[1:] != size or len(images) == 0:
        raise ValueError(
            f"images are {images.dtype} {images.shape}: pass uint8 (N, {str(size)[1:-1]}), "
            "at least one"
        )
    _require_logits(model, images)
    if labels is not None:
        labels, classes = np.asarray(labels), model.output_shape[-1]
        if labels.dtype.kind not in "iu" or labels.shape not in ((), (len(images),)):
            raise ValueError(
                f"labels are {labels.dtype} {labels.shape} for {len(images)} images: pass one "
                f"int, or ints ({len(images)},)"
            )
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(
                f"labels go from {labels.min()} to {labels.max()}: model {model.name!r} has the "
                f"classes 0 to {classes - 1}"
            )
        labels = np.broadcast_to(labels, len(images))
    if maps is not None:
        maps = np.asarray(maps, np.float64)
        if maps.shape != images.shape[:3]:
            raise ValueError(
                f"maps have shape {maps.shape}: pass one for each image, {images.shape[:3]}"
            )
        if not np.isfinite(maps).all():
            raise ValueError(
                "maps have NaN or infinities: leave out the images without a map, by "
                "~explain.is_dead(maps)"
            )
    return images, labels, maps


def _check_model(model):
    if isinstance(model, keras.Sequential) or not hasattr(model, "inputs"):
        raise ValueError(
            f"model {model.name!r} is not functional: build it as keras.Model(inputs, outputs)"
        )
    nested = [layer.name for layer in model.layers if isinstance(layer, keras.Model)]
    if isinstance(model.input, (list, dict)) or isinstance(model.output, (list, dict)):
        problem = "has lists or several inputs or outputs: build it with one tensor each"
    elif nested:
        problem = f"has models for layers, {', '.join(nested)}: call their layers one by one"
    else:
        return
    raise ValueError(f"model {model.name!r} {problem}")


def _require_logits(model, images):
    """Raise ValueError where a model gives probabilities, which its layers need not show."""
    noise = np.random.default_rng(0).integers(0, 256, (4, *images.shape[1:]), dtype=np.uint8)
    (outputs,) = infer(model, np.concatenate([images[:4], noise]))
    outputs = to_numpy(outputs)
    within = (outputs >= 0).all() and (outputs <= 1).all()  # as the logits of two classes may be
    last = model.operations[-1]
    probable = (within and _is_sigmoid(model)) or _are_shares(outputs)
    logarithms = (outputs <= 0).all() and _are_one(np.exp(np.minimum(outputs, 0)).sum(axis=1))
    if probable or logarithms:
        kind = "probabilities" if probable else "logarithms of probabilities"
        raise ValueError(
            f"model {model.name!r} ends in {kind}, {last.name!r}: take its logits, "
            "without activation"
        )


def _is_sigmoid(model):
    """Whether the last operation that does more than to arrange or to scale values is one."""
    for operation in reversed(model.operations):
        kind = type(operation).__name__
        function = getattr(getattr(operation, "activation", None), "__name__", "")
        if kind not in PASSING and (kind, function) != ("Activation", "linear"):
            names = {name.lower().replace("_", "") for name in (kind, function)}
            return not names.isdisjoint({"sigmoid", "hardsigmoid"})
    return False


def _are_shares(outputs):
    """Whether each row shares out one sum, of probabilities 1, of percentages 100.

    The sum of logits differs from image to image as much as they do; or it is 0, where training
    began with zeros, and some logits are negative.
    """
    if not np.isfinite(outputs).all():
        return False
    sums = outputs.sum(axis=1)
    change = np.abs(outputs - outputs.mean(axis=0)).sum(axis=1).max()
    is_constant = np.ptp(sums) <= CONSTANT * change
    return bool((outputs >= 0).all() and (_are_one(sums) or (is_constant and change > 0)))


def _are_one(sums):
    return np.allclose(sums, 1, atol=TOLERANCE)


def has_gradient(gradient):
    """For which images there is one: bool (n,)."""
    gradient = gradient.reshape(len(gradient), -1)
    return np.isfinite(gradient).all(axis=1) & gradient.any(axis=1)


def require_gradient(alive, where):
    if not alive.any():
        raise NoGradient(
            f"the gradient at {where} is zero or not finite for every image: choose an earlier "
            "layer, such as the first norm of the last transformer block, and make sure that the "
            "weights are finite"
        )


def without_dead(maps, alive):
    """The maps, NaN where they are dead."""
    alive = alive & np.isfinite(maps).all(axis=(1, 2)) & maps.any(axis=(1, 2))
    return np.where(alive[:, None, None], maps, np.float32(np.nan))


def enlarged_without_dead(maps, alive, shape, centres):
    maps = without_dead(maps, alive)
    # NaN would spread to its neighbours when enlarged.
    enlarged = enlarge(np.nan_to_num(maps), shape, centres)
    enlarged[is_dead(maps)] = np.nan
    return enlarged


def in_batches(function: Callable, *arrays: np.ndarray) -> list[np.ndarray]:
    """Call `function` with some of the images at a time; join each of the arrays it returns."""
    parts = [
        function(*(array[start : start + BATCH] for array in arrays))
        for start in range(0, len(arrays[0]), BATCH)
    ]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def infer(model, images):
    """The model's outputs, a list even of one."""
    return keras.tree.flatten(model(keras.ops.convert_to_tensor(images), training=False))


def to_numpy(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))


def enlarge(
    maps: np.ndarray, shape: tuple[int, int], centres: tuple[Sequence[float], Sequence[float]]
) -> np.ndarray:
    """Maps (N, rows, columns) -> (N, *shape), bilinear between the centres of the cells.

    `centres` are those of the rows and of the columns, ascending, in pixels; beyond the outermost
    ones a map stays as it is there.
    """
    rows, columns = (
        fields.between(np.arange(length), np.asarray(places))
        for length, places in zip(shape, centres, strict=True)
    )
    return (rows @ maps @ columns.T).astype(maps.dtype)


def mean_colour(images: np.ndarray) -> np.ndarray:
    """Each image's mean colour, rounded: uint8 (N, 1, 1, 3)."""
    return np.rint(images.mean(axis=(1, 2), keepdims=True)).astype(np.uint8)
