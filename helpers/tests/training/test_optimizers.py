"""Schedule, optimizer and average, by hand."""

import numpy as np
import pytest

from helpers.backend import keras
from helpers.training.optimizers import LinearDecay, Lookahead, Muon


@pytest.mark.parametrize(
    ("warmup", "rates"), [(0, [1, 0.9, 0.5, 0.05, 0, 0]), (5, [0, 0.4, 2 / 3, 1 / 15, 0, 0])]
)
def test_linear_schedule_by_hand(warmup, rates):
    schedule = LinearDecay(2.0, 20, warmup)
    given = [float(schedule(step)) for step in (0, 2, 10, 19, 20, 25)]
    assert given == pytest.approx([2 * rate for rate in rates], abs=1e-6)


def moved(optimizer, start, *gradients):
    """A variable after steps along the gradients."""
    variable = keras.Variable(start.astype(np.float32))
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient.astype(np.float32))])
    return keras.ops.convert_to_numpy(variable)


@pytest.mark.parametrize("shape", [(3, 3, 2, 5), (1, 1, 3, 8)])  # taller and wider than square
def test_muon_moves_a_kernel_by_an_orthogonal_matrix(shape):
    rng = np.random.default_rng(0)
    start = rng.normal(size=shape)
    left, _, right = np.linalg.svd(rng.normal(size=(np.prod(shape[:3]), shape[3])), False)
    singular = np.linspace(1, 2, len(right))
    gradient = ((left * singular) @ right).reshape(shape)

    kernel = moved(Muon(0.5, kernel_rate=0.2, momentum=0.9), start, gradient)

    scaled = start * np.sqrt(shape[3]) / np.linalg.norm(start)
    update = ((scaled - kernel) / (0.5 * 0.2)).reshape(-1, shape[3])
    inner = left.T @ update @ right.T
    # The same singular vectors, all values near 1: the iteration brings them no closer.
    np.testing.assert_allclose(inner, np.diag(np.diag(inner)), atol=1e-5)
    assert (abs(np.diag(inner) - 1) < 0.35).all()


def test_muon_follows_its_momentum():
    rng = np.random.default_rng(1)
    start, first, second = rng.normal(size=(3, 3, 3, 2, 4))
    two_steps = moved(Muon(0.5, 0.2, momentum=0.9), start, first, second)
    once = moved(Muon(0.5, 0.2, momentum=0.9), start, first)
    # A single step along what momentum and Nesterov's look ahead make of both gradients.
    buffer = 0.9 * first + second
    along = moved(Muon(0.5, 0.2, momentum=1e-9), once, second + 0.9 * buffer)
    np.testing.assert_allclose(two_steps, along, atol=1e-5)


@pytest.mark.parametrize("shape", [(5,), (3, 4)])
def test_muon_is_nesterov_s_sgd_for_all_but_kernels(shape):
    start, *gradients = np.random.default_rng(2).normal(size=(3, *shape))
    muon = moved(Muon(0.1, 0.2, momentum=0.9), start, *gradients)
    sgd = moved(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True), start, *gradients)
    np.testing.assert_allclose(muon, sgd, rtol=1e-6)


def test_muon_comes_back_from_its_config():
    config = Muon(0.1, kernel_rate=0.3, momentum=0.8, weight_decay=0.01).get_config()
    again = Muon.from_config(config)
    assert (again.kernel_rate, again.momentum, again.weight_decay) == (0.3, 0.8, 0.01)


def test_lookahead_by_hand():
    """A weight that grows by 1 a step: 8 steps an epoch, two epochs."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(1.0), lambda y_true, y_pred: -y_pred)
    model.set_weights([np.zeros((1, 1), np.float32)])
    seen = []
    # By way of the callback: in the midst of an epoch JAX's weights are not in the model itself.
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(watch.model.get_weights()[0].item())
    )
    model.fit(np.ones((8, 1)), np.ones((8, 1)), 1, 2, 0, [Lookahead(16), watch])

    def pulled(slow, fast, step):
        return slow + (1 - 0.95**5 * (step / 16) ** 3) * (fast - slow)

    at_5 = pulled(0, 5, 5)
    at_8 = pulled(at_5, at_5 + 3, 8)
    at_13 = pulled(at_8, at_8 + 5, 13)
    at_16 = pulled(at_13, at_13 + 3, 16)
    expected = [1, 2, 3, 4, at_5, at_5 + 1, at_5 + 2, at_8]
    expected += [at_8 + i for i in (1, 2, 3, 4)] + [at_13, at_13 + 1, at_13 + 2, at_16]
    assert seen == pytest.approx(expected, abs=1e-5)
