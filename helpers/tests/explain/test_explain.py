"""Maps against networks small enough to work out by hand, and TensorFlow against PyTorch."""

import importlib.util
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from helpers import explain
from helpers.backend import keras
from helpers.explain import gradients, places
from helpers.explain.inputs import enlarge
from helpers.models import BUILDERS, build
from helpers.models.layers import ClassToken, PositionEmbedding, encoder, patch_tokens

layers = keras.layers

DEFAULT_LAYERS = {
    "cnn_baseline": "conv3",
    "resnet20": "stage3_block3_relu2",
    "fast_cnn": "group3_norm2_gelu",
    "vit": "norm",
    "vit_seqpool": "norm",
    "vit_lite": "block7_norm1",
    "hybrid_token": "conv3",
    "hybrid_dual": "conv4_relu",
    "vit_stem": "norm",
    "cct": "norm",
    "cct_7": "norm",
    "fast_hybrid": "norm",
}
GRIDS = {"fast_cnn": (3, 3), "fast_hybrid": (7, 7), "cct_7": (16, 16)}  # of the others, (8, 8)
CCT_CENTRES = (range(3, 32, 4),) * 2
IMAGES = np.zeros((2, 4, 4, 3), np.uint8)
TOO_LARGE_TO_BUILD = {"resnet18", "vit_128", "efficientnet_lite0"}


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def contrast(pool: int = 1, size: int = 4) -> keras.Model:
    """Two logits, red minus green and green minus red, by a 1x1 convolution ("map").

    The convolution holds red and 2 x green; the dense layer's weights undo the 2.
    """
    inputs = keras.Input((size, size, 3), dtype="uint8")
    x = layers.Rescaling(1.0)(inputs)
    x = layers.AveragePooling2D(pool, name="pool")(x)
    x = layers.Conv2D(2, 1, name="map")(x)
    x = layers.Dropout(0.9, name="dropout")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    model = keras.Model(inputs, layers.Dense(2, name="logits")(x), name="contrast")
    model.get_layer("map").set_weights([np.array([[[[1, 0], [0, 2], [0, 0]]]]), np.zeros(2)])
    model.get_layer("logits").set_weights([np.array([[1, -1], [-0.5, 0.5]]), np.zeros(2)])
    return model


def transformer(
    class_token: bool = True, depth: int = 2, size: int = 8, seed: int = 0, classes: int = 3
) -> keras.Model:
    """A small ViT: patch 2, dimension 4, 2 heads; with a class token or average pooling."""
    inputs = keras.Input((size, size, 3), dtype="uint8")
    x = patch_tokens(layers.Rescaling(1 / 255)(inputs), patch=2, dimension=4)
    if class_token:
        x = ClassToken(name="class_token")(x)
    x = PositionEmbedding(name="positions")(x)
    x = encoder(
        x,
        depth=depth,
        heads=2,
        key_dimension=3,
        mlp_width=5,
        dropout=0.5,
        attention_dropout=0.5,
        qkv_bias=True,
    )
    x = layers.LayerNormalization(name="norm")(x)
    x = x[:, 0] if class_token else layers.GlobalAveragePooling1D(name="average")(x)
    model = keras.Model(inputs, layers.Dense(classes, name="logits")(x), name="transformer")
    # The same on every backend, and larger than first weights, so that no map is nearly uniform.
    generator = np.random.default_rng(seed)
    model.set_weights([generator.normal(size=w.shape) for w in model.get_weights()])
    return model


def output(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """The model's output, whatever it is, called without `predict`, which would compile it."""
    return keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(images), training=False))


def make_attention_uniform(model: keras.Model) -> None:
    for layer in model.layers:
        if layer.name.endswith("_qkv"):
            layer.set_weights([np.zeros_like(values) for values in layer.get_weights()])


def enlarged(maps: np.ndarray, size: int) -> np.ndarray:
    """What the backend itself makes of bilinear enlargement."""
    resized = keras.ops.image.resize(
        keras.ops.convert_to_tensor(maps[..., None].astype(np.float32)),
        (size, size),
        interpolation="bilinear",
        data_format="channels_last",
    )
    return keras.ops.convert_to_numpy(resized)[..., 0]


# --- Grad-CAM -----------------------------------------------------------------------------------


def test_grad_cam_worked_out_by_hand():
    images = pixels(3, 4, 4, 3)
    maps = explain.grad_cam(contrast(), images, np.array([0, 1, 0]), "map")
    # Each of 16 pixels has 1/16 of the dense weights as its gradient: (1, -0.5) / 16 for class 0
    # times (red, 2 green).
    red, green = images[..., 0].astype(float), images[..., 1].astype(float)
    expected = np.maximum((red - green) / 16, 0)
    expected[1] = np.maximum((green - red) / 16, 0)[1]
    assert maps.dtype == np.float32
    assert (expected > 0).any(axis=(1, 2)).all()
    np.testing.assert_allclose(maps, expected, rtol=1e-5)


def test_grad_cam_is_enlarged_between_the_centres_of_cells():
    images = np.zeros((1, 4, 4, 3), np.uint8)
    images[0, :2, :2, 0], images[0, :2, 2:, 0], images[0, 2:, :2, 0] = 160, 80, 40
    maps = explain.grad_cam(contrast(pool=2), images, 0)
    # Four cells of (160, 80; 40, 0) / 4, whose centres lie between the pixels.
    between = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    expected = between @ np.array([[40.0, 20.0], [10.0, 0.0]]) @ between.T
    np.testing.assert_allclose(maps[0], expected, rtol=1e-6)


