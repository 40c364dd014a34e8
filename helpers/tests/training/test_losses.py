"""Balanced softmax in training alone; class weights that come late."""

import numpy as np
import pytest
import tiny

from helpers import training
from helpers.backend import keras
from helpers.experiments.recipes import Recipe
from helpers.training import losses

COUNTS = np.array([1, 2, 5])
LOGITS = np.array([[1.0, -1.0, 0.5], [0.0, 2.0, 1.0]], np.float32)
LABELS = np.eye(3, dtype=np.float32)[[0, 2]]


def cross_entropy(logits):
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return -np.log(shares[LABELS == 1]).mean()


@pytest.fixture
def identity():
    """A model whose logits are its inputs, but for a weight that stays 0 at this rate."""
    inputs = keras.Input((3,))
    shift = keras.layers.Dense(3, use_bias=False, kernel_initializer="zeros")(inputs)
    model = keras.Model(inputs, keras.layers.Add()([inputs, shift]))
    model.compile(keras.optimizers.SGD(0.0), keras.losses.CategoricalCrossentropy(from_logits=True))
    losses.balance_softmax(model, COUNTS)
    return model


def test_balanced_softmax_by_hand(identity):
    # Ren et al. 2020, equation 4: each class's exponential is multiplied by its frequency.
    history = identity.fit(LOGITS, LABELS, validation_data=(LOGITS, LABELS), verbose=0).history
    assert history["loss"][0] == pytest.approx(cross_entropy(LOGITS + np.log(COUNTS)), rel=1e-5)
    # Nothing of it leaks into validation.
    assert history["val_loss"][0] == pytest.approx(cross_entropy(LOGITS), rel=1e-5)


def test_predictions_are_plain_logits(identity):
    np.testing.assert_allclose(identity.predict_on_batch(LOGITS), LOGITS)


def test_fit_balances_by_what_it_trains_on(monkeypatch):
    given = []
    monkeypatch.setattr(losses, "balance_softmax", lambda model, counts: given.append(counts))
    split = tiny.split()
    training.fit(tiny.new_model(), Recipe(epochs=1, loss="balanced_softmax"), split, 0)
    training.fit(tiny.new_model(), Recipe(epochs=1), split, 0)
    (counts,) = given  # the plain loss asks for nothing
    assert counts.tolist() == np.bincount(split.y_train).tolist()


@pytest.mark.parametrize(("epochs", "first"), [(40, 32), (5, 4)])
def test_deferred_weights_count_in_the_last_fifth(epochs, first):
    labels = np.repeat([0, 1], [100, 10])
    weights, weighted_from = losses.weighting(
        Recipe(epochs=epochs, class_weights="deferred"), labels, 2
    )
    assert weighted_from == first
    assert weights.sum() == pytest.approx(2)
    # So few images hardly overlap: they count as nearly their number.
    assert weights[1] / weights[0] == pytest.approx(10, rel=0.01)


@pytest.mark.parametrize(("kind", "expected"), [("none", None), ("inverse_frequency", [0.55, 5.5])])
def test_other_weights_count_from_the_start(kind, expected):
    weights, first = losses.weighting(
        Recipe(epochs=10, class_weights=kind), np.repeat([0, 1], [100, 10]), 2
    )
    assert (weights if weights is None else weights.tolist()) == expected
    assert first == 0
