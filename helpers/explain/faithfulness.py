"""Whether a map shows what a model uses: tests by changing the pixels that it points to.

Images are uint8 (N, H, W, 3), labels the explained classes, maps (N, H, W) without NaN
(`helpers.explain.is_dead`).  All tests follow the model's probability of the class.  Pixels of the
same relevance, such as those that a map cuts to zero, go in the order of a smooth random map:
single pixels strewn over the image would harm the prediction more than what they hide.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy import linalg, ndimage, sparse, special, stats

from helpers.backend import keras
from helpers.explain import checked, mean_colour, normalise, random_maps

FILLS = ("mean", "blur")
STEPS = 10
SHARES = (0.1, 0.3, 0.5, 0.7)  # of the pixels, that ROAD takes away
BATCH = 250  # images that are predicted at a time

# Which of the scores a better map lowers, and which it raises.
LOWERED = ("deletion, mean", "deletion, blur", "ROAD", "average drop")
RAISED = ("insertion, mean", "insertion, blur", "average increase")


def deletion_curve(
    model: keras.Model,
    images: np.ndarray,
    labels: int | np.ndarray,
    maps: np.ndarray,
    steps: int = STEPS,
    fill: str = "mean",
    seed: int = 0,
) -> np.ndarray:
    """The class's probability as the pixels go, the most relevant first.

    The deletion metric of RISE (Petsiuk et al. 2018, section 4.2): the sooner the probability
    falls, the better the map.

    Args:
        model: from pixels to logits.
        images: uint8 (N, H, W, 3).
        labels: the class whose probability is followed, one for all or (N,).
        maps: (N, H, W), without NaN.
        steps: number of equal parts, up to a pixel, in which an image is deleted.
        fill: what comes in place of a pixel: the image's `mean` colour, or its `blur`.
        seed: of the order of pixels of the same relevance.

    Returns:
        float32 (N, steps + 1): softmax probability with 0, 1/steps, ... 1 of the image deleted.

    Raises:
        ValueError: unfit images, labels, maps, number of steps or fill.
    """
    return _curve(model, images, labels, maps, steps, fill, seed, insert=False)


def insertion_curve(
    model: keras.Model,
    images: np.ndarray,
    labels: int | np.ndarray,
    maps: np.ndarray,
    steps: int = STEPS,
    fill: str = "blur",
    seed: int = 0,
) -> np.ndarray:
    """The class's probability as the pixels come, the most relevant first.

    The insertion metric of RISE (Petsiuk et al. 2018, section 4.2): the sooner it rises, the
    better the map.  Arguments, returns and errors are those of `deletion_curve`.
    """
    return _curve(model, images, labels, maps, steps, fill, seed, insert=True)


def area_under(curves: np.ndarray) -> np.ndarray:
    """Area (N,) under curves (N, steps + 1) over the share of pixels, 0 to 1, by trapezoids."""
    return np.trapezoid(curves, dx=1 / (np.shape(curves)[1] - 1), axis=1)


def road_curve(
    model: keras.Model,
    images: np.ndarray,
    labels: int | np.ndarray,
    maps: np.ndarray,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
) -> np.ndarray:
    """The class's probability once the most relevant pixels cannot be told from their neighbours.

    ROAD (Rong et al. 2022, section 4): what is taken away is filled by noisy linear imputation,
    each pixel the weighted mean of its eight neighbours, so that the hole's shape itself tells the
    model little.  The lower, the better the map.

    Args:
        model: from pixels to logits.
        images: uint8 (N, H, W, 3).
        labels: the class whose probability is followed, one for all or (N,).
        maps: (N, H, W), without NaN.
        shares: of the pixels, that are taken away; each above 0 and below 1.
        seed: of the noise, and of the order of pixels of the same relevance.

    Returns:
        float32 (N, len(shares)).

    Raises:
        ValueError: unfit images, labels, maps or shares.
    """
    images, labels, maps = checked(model, images, labels, maps)
    pixels = maps[0].size
    if len(shares) == 0 or not all(0 < round(share * pixels) < pixels for share in shares):
        raise ValueError(
            f"shares are {shares}: pass numbers above 0 and below 1, which take away at least one "
            f"of {pixels} pixels and leave one"
        )
    rng = np.random.default_rng(seed)
    places = _ranks(maps, seed)
    curve = []
    for share in shares:
        removed = places < round(share * pixels)
        filled = [_imputed(*pair, rng) for pair in zip(images, removed, strict=True)]
        curve.append(_probability(model, np.array(filled), labels))
    return np.stack(curve, axis=1)


def masked_change(
    model: keras.Model, images: np.ndarray, labels: int | np.ndarray, maps: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Average drop and increase (Chattopadhay et al. 2018, section 4.1), image by image.

    The image is dimmed by its map, cut at zero and scaled to [0, 1]: what is irrelevant becomes
    black.  So a map that stays bright over much of the image loses little, wherever it points; one
    that is the same above zero everywhere dims nothing.

    Returns:
        Two arrays (N,): the share of the class's probability that is lost, 0 where it rises; and
        whether it rises, 0 or 1.  A good map loses little.

    Raises:
        ValueError: unfit images, labels or maps.
    """
    images, labels, maps = checked(model, images, labels, maps)
    positive = np.maximum(maps, 0)
    varies = np.ptp(positive, axis=(1, 2), keepdims=True) > 0
    shares = np.where(varies, normalise(positive), positive > 0)
    dimmed = np.rint(images * shares[..., None]).astype(np.uint8)
    before, after = (_probability(model, x, labels) for x in (images, dimmed))
    lost = np.maximum(before - after, 0)
    drop = np.divide(lost, before, out=np.zeros_like(lost), where=before > 0)
    return drop, (after > before).astype(float)