def test_grad_cam_leaves_paths_around_the_layer_out_of_its_gradient():
    inputs = keras.Input((3, 3, 3), dtype="uint8")
    first = layers.Conv2D(1, 1, name="first")(layers.Rescaling(1.0)(inputs))
    second = layers.Conv2D(1, 1, name="second")(first)
    x = layers.GlobalAveragePooling2D()(layers.Add(name="sum")([first, second]))
    model = keras.Model(inputs, layers.Dense(2, name="logits")(x))
    model.get_layer("first").set_weights([np.array([[[[1], [0], [0]]]]), np.zeros(1)])
    model.get_layer("second").set_weights([np.array([[[[3]]]]), np.zeros(1)])
    model.get_layer("logits").set_weights([np.array([[2, 0]]), np.zeros(2)])
    images = pixels(2, 3, 3, 3)
    red = images[..., 0].astype(float)
    gradients = {"sum": (2 / 9, 4 * red), "second": (2 / 9, 3 * red), "first": (8 / 9, red)}
    for name, (gradient, activation) in gradients.items():
        maps = explain.grad_cam(model, images, 0, name)
        np.testing.assert_allclose(maps, gradient * activation, rtol=1e-5)


def test_grad_cam_drops_the_class_token_and_keeps_the_patches_in_order():
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    x = patch_tokens(layers.Rescaling(1.0)(inputs), patch=2, dimension=1)
    x = ClassToken(name="class_token")(x)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(2, name="logits")(x))
    red_of_patch = np.zeros((2, 2, 3, 1))
    red_of_patch[:, :, 0] = 0.25
    model.get_layer("patches").set_weights([red_of_patch, np.zeros(1)])
    model.get_layer("class_token").set_weights([np.full((1, 1, 1), 1e6)])
    model.get_layer("logits").set_weights([np.array([[17, 0]]), np.zeros(2)])
    images = pixels(2, 8, 8, 3)
    patches = images[..., 0].reshape(2, 4, 2, 4, 2).mean(axis=(2, 4))
    for name in ("class_token", "tokens"):  # 17 tokens, and 16 before the class token
        assert places.grid_size(model, name) == (4, 4)
        maps = explain.grad_cam(model, images, 0, name)
        np.testing.assert_allclose(maps, enlarged(patches, 8), rtol=1e-5)


@pytest.mark.parametrize("class_token", [True, False])
def test_grad_cam_of_a_transformer_agrees_with_finite_differences(class_token):
    model = transformer(class_token)
    image, label, step = pixels(1, 8, 8, 3), 1, 0.02
    table = model.get_layer("positions").table
    start = keras.ops.convert_to_numpy(table).copy()
    patches = slice(1, None) if class_token else slice(None)

    def logit(channel, shift):
        # Shifting the patches' rows of the table shifts their activation after it.
        shifted = start.copy()
        shifted[:, patches, channel] += shift
        table.assign(shifted)
        return output(model, image)[0, label]

    slopes = [(logit(i, step) - logit(i, -step)) / (2 * step) for i in range(4)]
    table.assign(start)
    tokens = keras.Model(model.input, model.get_layer("positions").output)
    activation = output(tokens, image)[:, patches].reshape(1, 4, 4, 4)
    expected = np.maximum(activation @ (np.array(slopes) / 16), 0)
    maps = explain.grad_cam(model, image, label, "positions")
    np.testing.assert_allclose(maps, enlarged(expected, 8), atol=0.01 * expected.max())
    assert expected.max() > 10 * np.abs(expected).min()


