"""Losses that Keras lacks, and what its losses are weighted by."""

import numpy as np

from helpers import data
from helpers.backend import keras
from helpers.experiments.recipes import Recipe

DEFERRED = 0.8  # of the epochs pass before deferred class weights count (Cao et al. 2019)
BETA = 0.9999  # as in their code, and the strongest that Cui et al. (2019) try


def weighting(
    settings: Recipe, labels: np.ndarray, number_of_classes: int
) -> tuple[np.ndarray | None, int]:
    """A recipe's class weights (C,) or None, and the first epoch, from 0, that they count in."""
    if settings.class_weights == "inverse_frequency":
        return data.inverse_frequency(labels, number_of_classes), 0
    if settings.class_weights == "deferred":
        weights = data.effective_number(labels, number_of_classes, BETA)
        return weights, round(DEFERRED * settings.epochs)
    return None, 0


def balance_softmax(model: keras.Model, counts: np.ndarray) -> None:
    """Train a compiled model by balanced softmax (Ren et al. 2020, section 3.1).

    In training, the loss is that of logits plus the logarithms of the classes' frequencies, so
    that the logits themselves come to be those of classes that are equally frequent.  Validation,
    predictions and all metrics see the logits as they are.

    Args:
        model: compiled; its `compute_loss` is replaced.
        counts: (C,), images of each class that it trains on.
    """
    prior = np.log(counts / counts.sum()).astype(np.float32)
    usual = model.compute_loss

    def compute_loss(x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if training:
            y_pred = y_pred + keras.ops.cast(prior, y_pred.dtype)
        return usual(x, y, y_pred, sample_weight, training)

    model.compute_loss = compute_loss
