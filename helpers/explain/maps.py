"""Maps by gradients and by occlusion; how a method is called, `helpers.explain` says."""

import numpy as np

from helpers.backend import keras
from helpers.explain import gradients, places
from helpers.explain.inputs import (
    checked,
    enlarged_without_dead,
    has_gradient,
    in_batches,
    mean_colour,
    require_gradient,
    without_dead,
)


def grad_cam(
    model: keras.Model,
    images: np.ndarray,
    labels: int | np.ndarray,
    layer: str | None = None,
) -> np.ndarray:
    """Grad-CAM (Selvaraju et al. 2017, section 3): where a layer speaks for a class.

    The gradient of the class's logit, averaged over the map, weighs the layer's channels; what is
    positive in their sum is enlarged to the input's size, bilinearly between the centres of the
    cells' receptive fields.

    Args:
        model: from pixels to logits.
        images: uint8 (N, H, W, 3).
        labels: the class to explain, one for all or (N,).
        layer: name of a layer with feature maps or tokens (default: `places.default_layer`).

    Returns:
        float32 (N, H, W), NaN for an image whose map is zero everywhere: nothing speaks for the
        class, or the gradient is zero or not finite.

    Raises:
        ValueError: unfit images, labels or layer.
        NoGradient: a gradient that is zero or not finite for every image, as that of the patches
            is after the last attention before a class token.
        NotImplementedError: Keras runs on JAX.
    """

    def relevance(activation, gradient):
        return np.einsum("npc,nc->np", activation, gradient.mean(axis=1))

    return _class_activation(model, images, labels, layer, relevance)


def grad_cam_plus_plus(
    model: keras.Model,
    images: np.ndarray,
    labels: int | np.ndarray,
    layer: str | None = None,
) -> np.ndarray:
    """Grad-CAM++ (Chattopadhay et al. 2018, section 3.2): as `grad_cam`, places weighed, too.

    A channel's weight is the sum of its positive gradients (equation 7), each weighed by
    equation 19, so that a small region counts as much as a large one.  The paper explains
    exp(logit); its factor, the same for the whole map, is left out.  It presumes activations of
    ReLU: others, as of GELU or a norm, can make a weight's denominator small.
    """

    def relevance(activation, gradient):
        square = gradient**2
        cube = activation.sum(axis=1, keepdims=True) * gradient * square
        share = np.divide(
            square, 2 * square + cube, out=np.zeros_like(square), where=2 * square + cube != 0
        )
        weights = (share * np.maximum(gradient, 0)).sum(axis=1)
        return np.einsum("npc,nc->np", activation, weights)

    return _class_activation(model, images, labels, layer, relevance)


def hires_cam(
    model: keras.Model,
    images: np.ndarray,
    labels: int | np.ndarray,
    layer: str | None = None,
) -> np.ndarray:
    """HiResCAM (Draelos and Carin 2020, section 3.3): as `grad_cam`, each place by its gradient.

    Where the logits read the layer only through its average, the gradient is the same everywhere,
    and the two maps are equal.
    """

    def relevance(activation, gradient):
        return np.einsum("npc,npc->np", activation, gradient)

    return _class_activation(model, images, labels, layer, relevance)