def scores(
    model: keras.Model,
    images: np.ndarray,
    labels: int | np.ndarray,
    maps: np.ndarray,
    seed: int = 0,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """All tests of a model's maps.

    Returns:
        The score of each image (N,) by `LOWERED` and `RAISED`: areas under the curves of deletion
        and insertion, ROAD's mean over `SHARES`, drop and increase.  And the curves, averaged over
        images, (STEPS + 1,) by test.
    """
    curves = {}
    for name, follow in (("deletion", deletion_curve), ("insertion", insertion_curve)):
        for fill in FILLS:
            curves[f"{name}, {fill}"] = follow(
                model, images, labels, maps, STEPS, fill, seed
            ).astype(float)
    drop, increase = masked_change(model, images, labels, maps)
    found = {name: area_under(values) for name, values in curves.items()} | {
        "ROAD": road_curve(model, images, labels, maps, seed=seed).mean(axis=1, dtype=float),
        "average drop": drop,
        "average increase": increase,
    }
    return found, {name: values.mean(axis=0) for name, values in curves.items()}


def gain(score: str, of_method: np.ndarray, of_reference: np.ndarray) -> np.ndarray:
    """How far a method's scores beat a reference's on the same images: above 0 is better.

    Raises:
        ValueError: neither `LOWERED` nor `RAISED` has the score.
    """
    if score in LOWERED:
        return of_reference - of_method
    if score in RAISED:
        return of_method - of_reference
    raise ValueError(f"unknown score {score!r}: choose from {', '.join((*LOWERED, *RAISED))}")


def rank_correlation(maps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Spearman's correlation over the pixels of each pair of maps, both (N, H, W).

    Returns:
        (N,), NaN where one of the two is dead, or the same everywhere.

    Raises:
        ValueError: the shapes differ.
    """
    if np.shape(maps) != np.shape(others):
        raise ValueError(
            f"maps have shapes {np.shape(maps)} and {np.shape(others)}: pass pairs of one shape"
        )
    # All images at once: `stats.spearmanr` would take them one by one.
    ranks = [stats.rankdata(m.reshape(len(m), -1), axis=1) for m in (maps, others)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.divide((a * b).sum(axis=1), scale, out=np.full(len(a), np.nan), where=scale != 0)


def _curve(model, images, labels, maps, steps, fill, seed, insert):
    images, labels, maps = checked(model, images, labels, maps)
    pixels = maps[0].size
    if not 1 <= steps <= pixels:
        raise ValueError(f"steps is {steps}: pass 1 to {pixels}, the number of pixels")
    if fill not in FILLS:
        raise ValueError(f"unknown fill {fill!r}: choose from {', '.join(FILLS)}")
    filled = np.empty_like(images)
    filled[:] = mean_colour(images) if fill == "mean" else _blurred(images)
    before, after = (filled, images) if insert else (images, filled)
    rank = _ranks(maps, seed)[..., None]
    curve = [
        _probability(model, np.where(rank < changed, after, before), labels)
        for changed in np.rint(np.linspace(0, pixels, steps + 1))
    ]
    return np.stack(curve, axis=1)


def _probability(model, images, labels):
    """Softmax probability of each image's class, float32 (N,)."""
    logits = [
        model.predict_on_batch(images[start : start + BATCH])
        for start in range(0, len(images), BATCH)
    ]
    return special.softmax(np.concatenate(logits), axis=1)[np.arange(len(labels)), labels]


def _ranks(maps, seed):
    """The place of each pixel (N, H, W) in the order of relevance, 0 the first to go."""
    shape = maps.shape[1:]
    # Other noise than that of the same seed which a method may be compared with.
    chance = random_maps(len(maps), shape, (seed, 1), tuple(min(8, side) for side in shape))
    order = np.lexsort((chance.reshape(len(maps), -1), -maps.reshape(len(maps), -1)), axis=1)
    return np.argsort(order, axis=1).reshape(maps.shape)


def _blurred(images):
    """A Gaussian of an eighth of the image's side: the colours stay, the object goes."""
    sigma = min(images.shape[1:3]) / 8
    blurred = ndimage.gaussian_filter(images.astype(float), (0, sigma, sigma, 0), mode="nearest")
    return np.rint(blurred).astype(np.uint8)


def _imputed(image, removed, rng):
    """The image with what is removed, bool (H, W), solved for from what is left."""
    between, (one, other, weight) = _neighbours(*removed.shape)
    gone, pixels = removed.ravel(), image.reshape(removed.size, -1).astype(float)
    # In reading order neighbours are near: the matrix is a narrow band, its diagonal comes first.
    number = np.cumsum(gone) - 1
    pairs = gone[one] & gone[other]
    one, other = number[one[pairs]], number[other[pairs]]
    band = np.zeros((2 + removed.shape[1], number[-1] + 1))
    band[0] = between.sum(axis=1)[gone]
    band[other - one, one] = -weight[pairs]
    known = between @ np.where(gone[:, None], 0, pixels)
    solved = linalg.solveh_banded(band, known[gone], lower=True)
    # The noise of the paper's own experiments, a hundredth of the range.
    pixels[gone] = solved + rng.normal(0, 2.55, solved.shape)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8).reshape(image.shape)


@cache
def _neighbours(height, width):
    """How much each pixel's neighbours count, sparse (P, P); the same of each pair once, as a list.

    1/6 beside, 1/12 across (Rong et al. 2022, section 4.2).
    """
    numbers = np.pad(np.arange(height * width).reshape(height, width), 1, constant_values=-1)
    rows, columns, weights = [], [], []
    for dy, dx in ((dy, dx) for dy in (0, 1, 2) for dx in (0, 1, 2) if (dy, dx) != (1, 1)):
        neighbour = numbers[dy : dy + height, dx : dx + width].ravel()
        rows.append(np.flatnonzero(neighbour >= 0))
        columns.append(neighbour[rows[-1]])
        weights.append(np.full(len(rows[-1]), 1 / 6 if 1 in (dy, dx) else 1 / 12))
    one, other, weight = map(np.concatenate, (rows, columns, weights))
    found = sparse.csr_array((weight, (one, other)), shape=(height * width, height * width))
    return found, tuple(values[one < other] for values in (one, other, weight))