def test_the_result_does_not_depend_on_batches_or_earlier_calls(monkeypatch):
    model, images, labels = transformer(), pixels(5, 8, 8, 3), np.array([0, 1, 2, 1, 0])
    before = model.get_config(), output(model, images), model.get_weights()
    maps = explain.grad_cam(model, images, labels)
    rollout = explain.attention_rollout(model, images)
    weights = explain.attention_weights(model, images)
    smooth = explain.smooth_gradient(model, images, labels, 3)
    occluded = explain.occlusion(model, images, labels, 4, 2)
    monkeypatch.setattr("helpers.explain.inputs.BATCH", 2)
    again = explain.smooth_gradient(model, images, labels, 3)
    np.testing.assert_allclose(again, smooth, rtol=1e-3)
    again = explain.occlusion(model, images, labels, 4, 2)
    np.testing.assert_allclose(again, occluded, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(explain.grad_cam(model, images, labels), maps, rtol=1e-4)
    np.testing.assert_allclose(explain.attention_rollout(model, images), rollout, rtol=1e-4)
    for whole, parts in zip(weights, explain.attention_weights(model, images), strict=True):
        np.testing.assert_allclose(parts, whole, rtol=1e-4)
    assert model.get_config() == before[0]
    np.testing.assert_allclose(output(model, images), before[1], rtol=1e-5)
    for now, then in zip(model.get_weights(), before[2], strict=True):
        np.testing.assert_array_equal(now, then)


def test_one_label_serves_all_images():
    model, images = contrast(), pixels(2, 4, 4, 3)
    np.testing.assert_array_equal(
        explain.grad_cam(model, images, 1), explain.grad_cam(model, images, np.array([1, 1]))
    )


def test_only_the_image_without_a_map_is_nan():
    images = pixels(3, 4, 4, 3)
    images[1, ..., 0] = 0  # no red anywhere: nothing speaks for class 0
    alone = explain.grad_cam(contrast(pool=2), images[[0, 2]], 0)
    maps = explain.grad_cam(contrast(pool=2), images, 0)
    assert np.isnan(maps[1]).all()
    np.testing.assert_allclose(maps[[0, 2]], alone, rtol=1e-6)


def test_an_image_that_overflows_does_not_spoil_its_neighbours():
    model, images = contrast(pool=2), np.zeros((3, 4, 4, 3), np.uint8)
    model.get_layer("map").set_weights([np.array([[[[1e37, 0], [0, 0], [0, 0]]]]), np.zeros(2)])
    images[:, :2, :2, 0] = np.array([10, 255, 20])[:, None, None]  # 255e37 is no float32
    maps = explain.grad_cam(model, images, 0, "map")
    assert np.isnan(maps[1]).all()
    expected = enlarged(images[[0, 2], ::2, ::2, 0] * (1e37 / 4), 4)
    np.testing.assert_allclose(maps[[0, 2]], expected, rtol=1e-5)


@pytest.mark.parametrize("layer", ["block2_attention", "block2_mlp", "norm"])
def test_patches_that_a_class_token_no_longer_reads_raise(layer):
    with pytest.raises(ValueError, match=f"{layer!r} is zero or not finite for every image"):
        explain.grad_cam(transformer(), pixels(2, 8, 8, 3), 0, layer)


def test_weights_that_are_not_finite_raise():
    model = contrast()
    model.get_layer("logits").set_weights([np.full((2, 2), np.nan), np.zeros(2)])
    with pytest.raises(ValueError, match="'map' is zero or not finite"):
        explain.grad_cam(model, pixels(2, 4, 4, 3), 0, "map")


# --- other weights than Grad-CAM's --------------------------------------------------------------


def by_place() -> keras.Model:
    """Logits (r, -r), r the sum of red over the pixels, each times its own number, 1 to 4.

    The feature map ("map") is (red, 2 x red): only the first channel is read.
    """
    inputs = keras.Input((2, 2, 3), dtype="uint8")
    x = layers.Conv2D(2, 1, name="map")(layers.Rescaling(1.0)(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="logits")(layers.Flatten()(x)))
    model.get_layer("map").set_weights([np.array([[[[1, 2], [0, 0], [0, 0]]]]), np.zeros(2)])
    numbers = np.zeros((4, 2))
    numbers[:, 0] = [1, 2, 3, 4]
    kernel = np.stack([numbers.ravel(), -numbers.ravel()], axis=1)
    model.get_layer("logits").set_weights([kernel, np.zeros(2)])
    return model


def test_hires_cam_takes_each_place_by_its_own_gradient():
    images = pixels(2, 2, 2, 3)
    red = images[..., 0].astype(float)
    maps = explain.hires_cam(by_place(), images, 0)
    np.testing.assert_allclose(maps, red * [[1, 2], [3, 4]], rtol=1e-5)
    np.testing.assert_allclose(explain.grad_cam(by_place(), images, 0), red * 2.5, rtol=1e-5)


def test_hires_cam_is_grad_cam_where_the_map_is_averaged():
    images, labels = pixels(3, 4, 4, 3), np.array([0, 1, 0])
    np.testing.assert_allclose(
        explain.hires_cam(contrast(), images, labels),
        explain.grad_cam(contrast(), images, labels),
        rtol=1e-5,
    )


def test_grad_cam_plus_plus_worked_out_by_hand():
    images = pixels(2, 2, 2, 3)
    red = images[..., 0].astype(float)
    maps = explain.grad_cam_plus_plus(by_place(), images, 0)
    # The second channel has no gradient.  Of the first, place i has the gradient g = i, and weighs
    # g^2 / (2 g^2 + sum(red) g^3) = 1 / (2 + sum(red) i).
    gradient = np.array([1, 2, 3, 4])
    weights = (gradient / (2 + red.sum(axis=(1, 2))[:, None] * gradient)).sum(axis=1)
    np.testing.assert_allclose(maps, red * weights[:, None, None], rtol=1e-5)


def test_grad_cam_plus_plus_passes_over_what_speaks_against_the_class():
    with pytest.raises(ValueError, match="pass uint8"):
        explain.grad_cam_plus_plus(by_place(), IMAGES, 1)
    maps = explain.grad_cam_plus_plus(by_place(), pixels(2, 2, 2, 3), 1)
    assert np.isnan(maps).all()


# --- without a layer ----------------------------------------------------------------------------


@pytest.mark.parametrize(("samples", "noise"), [(1, 0.0), (5, 0.3)])
def test_the_gradient_of_a_linear_model_is_its_weights(samples, noise):
    maps = explain.smooth_gradient(contrast(), pixels(2, 4, 4, 3), 0, samples, noise)
    # Red counts 1/16 and green -1/16, whatever the image.
    np.testing.assert_allclose(maps, np.full((2, 4, 4), 2 / 16), rtol=1e-5)


def test_the_plain_gradient_agrees_with_finite_differences():
    model, image = transformer(size=4), pixels(1, 4, 4, 3) // 2 + 60
    maps = explain.smooth_gradient(model, image, 2, samples=1, noise=0)
    changed = np.repeat(image, 2 * 48, axis=0)
    for i, place in enumerate(np.ndindex(4, 4, 3)):
        changed[(2 * i, *place)] += 1
        changed[(2 * i + 1, *place)] -= 1
    logits = output(model, changed)[:, 2]
    slopes = ((logits[::2] - logits[1::2]) / 2).reshape(4, 4, 3)
    expected = np.abs(slopes).sum(axis=2)
    np.testing.assert_allclose(maps[0], expected, atol=0.02 * expected.max())


def test_noise_is_averaged_before_the_size_is_taken():
    model, images = transformer(size=4), pixels(2, 4, 4, 3)
    plain = explain.smooth_gradient(model, images, 0, 1, 0)
    smooth = explain.smooth_gradient(model, images, 0, 8, 0.2, seed=1)
    assert not np.allclose(smooth, plain, rtol=0.1)
    copy = gradients.with_float_input(model)
    shifts = np.random.default_rng(1).normal(0, 255 * 0.2, (8, 4, 4, 3))
    slopes = np.array(
        [
            gradients.at_pixels(copy, images + shift.astype(np.float32), np.zeros(2, int))
            for shift in shifts
        ]
    )
    np.testing.assert_allclose(smooth, np.abs(slopes.mean(axis=0)).sum(axis=3), rtol=1e-4)
    assert not np.allclose(smooth, np.abs(slopes).mean(axis=0).sum(axis=3), rtol=0.1)
    np.testing.assert_array_equal(explain.smooth_gradient(model, images, 0, 8, 0.2, seed=1), smooth)
    again = explain.smooth_gradient(model, images, 0, 8, 0.2, seed=2)
    assert not np.allclose(again, smooth, rtol=0.01)


def test_occlusion_worked_out_by_hand():
    images = np.zeros((1, 4, 4, 3), np.uint8)
    images[0, 0, 0, 0] = 160  # mean red is 10
    maps = explain.occlusion(contrast(), images, 0, size=2, stride=2)
    # Covered, the first square has 4 x 10 red in place of 160, each other 40 in place of none.
    expected = np.full((4, 4), -40 / 16)
    expected[:2, :2] = 120 / 16
    np.testing.assert_allclose(maps[0], expected, rtol=1e-4)


def test_occlusions_squares_overlap_and_reach_the_sides():
    images = np.zeros((1, 5, 5, 3), np.uint8)
    images[0, 4, 4, 0] = 250  # mean red is 10
    maps = explain.occlusion(contrast(size=5), images, 0, size=2, stride=2)
    # Squares start at 0, 2 and 3: the last pixel is in one of them, its neighbour in two.
    corner, other = (250 - 4 * 10) / 25, -4 * 10 / 25
    np.testing.assert_allclose(maps[0, 4, 4], corner, rtol=1e-4)
    np.testing.assert_allclose(maps[0, 3, 3], (corner + 3 * other) / 4, rtol=1e-4)
    np.testing.assert_allclose(maps[0, :3, :3], other, rtol=1e-4)


@pytest.mark.parametrize(("size", "stride"), [(5, 1), (2, 3), (0, 0)])
def test_occlusion_refuses_squares(size, stride):
    with pytest.raises(ValueError, match="pass 1 <= stride <= size <= 4"):
        explain.occlusion(contrast(), IMAGES, 0, size, stride)


@pytest.mark.parametrize(("samples", "noise"), [(0, 0.1), (3, -0.1)])
def test_smooth_gradient_refuses_samples_and_noise(samples, noise):
    with pytest.raises(ValueError, match="pass at least 1, and 0 or more"):
        explain.smooth_gradient(contrast(), IMAGES, 0, samples, noise)


# --- layers -------------------------------------------------------------------------------------


def test_each_architecture_has_its_default_layer_here():
    assert set(DEFAULT_LAYERS) | TOO_LARGE_TO_BUILD == set(BUILDERS)


@pytest.mark.parametrize("name", DEFAULT_LAYERS)
def test_default_layers(name):
    model = build(name)
    assert places.default_layer(model) == DEFAULT_LAYERS[name]
    assert places.grid_size(model) == GRIDS.get(name, (8, 8))


@pytest.mark.parametrize(("class_token", "layer"), [(True, "block2_norm1"), (False, "norm")])
def test_default_layer_is_the_last_that_the_logits_read_all_of(class_token, layer):
    model = transformer(class_token)
    assert places.default_layer(model) == layer
    assert places.grid_size(model) == (4, 4)


def test_a_hybrids_other_branch_can_be_named():
    assert places.grid_size(build("hybrid_dual"), "block6_norm1") == (8, 8)


def flat() -> keras.Model:
    inputs = keras.Input((4, 4, 3), dtype="uint8")
    return keras.Model(
        inputs, layers.Dense(2, name="logits")(layers.Flatten()(inputs)), name="flat"
    )


def test_a_model_without_maps_has_no_default_layer():
    with pytest.raises(ValueError, match="model 'flat' has neither a feature map nor"):
        places.default_layer(flat())


def test_tokens_that_are_no_square_are_refused():
    inputs = keras.Input((4, 4, 3), dtype="uint8")
    x = layers.Conv2D(3, 1)(layers.Rescaling(1.0)(inputs))
    x = layers.Reshape((24, 2), name="tokens")(x)
    x = layers.Reshape((16, 3), name="sixteen")(x)
    x = layers.ZeroPadding1D((0, 1), name="seventeen")(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    for name in ("tokens", "seventeen"):  # 17 tokens, but none of them a class token
        with pytest.raises(ValueError, match=f"{name!r} has no feature map or square of tokens"):
            places.grid_size(model, name)
    assert places.grid_size(model, "sixteen") == (4, 4)


# --- attention ----------------------------------------------------------------------------------


def test_attention_weights_worked_out_with_numpy():
    model, images = transformer(depth=1), pixels(2, 8, 8, 3)
    (weights,) = explain.attention_weights(model, images)
    tokens = output(keras.Model(model.input, model.get_layer("block1_norm1").output), images)
    kernel, bias = model.get_layer("block1_qkv").get_weights()
    expected = np.empty((2, 2, 17, 17))
    for head in range(2):
        query = tokens @ kernel[:, 3 * head : 3 * head + 3] + bias[3 * head : 3 * head + 3]
        key = tokens @ kernel[:, 6 + 3 * head : 9 + 3 * head] + bias[6 + 3 * head : 9 + 3 * head]
        exponentials = np.exp(query @ key.transpose(0, 2, 1) / np.sqrt(3))
        expected[:, head] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, rtol=1e-3)
    assert expected.std() > 0.01


def test_attention_weights_come_block_by_block():
    model, images = transformer(depth=3), pixels(2, 8, 8, 3)
    found = explain.attention_weights(model, images)
    assert len(found) == 3
    for block, weights in enumerate(found, start=1):
        layer = model.get_layer(f"block{block}_attention_weights")
        expected = output(keras.Model(model.input, layer.output), images)
        np.testing.assert_allclose(weights, expected, rtol=1e-4)


def test_attention_distance_worked_out_by_hand():
    # Four patches of 8 pixels in a square: 8 to a neighbour, 8 * sqrt(2) across.
    own, across, uniform = np.eye(4), np.eye(4)[::-1], np.full((4, 4), 0.25)
    weights = np.array([[own, across, uniform], [own, own, uniform]])
    expected = [0, 8 * np.sqrt(2) / 2, (8 + 8 + 8 * np.sqrt(2)) / 4]
    np.testing.assert_allclose(explain.attention_distance(weights, 8, (2, 2)), expected)


def test_attention_distance_on_three_rows():
    weights = np.zeros((1, 1, 9, 9))
    weights[..., 0] = 1  # every token looks at the first
    sides = [0, 1, 2, 1, np.sqrt(2), np.sqrt(5), 2, np.sqrt(5), np.sqrt(8)]
    found = explain.attention_distance(weights, 4, (3, 3))
    np.testing.assert_allclose(found, [4 * np.mean(sides)])


def test_attention_distance_of_an_image_that_is_no_square():
    weights = np.zeros((1, 1, 16, 16))
    weights[..., 0] = 1  # every token looks at the first
    expected = [4 * np.mean([np.hypot(row, column) for row in (0, 1) for column in range(8)])]
    np.testing.assert_allclose(explain.attention_distance(weights, 4, (2, 8)), expected)


def test_attention_distance_refuses_a_class_token():
    with pytest.raises(ValueError, match="leave out a class token"):
        explain.attention_distance(np.full((1, 2, 5, 5), 0.2), 4, (2, 2))


@pytest.mark.parametrize("class_token", [True, False])
def test_rollout_follows_the_tokens_back_through_the_blocks(class_token):
    model, images = transformer(class_token), pixels(2, 8, 8, 3)
    maps = explain.attention_rollout(model, images)
    first, second = explain.attention_weights(model, images)
    tokens = 17 if class_token else 16
    for image, result in enumerate(maps):
        # From the end: who reads the tokens, then who the second block's tokens read, then the
        # first block's.
        share = np.eye(tokens)[0] if class_token else np.full(tokens, 1 / tokens)
        for weights in (second[image], first[image]):
            share = (share + share @ (weights[0] + weights[1]) / 2) / 2
        expected = share[-16:].reshape(1, 4, 4)
        np.testing.assert_allclose(result, enlarged(expected, 8)[0], rtol=1e-4)
        assert expected.max() > 1.1 * expected.min()


@pytest.mark.parametrize(("class_token", "expected"), [(True, 0.75 / 17), (False, 1 / 16)])
def test_uniform_attention_gives_a_uniform_map(class_token, expected):
    model = transformer(class_token)
    make_attention_uniform(model)
    # Two blocks of (I + U) / 2, U = 1/T everywhere: I / 4 + 3 U / 4.
    maps = explain.attention_rollout(model, pixels(2, 8, 8, 3))
    np.testing.assert_allclose(maps, np.full((2, 8, 8), expected), rtol=1e-5)


def test_rollout_weighs_tokens_as_sequence_pooling_does():
    model, images = build("cct"), pixels(2, 32, 32, 3)
    make_attention_uniform(model)
    pooling = model.get_layer("pooled_tokens")
    kernel = np.random.default_rng(1).normal(size=(128, 1)).astype(np.float32)
    pooling.set_weights([kernel, np.zeros(1)])
    tokens = output(keras.Model(model.input, model.get_layer("norm").output), images)
    exponentials = np.exp((tokens @ kernel)[..., 0])
    pooled = exponentials / exponentials.sum(axis=1, keepdims=True)
    expected = (pooled / 4 + 0.75 / 64).reshape(2, 8, 8)
    maps = explain.attention_rollout(model, images)
    np.testing.assert_allclose(maps, enlarge(expected, (32, 32), CCT_CENTRES), rtol=1e-3)
    assert pooled.max() > 2 * pooled.min()


@pytest.mark.parametrize("class_token", [True, False])
def test_gradient_weighted_attention_agrees_with_finite_differences(class_token):
    model, image, label = transformer(class_token, size=4), pixels(1, 4, 4, 3), 1
    tokens = 5 if class_token else 4
    relevance = np.eye(tokens)
    for block, weights in enumerate(explain.attention_weights(model, image), start=1):
        # From this block's weights on, with each of them moved up and down.
        at = model.get_layer(f"block{block}_attention_weights").output
        rest = keras.Model([model.input, at], model.output)
        steps = np.zeros((2 * weights.size, *weights.shape[1:]), np.float32)
        for i, place in enumerate(np.ndindex(weights.shape[1:])):
            steps[(2 * i, *place)], steps[(2 * i + 1, *place)] = 0.01, -0.01
        inputs = [np.repeat(image, len(steps), axis=0), weights + steps]
        logits = keras.ops.convert_to_numpy(
            rest([keras.ops.convert_to_tensor(x) for x in inputs], training=False)
        )[:, label]
        slopes = ((logits[::2] - logits[1::2]) / 0.02).reshape(weights.shape[1:])
        positive = np.maximum(weights[0] * slopes, 0)
        relevance = relevance + (positive[0] + positive[1]) / 2 @ relevance
    relevance -= np.eye(tokens)
    expected = relevance[0, 1:] if class_token else relevance.mean(axis=0)
    maps = explain.gradient_weighted_attention(model, image, label)
    np.testing.assert_allclose(
        maps, enlarged(expected.reshape(1, 2, 2), 4), atol=0.02 * expected.max()
    )
    assert expected.max() > 1.1 * expected.min()


def test_gradient_weighted_attention_asks_for_a_class():
    model, images = transformer(), pixels(4, 8, 8, 3)
    maps = [explain.gradient_weighted_attention(model, images, label) for label in range(3)]
    assert not np.allclose(maps[0], maps[1], rtol=0.1)
    rollouts = [explain.attention_rollout(model, images, label) for label in range(3)]
    np.testing.assert_array_equal(rollouts[0], rollouts[1])


# --- reference maps -----------------------------------------------------------------------------


def test_normalise():
    maps = np.array([[[1, 3], [2, 5]], [[7, 7], [7, 7]], [[np.nan] * 2] * 2])
    scaled = explain.normalise(maps)
    expected = [[[0, 0.5], [0.25, 1]], [[0, 0], [0, 0]], [[np.nan] * 2] * 2]
    np.testing.assert_array_equal(scaled, np.array(expected, np.float32))


def test_centre_gaussian():
    even, odd = explain.centre_gaussian((4, 6), sigma=2), explain.centre_gaussian((3, 3), sigma=1)
    assert even.shape == (4, 6)
    assert even[0, 0] == pytest.approx(np.exp(-(1.5**2 + 2.5**2) / 8))
    np.testing.assert_array_equal(even, even[::-1, ::-1])
    np.testing.assert_allclose(odd[1], [np.exp(-0.5), 1, np.exp(-0.5)], rtol=1e-6)


def test_random_maps_are_as_coarse_as_asked():
    maps = explain.random_maps(3, (8, 12), seed=1, grid=(4, 3))
    assert maps.shape == (3, 8, 12)
    assert maps.dtype == np.float32
    noise = np.random.default_rng(1).random((3, 4, 3), dtype=np.float32)
    # The four pixels around the centre of cell (1, 1): 1/4 of its rows and 1/8 of its columns away.
    rows = np.array([[0.25, 0.75, 0, 0], [0, 0.75, 0.25, 0]])
    columns = np.array([[0.125, 0.875, 0], [0, 0.875, 0.125]])
    np.testing.assert_allclose(maps[:, 2:4, 5:7], rows @ noise @ columns.T, rtol=1e-5)
    assert not np.allclose(maps, explain.random_maps(3, (8, 12), seed=2, grid=(4, 3)))
    np.testing.assert_array_equal(maps, explain.random_maps(3, (8, 12), seed=1, grid=(4, 3)))


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "labels", "layer", "message"),
    [
        (IMAGES / 255, 0, None, r"float64 \(2, 4, 4, 3\): pass uint8 \(N, 4, 4, 3\)"),
        (IMAGES[0], 0, None, r"uint8 \(4, 4, 3\): pass uint8 \(N, 4, 4, 3\)"),
        (IMAGES[:, :2], 0, None, r"\(2, 2, 4, 3\): pass uint8"),
        (IMAGES[:0], 0, None, "at least one"),
        (IMAGES, 2, None, "2 to 2: model 'contrast' has the classes 0 to 1"),
        (IMAGES, [0, -1], None, "-1 to 0: model"),
        (IMAGES, [0], None, r"int64 \(1,\) for 2 images: pass one int, or ints \(2,\)"),
        (IMAGES, 0.0, None, "float64"),
        (IMAGES, [True, False], None, "bool"),
        (IMAGES, 0, "conv9", "no layer 'conv9': choose from map, dropout$"),
        (IMAGES, 0, "average", "'average' has no feature map or square of tokens"),
        (IMAGES, 0, "logits", "'logits' has no feature map"),
        (IMAGES, 0, "pool", "'pool' has no .* after a trained weight: choose from map, dropout$"),
    ],
)
def test_grad_cam_refuses(images, labels, layer, message):
    with pytest.raises(ValueError, match=message):
        explain.grad_cam(contrast(), images, labels, layer)


