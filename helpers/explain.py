"""What a model looks at: Grad-CAM, attention rollout, reference maps, and the deletion curve.

Images are uint8 (N, H, W, 3), the model's own input.  A map is float32 (H, W) at the input's
size: high where the method finds the image relevant.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage, spatial, special

from helpers.backend import keras
from helpers.batches import one_hot
from helpers.models.layers import AttentionWeights, ClassToken, SequencePooling

BATCH = 50  # images at a time, so that memory does not grow with their number


def grad_cam(
    model: keras.Model,
    images: np.ndarray,
    labels: int | np.ndarray,
    layer: str | None = None,
) -> np.ndarray:
    """Grad-CAM (Selvaraju et al. 2017, section 3): where a layer speaks for a class.

    The gradient of the class's logit, averaged over the map, weighs the layer's channels; what is
    positive in their sum is enlarged bilinearly to the input's size.  The magnitude is kept: see
    `normalise`.

    Args:
        model: from pixels to logits.
        images: uint8 (N, H, W, 3).
        labels: the class to explain, one for all or (N,).
        layer: name of a layer with feature maps or tokens (default: `default_layer`).

    Returns:
        float32 (N, H, W).  An image whose map is zero everywhere, because nothing speaks for the
        class or the gradient is zero or not finite, gets NaN: count them, and leave them out.

    Raises:
        ValueError: unfit images, labels or layer; a gradient that is zero or not finite for every
            image, as that of the patches is after the last attention before a class token.
        NotImplementedError: Keras runs on JAX.
    """
    images, labels, _ = _checked(model, images, labels)
    target = _target(model, layer)
    rows, columns, first = _grid(model, target.output)
    # Keras would also cut the model at the layer, but its model can then no longer be saved.
    probe = keras.Model(model.input, [target.output, model.output])

    def coarse(images, labels):
        chosen = keras.ops.convert_to_tensor(one_hot(labels, model.output_shape[-1]))
        activation, gradient = (
            _numpy(values).reshape(len(images), -1, values.shape[-1])[:, first:]
            for values in _activation_and_gradient(probe, images, chosen)
        )
        relevance = np.einsum("npc,nc->np", activation, gradient.mean(axis=1))
        has_gradient = np.isfinite(gradient).all(axis=(1, 2)) & gradient.any(axis=(1, 2))
        return np.maximum(relevance, 0).reshape(-1, rows, columns), has_gradient

    maps, has_gradient = _in_batches(coarse, images, labels)
    if not has_gradient.any():
        raise ValueError(
            f"the gradient at layer {target.name!r} is zero or not finite for every image: choose "
            "an earlier layer, such as the first norm of the last transformer block, and make "
            "sure that the weights are finite"
        )
    dead = ~(has_gradient & np.isfinite(maps).all(axis=(1, 2)) & maps.any(axis=(1, 2)))
    maps[dead] = 0  # NaN would spread to its neighbours when enlarged
    maps = _enlarge(maps, images.shape[1:3])
    maps[dead] = np.nan
    return maps


def default_layer(model: keras.Model) -> str:
    """Name of the layer that `grad_cam` looks at unless told otherwise.

    A convolutional network's last feature map.  In a transformer, the last norm whose tokens the
    logits depend on: the final one (`norm`) where all tokens are pooled; where a class token is
    read, what the last attention reads (`block2_norm1` of two blocks), since no patch counts after
    it.  Where the transformer stands beside a convolutional branch (`hybrid_dual`), that branch's
    last map; to explain the other branch, name a layer of it.

    Raises:
        ValueError: the model has neither.
    """
    attention = _attention_layers(model)
    tokenizer = _upstream(model, attention[-1].output) if attention else []
    for layer in reversed(model.layers):
        if len(layer.output.shape) == 4 and layer not in tokenizer and _is_usable(model, layer):
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
    return _grid(model, _target(model, layer).output)[:2]


def attention_weights(model: keras.Model, images: np.ndarray) -> list[np.ndarray]:
    """What each token looks at: a float32 (N, heads, T, T) for each block, first block first.

    Row i of a (T, T) matrix is token i's attention and sums to 1; a class token is token 0.

    Raises:
        ValueError: unfit images, or a model without attention.
    """
    images, _, _ = _checked(model, images)
    layers = _required_attention(model)
    probe = keras.Model(model.input, [layer.output for layer in layers])
    return _in_batches(lambda batch: map(_numpy, _infer(probe, batch)), images)


def attention_distance(weights: np.ndarray, patch: int) -> np.ndarray:
    """How far each head looks: the mean distance from a token to what it attends to.

    Distances between the centres of patches, weighed by the attention, averaged over images and
    tokens (Dosovitskiy et al. 2021, section 4.5 and figure 7, right).

    Args:
        weights: (N, heads, T, T) from `attention_weights`, T patches in a square.
        patch: a patch's side in pixels.

    Returns:
        float (heads,), in pixels.

    Raises:
        ValueError: T is no square.
    """
    tokens = weights.shape[-1]
    side = math.isqrt(tokens)
    if side**2 != tokens:
        raise ValueError(
            f"{tokens} tokens are no square of patches: leave out the class token's row and "
            "column, and divide by the sums of the rows"
        )
    centres = patch * np.stack(np.unravel_index(np.arange(tokens), (side, side)), axis=1)
    between = spatial.distance.cdist(centres, centres)
    return (weights * between).sum(axis=-1).mean(axis=(0, 2))


def attention_rollout(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Attention rollout (Abnar and Zuidema 2020, section 3): how much each patch reaches the end.

    The heads' mean of each block, plus the identity for the skip connection, with rows that sum
    to 1 again; the product over the blocks says what each token is made of.  The tokens are then
    read out as the model does: the class token's row, or the mean of the rows, or (`cct`) their
    mean by the image's own pooling weights.  No class is asked for, and MLPs are not seen.

    Returns:
        float32 (N, H, W); before enlarging, a map sums to 1, less what the class token holds.

    Raises:
        ValueError: unfit images, or a model without attention over a square of patches.
    """
    images, _, _ = _checked(model, images)
    layers = _required_attention(model)
    grid = _grid(model, layers[-1].input)
    if grid is None:
        raise ValueError(
            f"the {layers[-1].input.shape[1]} tokens of model {model.name!r} are no square of "
            "patches: look at attention_weights instead"
        )
    rows, columns, first = grid
    poolings = [layer for layer in model.layers if isinstance(layer, SequencePooling)]
    outputs = [layer.output for layer in layers] + [layer.input for layer in poolings]
    probe = keras.Model(model.input, outputs)
    identity = np.eye(layers[-1].input.shape[1], dtype=np.float32)

    def coarse(images):
        found = _infer(probe, images)
        rollout = identity
        for weights in found[: len(layers)]:
            mixed = _numpy(weights).mean(axis=1) + identity
            rollout = mixed / mixed.sum(axis=-1, keepdims=True) @ rollout
        if poolings:
            scores = _numpy(poolings[0].score(found[-1]))  # (n, T, 1)
            read = (special.softmax(scores, axis=1) * rollout).sum(axis=1)
        else:
            read = rollout[:, 0] if first else rollout.mean(axis=1)
        return [read[:, first:].reshape(-1, rows, columns)]

    (maps,) = _in_batches(coarse, images)
    return _enlarge(maps, images.shape[1:3])


