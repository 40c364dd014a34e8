"""The parts of the fast network, by hand."""

import numpy as np
import pytest

from helpers import training
from helpers.backend import keras
from helpers.experiments import Experiment
from helpers.experiments.recipes import Recipe
from helpers.models import build, fast


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.fixture(scope="module")
def adapted(sample):
    model = build("fast_cnn")
    fast.adapt_whitening(model, sample.x_train[:400])
    return model


def test_pixels_of_cifar10_have_mean_0_and_deviation_1(adapted, sample):
    scaled = keras.Model(adapted.input, adapted.get_layer("scale").output)
    pixels = scaled.predict(sample.x_train, verbose=0)
    np.testing.assert_allclose(pixels.mean(axis=(0, 1, 2)), 0, atol=0.05)
    np.testing.assert_allclose(pixels.std(axis=(0, 1, 2)), 1, atol=0.05)


def test_whitened_patches_have_unit_second_moments(adapted, sample):
    whitened = keras.Model(adapted.input, adapted.get_layer("whitening").output)
    outputs = whitened.predict(sample.x_train[:400], verbose=0).reshape(-1, 24).astype(float)
    np.testing.assert_array_equal(outputs[:, 12:], -outputs[:, :12])
    moments = outputs[:, :12].T @ outputs[:, :12] / len(outputs)
    off_diagonal = moments - np.diag(np.diag(moments))
    assert abs(off_diagonal).max() < 1e-2
    # Below 1 only where the eigenvalue is not far above epsilon.
    assert (np.diag(moments) <= 1.001).all()
    assert np.diag(moments).max() > 0.99
    assert np.diag(moments).min() > 0.3


def test_whitening_is_not_trained_and_comes_back_from_a_file(adapted, tmp_path, sample):
    assert adapted.get_layer("whitening").trainable_weights == []
    adapted.save(tmp_path / "fast.keras")
    loaded = keras.models.load_model(tmp_path / "fast.keras")
    images = sample.x_test[:3]
    np.testing.assert_allclose(
        loaded.predict(images, verbose=0), adapted.predict(images, verbose=0), atol=1e-6
    )


@pytest.mark.parametrize("name", ["fast_cnn", "fast_hybrid"])
def test_logits_are_float32_where_layers_compute_in_half_precision(name, sample):
    recipe = Recipe(epochs=1, precision="mixed_bfloat16")
    model = training.new_model(Experiment("cifar10", name, "half", recipe), seed=0)
    assert model.get_layer("group2_conv2").compute_dtype == "bfloat16"
    assert training.predict_logits(model, sample.x_test[:2]).dtype == np.float32


def test_quick_bias_moves_64_times_as_far():
    def moved(layer):
        x = np.ones((2, 3), np.float32)
        model = keras.Sequential([keras.Input((3,)), layer])
        model.compile(keras.optimizers.SGD(0.01), "mse")
        before = model.predict(x, verbose=0)
        model.fit(x, np.zeros((2, 3)), verbose=0)
        return model.predict(x, verbose=0) - before

    class Bias(fast.QuickBias):
        FACTOR = 1.0

    np.testing.assert_allclose(moved(fast.QuickBias()), 64 * moved(Bias()), rtol=1e-4)


def test_partial_identity_passes_on_the_channels():
    x = np.random.default_rng(0).standard_normal((1, 5, 5, 4)).astype(np.float32)
    conv = keras.layers.Conv2D(
        6, 3, padding="same", use_bias=False, kernel_initializer=fast.PartialIdentity()
    )
    result = numpy(conv(x))
    np.testing.assert_allclose(result[..., :4], x, atol=1e-6)
    random = numpy(conv.kernel)[..., 4:]
    limit = np.sqrt(1 / (9 * 4))
    assert abs(random).max() < limit
    assert abs(random).max() > 0.8 * limit


def test_head_is_scaled_down(adapted, sample):
    both = keras.Model(
        adapted.input,
        [adapted.get_layer(name).output for name in ("unscaled_logits", "logits")],
    )
    unscaled, logits = both.predict(sample.x_test[:3], verbose=0)
    np.testing.assert_allclose(9 * logits, unscaled, rtol=1e-5, atol=1e-6)