@pytest.mark.parametrize("layer", ["block1_attention_weights", "block1_attention_dropout"])
def test_attention_weights_are_no_feature_map(layer):
    with pytest.raises(ValueError, match=f"'{layer}' has no feature map") as caught:
        places.grid_size(transformer(), layer)
    usable = str(caught.value).split("choose from ")[1].split(", ")
    assert usable[:5] == ["patches", "tokens", "class_token", "positions", "block1_norm1"]
    assert not any("weights" in name or "attention_dropout" in name for name in usable)


def test_pixels_themselves_have_no_gradient():
    model = contrast()
    with pytest.raises(ValueError, match="has no feature map"):
        explain.grad_cam(model, IMAGES, 0, model.layers[0].name)


@pytest.mark.parametrize("method", explain.METHODS.values(), ids=explain.METHODS)
@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 8, 8, 3)), 0, r"float64 \(2, 8, 8, 3\): pass uint8 \(N, 8, 8, 3\)"),
        (IMAGES, 0, r"\(2, 4, 4, 3\): pass uint8 \(N, 8, 8, 3\)"),
        (np.zeros((2, 8, 8, 3), np.uint8), 3, "model 'transformer' has the classes 0 to 2"),
        (np.zeros((2, 8, 8, 3), np.uint8), [0], r"pass one int, or ints \(2,\)"),
    ],
)
def test_every_method_refuses_unfit_input(method, images, labels, message):
    with pytest.raises(ValueError, match=message):
        method(transformer(), images, labels)