def normalise(maps: np.ndarray) -> np.ndarray:
    """Each map (..., H, W) scaled to [0, 1] for display; a constant one becomes 0, NaN stays."""
    maps = np.asarray(maps, np.float32)
    low = maps.min(axis=(-2, -1), keepdims=True)
    span = maps.max(axis=(-2, -1), keepdims=True) - low
    return np.divide(maps - low, span, out=np.zeros_like(maps), where=span != 0)


def centre_gaussian(shape: tuple[int, int] = (32, 32), sigma: float = 8.0) -> np.ndarray:
    """The map (H, W) of "look at the centre": a Gaussian of `sigma` pixels, 1 at its peak.

    Pictures have their object in the middle, so a method should beat this.
    """
    if not sigma > 0:
        raise ValueError(f"sigma is {sigma}: pass a positive number of pixels, such as 8")
    y, x = (np.arange(length) - (length - 1) / 2 for length in shape)
    return np.exp(-(y[:, None] ** 2 + x**2) / (2 * sigma**2)).astype(np.float32)


def random_maps(
    count: int, shape: tuple[int, int] = (32, 32), seed: int = 0, grid: tuple[int, int] = (8, 8)
) -> np.ndarray:
    """Maps (count, H, W) of uniform noise, as coarse and as enlarged as a method's own maps.

    `grid` is the rows and columns of the noise: the `grid_size` of what it is compared with.
    """
    if count < 1 or min(grid) < 1:
        raise ValueError(f"{count} maps on a grid {grid}: pass at least 1 map, row and column")
    noise = np.random.default_rng(seed).random((count, *grid), dtype=np.float32)
    return _enlarge(noise, shape)


