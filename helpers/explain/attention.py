"""Maps from a transformer's attention: rollout, attention x gradient, how far it reaches."""

import numpy as np
from scipy import spatial, special

from helpers.backend import keras
from helpers.explain import gradients, places
from helpers.explain.inputs import (
    checked,
    enlarged_without_dead,
    has_gradient,
    in_batches,
    infer,
    require_gradient,
    to_numpy,
)
from helpers.models.layers import SequencePooling


def attention_weights(model: keras.Model, images: np.ndarray) -> list[np.ndarray]:
    """What each token looks at: a float32 (N, heads, T, T) for each block, first block first.

    Row i of a (T, T) matrix is token i's attention and sums to 1; a class token is token 0.

    Raises:
        ValueError: unfit images, or a model without attention.
    """
    images, _, _ = checked(model, images)
    layers = places.required_attention(model)
    probe = keras.Model(model.input, [layer.output for layer in layers])
    return in_batches(lambda batch: map(to_numpy, infer(probe, batch)), images)


def attention_distance(weights: np.ndarray, patch: int, grid: tuple[int, int]) -> np.ndarray:
    """How far each head looks: the mean distance from a token to what it attends to.

    Distances between the centres of patches, weighed by the attention, averaged over images and
    tokens (Dosovitskiy et al. 2021, section 4.5 and figure 7, right).

    Args:
        weights: (N, heads, T, T) from `attention_weights`, without a class token.
        patch: a patch's side in pixels.
        grid: rows and columns of patches, T in all.

    Returns:
        float (heads,), in pixels.

    Raises:
        ValueError: T is not the number of patches.
    """
    tokens, (rows, columns) = weights.shape[-1], grid
    if rows * columns != tokens:
        raise ValueError(
            f"{tokens} tokens are not {rows} x {columns} patches: leave out a class token's row "
            "and column, and divide by the sums of the rows"
        )
    centres = patch * np.stack(np.unravel_index(np.arange(tokens), grid), axis=1)
    between = spatial.distance.cdist(centres, centres)
    return (weights * between).sum(axis=-1).mean(axis=(0, 2))


def attention_rollout(
    model: keras.Model, images: np.ndarray, labels: int | np.ndarray | None = None
) -> np.ndarray:
    """Attention rollout (Abnar and Zuidema 2020, section 3): how much each patch reaches the end.

    The heads' mean of each block, plus the identity for the skip connection, with rows that sum
    to 1 again; the product over the blocks says what each token is made of.  The tokens are then
    read out as this study's models do: the class token's row, or the mean of the rows, or (`cct`)
    their mean by the image's own pooling weights.  MLPs are not seen, nor is a convolutional branch
    beside the blocks (`hybrid_dual`), nor the class: labels are taken, as by all methods, and
    change nothing.

    Returns:
        float32 (N, H, W); before enlarging, a map sums to 1, less what the class token holds.

    Raises:
        ValueError: unfit images, or a model without attention over a square of patches.
    """
    images, _, _ = checked(model, images, labels)
    reader = _Reader(model)
    probe = keras.Model(model.input, reader.tensors)

    def coarse(images):
        found = infer(probe, images)
        rollout = reader.identity
        for weights in found[: reader.blocks]:
            mixed = to_numpy(weights).mean(axis=1) + reader.identity
            rollout = mixed / mixed.sum(axis=-1, keepdims=True) @ rollout
        return [reader.read(rollout, found[reader.blocks :])]

    (maps,) = in_batches(coarse, images)
    return enlarged_without_dead(maps, np.ones(len(maps), bool), images.shape[1:3], reader.centres)


def gradient_weighted_attention(
    model: keras.Model, images: np.ndarray, labels: int | np.ndarray
) -> np.ndarray:
    """Attention weighed by its gradient: a rollout for one class.

    After Chefer et al. 2021, "Generic attention-model explainability", section 3.2.
    Each block's attention weights times the gradient of the class's logit there, what is positive
    averaged over heads, is added up over the blocks (equations 5 and 6), and read out as
    `attention_rollout` does.  What a token has of itself only by the skip connections is left out.

    Returns:
        float32 (N, H, W), NaN for an image without a gradient.

    Raises:
        ValueError: unfit images or labels; a model without attention over a square of patches.
        NoGradient: no image has a gradient.
        NotImplementedError: Keras runs on JAX.
    """
    images, labels, _ = checked(model, images, labels)
    reader = _Reader(model)
    probe = keras.Model(model.input, [*reader.tensors, model.output])

    def coarse(images, labels):
        found = gradients.at_outputs(probe, images, labels)
        relevance = np.broadcast_to(reader.identity, (len(images), *reader.identity.shape))
        for weights, gradient in found[: reader.blocks]:
            mixed = np.maximum(weights * gradient, 0).mean(axis=1)
            relevance = relevance + mixed @ relevance
        pooled = [values for values, _ in found[reader.blocks :]]
        alive = [has_gradient(gradient) for _, gradient in found[: reader.blocks]]
        return reader.read(relevance - reader.identity, pooled), np.any(alive, axis=0)

    maps, alive = in_batches(coarse, images, labels)
    require_gradient(alive, "the attention weights")
    return enlarged_without_dead(maps, alive, images.shape[1:3], reader.centres)


class _Reader:
    """How a model's logits read its tokens, with the tensors that this takes."""

    def __init__(self, model):
        layers = places.required_attention(model)
        poolings = [layer for layer in model.layers if isinstance(layer, SequencePooling)]
        tokens = layers[-1].input.shape[1]
        grid = places.grid(model, layers[-1].input)
        if grid is None:
            raise ValueError(
                f"the {tokens} tokens of model {model.name!r} are no grid of patches: look at "
                "attention_weights instead"
            )
        self.grid, self.poolings, self.blocks = grid, poolings, len(layers)
        self.centres = places.centres_of(model, layers[-1].input)
        self.identity = np.eye(tokens, dtype=np.float32)
        # What attention weights, block by block, and what sequence pooling reads.
        self.tensors = [layer.output for layer in layers] + [layer.input for layer in poolings]

    def read(self, mixture, pooled):
        """What the logits read of (n, T, T), whose row i says what token i is made of."""
        rows, columns, first = self.grid
        if self.poolings:
            scores = to_numpy(self.poolings[0].score(pooled[0]))  # (n, T, 1)
            found = (special.softmax(scores, axis=1) * mixture).sum(axis=1)
        else:
            found = mixture[:, 0] if first else mixture.mean(axis=1)
        return found[:, first:].reshape(-1, rows, columns)