@pytest.mark.parametrize("method", explain.METHODS.values(), ids=explain.METHODS)
def test_every_method_gives_maps_alike(method):
    model, images = transformer(class_token=False), pixels(3, 8, 8, 3)
    before = model.get_config(), model.get_weights()
    maps = method(model, images, np.array([0, 1, 2]))
    assert maps.dtype == np.float32
    assert maps.shape == (3, 8, 8)
    assert not explain.is_dead(maps).all()
    assert model.get_config() == before[0]
    for now, then in zip(model.get_weights(), before[1], strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("method", explain.METHODS.values(), ids=explain.METHODS)
def test_weights_that_are_not_finite_leave_no_map(method):
    model = transformer(class_token=False)
    model.set_weights([np.full_like(values, np.nan) for values in model.get_weights()])
    if method in (explain.occlusion, explain.attention_rollout):
        assert explain.is_dead(method(model, pixels(2, 8, 8, 3), 0)).all()
    else:
        with pytest.raises(ValueError, match="is zero or not finite for every image"):
            method(model, pixels(2, 8, 8, 3), 0)


def test_methods_of_attention_are_for_models_with_attention():
    assert set(explain.methods(transformer())) == set(explain.METHODS)
    without = set(explain.METHODS) - set(explain.methods(contrast()))
    assert without == {"Attention rollout", "Attention x gradient"}


def test_a_backend_without_gradient_is_named(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(NotImplementedError, match="on jax: restart with KERAS_BACKEND=tensorflow"):
        explain.grad_cam(contrast(), IMAGES, 0)


def test_a_single_cell_is_no_map():
    with pytest.raises(ValueError, match="'map' has no feature map"):
        explain.grad_cam(contrast(pool=4), IMAGES, 0, "map")


@pytest.mark.parametrize(
    "function",
    [
        explain.attention_weights,
        explain.attention_rollout,
        partial(explain.gradient_weighted_attention, labels=0),
    ],
)
def test_a_model_without_attention_is_refused(function):
    with pytest.raises(ValueError, match="'contrast' has no AttentionWeights layer"):
        function(contrast(), IMAGES)
    with pytest.raises(ValueError, match="pass uint8"):
        function(transformer(), IMAGES)


def two_outputs():
    model = contrast()
    return keras.Model(model.input, [model.output, model.output], name="two")


def one_input_in_a_list():
    model = contrast()
    return keras.Model([model.input], model.output, name="listed")


def nested():
    inputs = keras.Input((4, 4, 3), dtype="uint8")
    return keras.Model(inputs, layers.Dense(2)(contrast()(inputs)), name="outer")


def ends_in(layer):
    model = contrast()
    return keras.Model(model.input, layer(model.output), name="probable")


def by_exponentials(x):
    x = keras.ops.exp(x - keras.ops.max(x, axis=1, keepdims=True))
    return x / keras.ops.sum(x, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("build_model", "message"),
    [
        (lambda: keras.Sequential([layers.Input((4, 4, 3)), layers.Flatten()]), "not functional"),
        (keras.Sequential, "not functional"),
        (two_outputs, "'two' has lists or several inputs or outputs"),
        (one_input_in_a_list, "'listed' has lists"),
        (nested, "'outer' has models for layers, contrast: call their layers"),
        (lambda: ends_in(layers.Softmax(name="p")), "'probable' ends in probabilities, 'p'"),
        (lambda: ends_in(layers.Dense(2, "softmax", name="q")), "probabilities, 'q': take its"),
        (lambda: ends_in(layers.Activation("sigmoid", name="r")), "probabilities, 'r'"),
        (lambda: ends_in(keras.ops.softmax), "probabilities, 'softmax"),
        (lambda: ends_in(keras.ops.sigmoid), "probabilities, 'sigmoid"),
        (lambda: ends_in(layers.Activation("hard_sigmoid", name="h")), "probabilities, 'h'"),
        (lambda: ends_in(lambda x: layers.Reshape((2,))(keras.ops.sigmoid(x))), "probabilities"),
        (lambda: ends_in(lambda x: layers.Rescaling(0.9)(keras.ops.sigmoid(x))), "probabilities"),
        (lambda: ends_in(lambda x: layers.Rescaling(100)(keras.ops.softmax(x))), "probabilities"),
        (lambda: ends_in(lambda x: keras.ops.softmax(x) / 2), "probabilities"),
        (lambda: ends_in(layers.Lambda(keras.ops.softmax, name="l")), "probabilities, 'l'"),
        (lambda: ends_in(keras.ops.hard_sigmoid), "probabilities, 'hard_sigmoid"),
        (
            lambda: ends_in(lambda x: layers.Activation("linear")(keras.ops.sigmoid(x))),
            "ends in probabilities",
        ),
        (
            lambda: ends_in(lambda x: keras.ops.cast(keras.ops.sigmoid(x), "float16")),
            "ends in probabilities",
        ),
        (lambda: ends_in(keras.ops.log_softmax), "logarithms of probabilities, 'log_softmax"),
        (lambda: ends_in(by_exponentials), "ends in probabilities"),
        (lambda: ends_in(lambda x: layers.Dropout(0.1, name="s")(keras.ops.softmax(x))), "'s'"),
    ],
)
def test_models_that_cannot_be_explained_are_refused(build_model, message):
    with pytest.raises(ValueError, match=message):
        explain.grad_cam(build_model(), IMAGES, 0)


def test_small_logits_of_two_classes_are_no_probabilities():
    inputs = keras.Input((4, 4, 3), dtype="uint8")
    x = layers.Conv2D(2, 1, name="conv")(layers.Rescaling(1 / 255)(inputs))
    outputs = layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs)
    model.get_layer("logits").set_weights([np.eye(2) / 100, np.array([0.3, 0.4])])
    assert explain.grad_cam(model, pixels(2, 4, 4, 3), 0).shape == (2, 4, 4)


def test_a_method_without_a_gradient_has_dead_maps_and_other_errors_pass():
    model, images = transformer(class_token=True), pixels(2, 8, 8, 3)
    at_the_end = partial(explain.grad_cam, layer="norm")  # only the class token is read after it
    with pytest.raises(explain.NoGradient):
        at_the_end(model, images, 0)
    maps = explain.maps_or_dead(at_the_end, model, images, 0)
    assert maps.shape == (2, 8, 8)
    assert explain.is_dead(maps).all()
    with pytest.raises(ValueError, match="labels go from 9 to 9"):
        explain.maps_or_dead(at_the_end, model, images, 9)


def test_a_layer_with_several_outputs_is_no_place():
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    x = layers.Conv2D(4, 2, 2, name="patches")(layers.Rescaling(1 / 255)(inputs))
    tokens = layers.Reshape((16, 4))(x)
    attention = layers.MultiHeadAttention(2, 2, name="two")
    y, _ = attention(tokens, tokens, return_attention_scores=True)
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(y)))
    assert places.default_layer(model) == "patches"
    with pytest.raises(ValueError, match="layer 'two' has no feature map"):
        places.target(model, "two")