def deletion_curve(
    model: keras.Model,
    images: np.ndarray,
    labels: int | np.ndarray,
    maps: np.ndarray,
    steps: int = 16,
    fill: Sequence[int] | None = None,
) -> np.ndarray:
    """The class's probability as the pixels go, the most relevant first.

    The deletion metric of RISE (Petsiuk et al. 2018): the sooner the probability falls, the
    better the map.  Equal pixels go in reading order.

    Args:
        model: from pixels to logits.
        images: uint8 (N, H, W, 3).
        labels: the class whose probability is followed, one for all or (N,).
        maps: (N, H, W), without NaN.
        steps: number of equal parts, up to a pixel, in which an image is deleted.
        fill: colour put in place of a pixel (default: the image's own mean colour).

    Returns:
        float32 (N, steps + 1): softmax probability with 0, 1/steps, ... 1 of the image deleted.

    Raises:
        ValueError: unfit images, labels, maps, number of steps or colour.
    """
    images, labels, maps = _checked(model, images, labels, maps)
    pixels = maps[0].size
    if not 1 <= steps <= pixels:
        raise ValueError(f"steps is {steps}: pass 1 to {pixels}, the number of pixels")
    if fill is None:
        fill = images.mean(axis=(1, 2), keepdims=True)
    elif np.shape(fill) != images.shape[3:] or min(fill) < 0 or max(fill) > 255:
        raise ValueError(f"fill is {fill}: pass {images.shape[3]} numbers from 0 to 255")
    fill = np.rint(fill).astype(np.uint8)
    order = np.argsort(-maps.reshape(-1, pixels), axis=1, kind="stable")
    rank = np.argsort(order, axis=1).reshape(*maps.shape, 1)

    def probability(images, labels):
        logits = model.predict_on_batch(images)  # compiled: in half the time of a plain call
        return [special.softmax(logits, axis=1)[range(len(labels)), labels]]

    curve = [
        _in_batches(probability, np.where(rank < deleted, fill, images), labels)[0]
        for deleted in np.rint(np.linspace(0, pixels, steps + 1))
    ]
    return np.stack(curve, axis=1)


def area_under(curves: np.ndarray) -> np.ndarray:
    """Area (N,) under curves (N, steps + 1) over the share deleted, 0 to 1, by trapezoids."""
    return np.trapezoid(curves, dx=1 / (np.shape(curves)[1] - 1), axis=1)


