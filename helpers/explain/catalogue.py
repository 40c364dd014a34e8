"""The methods by name, and what they are compared with."""

from collections.abc import Callable, Sequence

import numpy as np

from helpers.backend import keras
from helpers.explain import places
from helpers.explain.attention import attention_rollout, gradient_weighted_attention
from helpers.explain.inputs import NoGradient, enlarge
from helpers.explain.maps import grad_cam, grad_cam_plus_plus, hires_cam, occlusion, smooth_gradient

METHODS: dict[str, Callable[..., np.ndarray]] = {
    "Grad-CAM": grad_cam,
    "Grad-CAM++": grad_cam_plus_plus,
    "HiResCAM": hires_cam,
    "SmoothGrad": smooth_gradient,
    "Occlusion": occlusion,
    "Attention rollout": attention_rollout,
    "Attention x gradient": gradient_weighted_attention,
}

OF_ATTENTION = ("Attention rollout", "Attention x gradient")  # for models that have it


def methods(model: keras.Model) -> dict[str, Callable[..., np.ndarray]]:
    """Those of `METHODS` that a model allows: without attention, none `OF_ATTENTION`."""
    has_attention = bool(places.attention_layers(model))
    return {
        name: method
        for name, method in METHODS.items()
        if has_attention or name not in OF_ATTENTION
    }


def maps_or_dead(
    method: Callable[..., np.ndarray],
    model: keras.Model,
    images: np.ndarray,
    labels: int | np.ndarray,
) -> np.ndarray:
    """A method's maps (N, H, W), all of them NaN where it raises `NoGradient`."""
    try:
        return method(model, images, labels)
    except NoGradient:
        return np.full(images.shape[:3], np.nan, np.float32)


def centre_gaussian(shape: tuple[int, int] = (32, 32), sigma: float = 8.0) -> np.ndarray:
    """The map (H, W) of "look at the centre": a Gaussian of `sigma` pixels, 1 at its peak.

    Pictures have their object in the middle, so a method should beat this.
    """
    if not sigma > 0:
        raise ValueError(f"sigma is {sigma}: pass a positive number of pixels, such as 8")
    y, x = (np.arange(length) - (length - 1) / 2 for length in shape)
    return np.exp(-(y[:, None] ** 2 + x**2) / (2 * sigma**2)).astype(np.float32)


def random_maps(
    count: int,
    shape: tuple[int, int] = (32, 32),
    seed: int | Sequence[int] = 0,
    grid: tuple[int, int] = (8, 8),
    centres: places.Centres | None = None,
) -> np.ndarray:
    """Maps (count, H, W) of uniform noise, as coarse and as enlarged as a method's own maps.

    `grid` is the rows and columns of the noise: the `places.grid_size` of what it is compared
    with.  They fill the image evenly, unless `centres` has other places for as many of them: its
    `places.centres`.
    """
    if count < 1 or min(grid) < 1:
        raise ValueError(f"{count} maps on a grid {grid}: pass at least 1 map, row and column")
    centres = places.even_centres(grid, shape) if centres is None else centres
    if tuple(map(len, centres)) != tuple(grid):
        sizes = " x ".join(str(len(side)) for side in centres)
        raise ValueError(f"centres of {sizes} cells for a grid {grid}: pass as many as it has")
    noise = np.random.default_rng(seed).random((count, *grid), dtype=np.float32)
    return enlarge(noise, shape, centres)