def test_a_frozen_model_is_told_to_thaw():
    model = contrast()
    model.trainable = False
    with pytest.raises(ValueError, match="trainable = True"):
        explain.grad_cam(model, IMAGES, 0)


@pytest.mark.parametrize("class_token", [False, True])
@pytest.mark.parametrize("size", [(4, 16), (16, 4), (8, 8), (8, 12)])
def test_tokens_keep_the_proportions_of_the_image(size, class_token):
    """The tokens are the red of 2 x 2 patches: the map is that red."""
    height, width = size
    inputs = keras.Input((height, width, 3), dtype="uint8")
    x = layers.Rescaling(1.0)(inputs)
    x = layers.AveragePooling2D(2)(x)
    x = layers.Conv2D(1, 1, use_bias=False, name="red")(x)
    x = layers.Reshape((height * width // 4, 1))(x)
    if class_token:
        x = ClassToken(name="class_token")(x)
    x = layers.Identity(name="tokens")(x)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(1, use_bias=False, name="logits")(x))
    model.get_layer("red").set_weights([np.array([[[[1.0], [0], [0]]]])])
    model.get_layer("logits").set_weights([np.ones((1, 1))])
    rows, columns = height // 2, width // 2
    red = np.random.default_rng(0).integers(1, 256, (1, rows, columns), dtype=np.uint8)
    images = np.zeros((1, height, width, 3), np.uint8)
    images[..., 0] = red.repeat(2, axis=1).repeat(2, axis=2)
    assert places.grid_size(model, "tokens") == (rows, columns)
    maps = explain.hires_cam(model, images, 0, "tokens")
    expected = enlarge(red.astype(float), size, places.even_centres((rows, columns), size))
    expected /= rows * columns + class_token
    np.testing.assert_allclose(maps, expected, rtol=1e-4)


def test_rollout_refuses_tokens_that_are_no_grid():
    inputs = keras.Input((4, 4, 3), dtype="uint8")
    x = layers.Reshape((24, 2))(layers.Rescaling(1 / 255)(inputs))
    x = encoder(
        x,
        depth=1,
        heads=1,
        key_dimension=2,
        mlp_width=2,
        dropout=0.0,
        attention_dropout=0.0,
        qkv_bias=False,
    )
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)), name="odd")
    with pytest.raises(ValueError, match="24 tokens of model 'odd' are no grid"):
        explain.attention_rollout(model, IMAGES)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: explain.centre_gaussian(sigma=0), "sigma is 0"),
        (lambda: explain.random_maps(0), "at least 1 map"),
        (lambda: explain.random_maps(1, grid=(0, 8)), "at least 1 map, row and column"),
    ],
)
def test_reference_maps_refuse(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- the other backend --------------------------------------------------------------------------

CASES = {  # name of a model -> layer
    "cnn_baseline": "conv3",
    "resnet20": "stage2_block1_relu1",
    "hybrid_dual": "block6_norm1",
    "cct": "block2_norm1",
    "fast_hybrid": "block2_norm1",
}
ON_THE_OTHER_BACKEND = """
import sys
import numpy as np
from helpers import explain
from helpers.explain import places
from helpers.models import build

images = np.load("images.npy")
for case in sys.argv[1:]:
    name, layer = case.split("=")
    model = build(name)
    model.load_weights(f"{name}.weights.h5")
    for title, method in explain.methods(model).items():
        named = {"layer": layer} if "CAM" in title else {}
        np.save(f"{name}_{title}.npy", method(model, images, np.arange(len(images)), **named))
"""


def test_tensorflow_and_pytorch_agree(tmp_path):
    other = "tensorflow" if keras.backend.backend() != "tensorflow" else "torch"
    if importlib.util.find_spec(other) is None:
        pytest.skip(f"{other} is not installed")
    images = pixels(3, 32, 32, 3)
    np.save(tmp_path / "images.npy", images)
    keras.utils.set_random_seed(0)
    models = {name: build(name) for name in CASES}
    for name, model in models.items():
        model.save_weights(tmp_path / f"{name}.weights.h5")
    cases = [f"{name}={layer}" for name, layer in CASES.items()]
    subprocess.run(
        [sys.executable, "-c", ON_THE_OTHER_BACKEND, *cases],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": other},
        check=True,
    )
    for name, layer in CASES.items():
        for title, method in explain.methods(models[name]).items():
            named = {"layer": layer} if "CAM" in title else {}
            maps = method(models[name], images, np.arange(len(images)), **named)
            others = np.load(tmp_path / f"{name}_{title}.npy")
            assert np.isfinite(maps).any()
            scale = np.nanmax(maps)
            np.testing.assert_allclose(
                others / scale, maps / scale, atol=1e-4, err_msg=f"{name} {title}"
            )