def smooth_gradient(
    model: keras.Model,
    images: np.ndarray,
    labels: int | np.ndarray,
    samples: int = 16,
    noise: float = 0.1,
    seed: int = 0,
) -> np.ndarray:
    """SmoothGrad (Smilkov et al. 2017, section 2.2): how much each pixel moves the class's logit.

    The gradient at the pixels, averaged over noisy copies of the image; then the sum of its size
    over the three colours.  One sample without noise gives the plain gradient (Simonyan et al.
    2014, section 3, who take the largest of the colours).

    Args:
        model: from pixels to logits.
        images: uint8 (N, H, W, 3).
        labels: the class to explain, one for all or (N,).
        samples: noisy copies of each image.
        noise: their standard deviation, as a share of the full range of pixels.
        seed: of the noise, which is the same for every image.

    Returns:
        float32 (N, H, W), in logits a grey level.

    Raises:
        ValueError: unfit images, labels, samples or noise.
        NoGradient: no image has a gradient.
        NotImplementedError: Keras runs on JAX.
    """
    images, labels, _ = checked(model, images, labels)
    if samples < 1 or noise < 0:
        raise ValueError(f"{samples} samples of noise {noise}: pass at least 1, and 0 or more")
    copy = gradients.with_float_input(model)
    shifts = np.random.default_rng(seed).normal(0, 255 * noise, (samples, *images.shape[1:]))

    def fine(images, labels):
        noisy = (images + shift.astype(np.float32) for shift in shifts)
        gradient = sum(gradients.at_pixels(copy, x, labels) for x in noisy) / samples
        return np.abs(gradient).sum(axis=3), has_gradient(gradient)

    maps, alive = in_batches(fine, images, labels)
    require_gradient(alive, "the pixels")
    return without_dead(maps, alive)


def occlusion(
    model: keras.Model,
    images: np.ndarray,
    labels: int | np.ndarray,
    size: int = 8,
    stride: int = 4,
) -> np.ndarray:
    """Occlusion (Zeiler and Fergus 2014, section 4.2): how far the logit falls without a square.

    The slow reference that needs no gradient: a square of the image's mean colour is moved over
    it, and a pixel's relevance is the mean fall over the squares that cover it, below zero where
    the class gains.

    Args:
        model: from pixels to logits.
        images: uint8 (N, H, W, 3).
        labels: the class to explain, one for all or (N,).
        size: the square's side in pixels.
        stride: pixels from one square to the next.

    Returns:
        float32 (N, H, W), in logits.

    Raises:
        ValueError: unfit images, labels, size or stride.
    """
    images, labels, _ = checked(model, images, labels)
    height, width = images.shape[1:3]
    if not 1 <= stride <= size <= min(height, width):
        raise ValueError(
            f"squares of {size} pixels, {stride} apart: pass 1 <= stride <= size <= "
            f"{min(height, width)}"
        )
    # The last square ends with the image, however the stride divides it.
    squares = [
        np.s_[:, top : top + size, left : left + size]
        for top in sorted({*range(0, height - size, stride), height - size})
        for left in sorted({*range(0, width - size, stride), width - size})
    ]

    def logit(images, labels):
        return model.predict_on_batch(images)[np.arange(len(labels)), labels]

    def fine(images, labels):
        whole, colour = logit(images, labels), mean_colour(images)
        falls, cover = np.zeros((2, *images.shape[:3]))
        for square in squares:
            covered = images.copy()
            covered[square] = colour
            falls[square] += (whole - logit(covered, labels))[:, None, None]
            cover[square] += 1
        return [(falls / cover).astype(np.float32)]

    (maps,) = in_batches(fine, images, labels)
    return without_dead(maps, np.ones(len(maps), bool))


def _class_activation(model, images, labels, layer, relevance):
    """What is positive in `relevance` of a layer's activation and gradient, (n, P, C) each."""
    images, labels, _ = checked(model, images, labels)
    target = places.target(model, layer)
    rows, columns, first = places.grid(model, target.output)
    # Both outputs from the same pixels: a second model that starts at the layer would add to the
    # nodes of its layers, and the user's model could then no longer be saved.
    probe = keras.Model(model.input, [target.output, model.output])

    def coarse(images, labels):
        ((activation, gradient),) = (
            [values.reshape(len(images), rows * columns + first, -1)[:, first:] for values in pair]
            for pair in gradients.at_outputs(probe, images, labels)
        )
        with np.errstate(over="ignore", invalid="ignore"):  # such a map is dead
            found = np.maximum(relevance(activation, gradient), 0)
        return found.reshape(-1, rows, columns), has_gradient(gradient)

    maps, alive = in_batches(coarse, images, labels)
    require_gradient(alive, f"layer {target.name!r}")
    centres = places.centres_of(model, target.output)
    return enlarged_without_dead(maps, alive, images.shape[1:3], centres)