def _activation_and_gradient(probe, images, chosen):
    """A layer's output, and the gradient there of the chosen (N, C one-hot) logits.

    `probe` gives the layer's output and the logits.  All that depends on the backend is here.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow

        with tensorflow.GradientTape() as tape:
            activation, logits = _infer(probe, images)
            score = keras.ops.sum(logits * chosen)
        return activation, tape.gradient(score, activation)
    if backend == "torch":
        import torch

        activation, logits = _infer(probe, images)
        return activation, torch.autograd.grad(keras.ops.sum(logits * chosen), activation)[0]
    raise NotImplementedError(
        f"Grad-CAM has no gradient on {backend}: restart with KERAS_BACKEND=tensorflow or torch"
    )


def _in_batches(function: Callable, *arrays: np.ndarray) -> list[np.ndarray]:
    """Call `function` with some of the images at a time; join each of the arrays it returns."""
    parts = [
        function(*(array[start : start + BATCH] for array in arrays))
        for start in range(0, len(arrays[0]), BATCH)
    ]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def _infer(model, images):
    """The model's outputs, a list even of one."""
    return keras.tree.flatten(model(keras.ops.convert_to_tensor(images), training=False))


def _numpy(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def _enlarge(maps: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Maps (N, rows, columns) -> (N, *shape), bilinear between the centres of the cells."""
    zoom = (1, shape[0] / maps.shape[1], shape[1] / maps.shape[2])
    return ndimage.zoom(maps, zoom, order=1, mode="nearest", grid_mode=True)


def _target(model, name):
    """The layer of that name, or the default one, if there is a map in it."""
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


def _advice(model):
    usable = [layer.name for layer in model.layers if _is_usable(model, layer)]
    return f"choose from {', '.join(usable)}" if usable else "choose another model"


def _is_usable(model, layer):
    """Whether the layer's output has a place for each part of the image, and a gradient."""
    weights = [attention.output for attention in _attention_layers(model)]
    # (N, heads, T, T) only looks like a feature map, and may pass through a dropout layer.
    is_attention = any(tensor is layer.output or tensor is layer.input for tensor in weights)
    if is_attention or _grid(model, layer.output) is None:
        return False
    # Backends follow the gradient to what comes after a trained weight only.
    return any(before.trainable_weights for before in _upstream(model, layer.output))


def _grid(model, tensor) -> tuple[int, int, int] | None:
    """Rows and columns of what a tensor says of the image, and its tokens before the patches.

    None where it is neither a feature map (N, rows, columns, C) nor a square of tokens (N, T, D),
    with or without a class token.
    """
    first = 0
    if len(tensor.shape) == 4:
        rows, columns = tensor.shape[1:3]
    elif len(tensor.shape) == 3:
        tokens = tensor.shape[1]
        if math.isqrt(tokens) ** 2 != tokens:
            first = 1
        rows = columns = math.isqrt(tokens - first)
        if first and (rows**2 != tokens - 1 or not _has_class_token(model, tensor)):
            return None
    else:
        return None
    return (rows, columns, first) if rows * columns > 1 else None


def _has_class_token(model, tensor):
    return any(isinstance(layer, ClassToken) for layer in _upstream(model, tensor))


def _upstream(model, tensor):
    """The layers from the pixels to a tensor, in order."""
    return keras.Model(model.input, tensor).layers


def _attention_layers(model):
    return [layer for layer in model.layers if isinstance(layer, AttentionWeights)]


def _required_attention(model):
    layers = _attention_layers(model)
    if not layers:
        raise ValueError(
            f"model {model.name!r} has no attention: choose a transformer, or use grad_cam"
        )
    return layers


def _checked(model, images, labels=None, maps=None):
    """The images, a label for each and the maps, or ValueError with the fix."""
    images, size = np.asarray(images), model.input_shape[1:]
    if images.dtype != np.uint8 or images.shape[1:] != size or len(images) == 0:
        raise ValueError(
            f"images are {images.dtype} {images.shape}: pass uint8 (N, {str(size)[1:-1]}), "
            "at least one"
        )
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
        if np.isnan(maps).any():
            raise ValueError(
                "maps have NaN: leave out the images without a map, "
                "by ~np.isnan(maps).any(axis=(1, 2))"
            )
    return images, labels, maps
