"""Centres of receptive fields: by hand for the study's models, by trial for single layers."""

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from helpers import explain, models
from helpers.backend import keras
from helpers.explain import audit, fields, places
from helpers.explain.inputs import enlarge
from helpers.models.layers import ClassToken, PadShortcut

layers = keras.layers
build = cache(models.build)

EVENLY = (1.5, 5.5, 9.5, 13.5, 17.5, 21.5, 25.5, 29.5)  # middles of 4 x 4 patches
EVERY_FOURTH = tuple(float(i) for i in range(0, 32, 4))

# Model, layer (None: its default), centres of its rows and of its columns.
BY_HAND = [
    # Max-pooling 2 x 2 halves twice: (0, 1), then (0..3): 1.5.
    ("cnn_baseline", None, EVENLY),
    ("cnn_baseline", "conv2", tuple(2 * i + 0.5 for i in range(16))),
    # Padded on both sides, a 3 x 3 convolution of stride 2 has its middle on every second pixel.
    ("resnet20", None, EVERY_FOURTH),
    ("resnet20", "stage2_block1_shortcut", tuple(range(0, 32, 2))),
    # Whitening 2 x 2: 0.5; pooled 31 -> 15 -> 7 -> 3: 1, 2, 4, the last row and column dropped.
    ("fast_cnn", "group1_norm2_gelu", tuple(range(1, 30, 2))),
    ("fast_cnn", "group2_norm2_gelu", tuple(range(2, 27, 4))),
    ("fast_cnn", None, (4, 12, 20)),
    ("fast_hybrid", None, tuple(range(2, 27, 4))),
    ("vit", None, EVENLY),
    ("vit", "patches", EVENLY),
    ("vit_lite", None, EVENLY),  # behind a class token
    ("hybrid_token", None, EVENLY),
    ("hybrid_token", "token_embedding", (3.5, 11.5, 19.5, 27.5)),  # 2 x 2 cells each
    ("hybrid_dual", None, EVENLY),
    ("hybrid_dual", "block6_norm1", EVENLY),
    # "same" pads an even side only at its end: windows 0..2, then 0..6.
    ("cct", "pool1", tuple(range(1, 32, 2))),
    ("cct", None, tuple(range(3, 32, 4))),
    ("vit_stem", None, tuple(range(3, 32, 4))),
    ("cct_7", None, tuple(range(1, 32, 2))),
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("name", "layer", "expected"), BY_HAND)
def test_centres_worked_out_by_hand(name, layer, expected):
    rows, columns = places.centres(build(name), layer)
    assert rows == columns == tuple(expected)


def of_size(size, *stack):
    """A model on images of one channel, and its last map."""
    inputs = x = keras.Input((*size, 1), dtype="uint8")
    x = layers.Rescaling(1.0)(x)
    for layer in stack:
        x = layer(x)
    return keras.Model(inputs, x), x


def ones(**settings):
    return layers.Conv2D(1, kernel_initializer="ones", **settings)


STACKS = [
    lambda: [ones(kernel_size=3, strides=2, padding="same")],
    lambda: [ones(kernel_size=2, padding="same")],
    lambda: [ones(kernel_size=(5, 2), strides=(3, 2), padding="same")],
    lambda: [ones(kernel_size=3, dilation_rate=2, padding="same")],
    lambda: [layers.DepthwiseConv2D(3, 2, padding="same", depthwise_initializer="ones")],
    lambda: [layers.MaxPooling2D(3, strides=2, padding="same")],
    lambda: [layers.AveragePooling2D((2, 3)), ones(kernel_size=2)],
    lambda: [layers.ZeroPadding2D(((2, 0), (1, 1))), ones(kernel_size=3, strides=2)],
    lambda: [layers.Cropping2D(((1, 2), (3, 0))), layers.MaxPooling2D(2)],
    lambda: [PadShortcut(2), ones(kernel_size=3)],
    lambda: [layers.UpSampling2D(2), layers.AveragePooling2D(4)],
]


@pytest.mark.parametrize("stack", STACKS)
def test_centres_are_where_single_bright_pixels_are_seen(stack):
    size = 12, 13
    model, tensor = of_size(size, *stack())
    bright = np.zeros((size[0] * size[1], *size, 1), np.uint8)
    bright.reshape(len(bright), -1)[np.diag_indices(len(bright))] = 1
    seen = keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(bright))).max(axis=-1) > 0
    found = fields.centres(model, tensor)
    assert found.shape == (2, *tensor.shape[1:3])
    compared = 0
    for cell in np.ndindex(*tensor.shape[1:3]):
        pixels = np.argwhere(seen[:, *cell].reshape(size))
        first, last = pixels.min(axis=0), pixels.max(axis=0)
        if (first > 1).all() and (last < np.subtract(size, 2)).all():  # none of it lies outside
            np.testing.assert_allclose(found[:, *cell], (first + last) / 2)
            compared += 1
    assert compared > 1


def test_cells_keep_their_distance_where_a_field_goes_beyond_the_edge():
    model, tensor = of_size((9, 9), *(ones(kernel_size=3, padding="same") for _ in range(6)))
    np.testing.assert_allclose(fields.centres(model, tensor), np.indices((9, 9)))


def test_paths_that_meet_count_together():
    inputs = keras.Input((8, 8, 1))
    padded = layers.ZeroPadding2D(((0, 2), (0, 2)))(inputs)
    both = [layers.MaxPooling2D(2)(inputs), layers.MaxPooling2D(4, strides=2)(padded)]  # 0..1, 0..3
    model = keras.Model(inputs, [layers.Add()(both), layers.Concatenate()(both)])
    for tensor in model.outputs:
        rows, columns = fields.centres(model, tensor)
        np.testing.assert_allclose(rows[:, 0], [1.5, 3.5, 5.5, 7.5])
        np.testing.assert_allclose(columns[0], [1.5, 3.5, 5.5, 7.5])


def test_weights_of_channels_move_no_place():
    inputs = keras.Input((8, 8, 3))
    x = ones(kernel_size=3, strides=2, padding="same")(inputs)
    squeezed = layers.Dense(1)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply()([x, squeezed])
    assert fields.centres(keras.Model(inputs, x), x)[0, :, 0].tolist() == [1, 3, 5, 7]


def test_a_class_token_has_no_place_and_may_be_dropped():
    inputs = keras.Input((4, 4, 3))
    x = ClassToken()(layers.Reshape((4, 2))(layers.Conv2D(2, 2, 2)(inputs)))
    model = keras.Model(inputs, [x, x[:, 1:]])
    expected = [[0.5, 0.5, 2.5, 2.5], [0.5, 2.5, 0.5, 2.5]]
    with_token, without = (fields.centres(model, tensor) for tensor in model.outputs)
    assert np.isnan(with_token[:, 0]).all()
    np.testing.assert_allclose(with_token[:, 1:], expected)
    np.testing.assert_allclose(without, expected)


def every_third(known: bool):
    class EveryThird(layers.Layer):
        def call(self, inputs):
            return inputs[:, ::3, ::3]

    if known:
        EveryThird.kernel_size, EveryThird.strides, EveryThird.padding = (1, 1), (3, 3), "valid"
    inputs = keras.Input((9, 9, 3), dtype="uint8")
    x = layers.Conv2D(1, 1)(layers.Rescaling(1.0)(inputs))
    x = EveryThird(name="third")(x)
    x = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, x, name="own")


@pytest.mark.filterwarnings("error")
def test_a_layer_of_ones_own_says_what_it_reads():
    assert places.centres(every_third(known=True), "third") == ((0, 3, 6),) * 2


def test_cells_behind_an_unknown_layer_are_taken_to_fill_the_image_with_a_word():
    with pytest.warns(UserWarning, match="'own' has a layer that .* does not know.* 3 x 3 cells"):
        assert places.centres(every_third(known=False), "third") == ((1, 4, 7),) * 2
    model, tensor = of_size((4, 4), layers.Conv2DTranspose(1, 2, strides=2))
    with pytest.warns(UserWarning, match="8 x 8 cells"):
        places.centres_of(model, tensor)


# --- enlarging ----------------------------------------------------------------------------------


def test_a_map_is_enlarged_between_centres_and_constant_beyond():
    maps = np.array([[[0, 8], [4, 12]]], np.float32)
    enlarged = enlarge(maps, (6, 8), ((1, 3), (2, 6)))
    assert enlarged.dtype == np.float32
    np.testing.assert_allclose(enlarged[0, :, 0], [0, 0, 2, 4, 4, 4])
    np.testing.assert_allclose(enlarged[0, 1], [0, 0, 0, 2, 4, 6, 8, 8])


@pytest.mark.parametrize(
    ("grid", "shape"), [((8, 8), (32, 32)), ((3, 5), (9, 40)), ((4, 4), (4, 4))]
)
def test_cells_that_fill_the_image_are_enlarged_as_zoom_does(grid, shape):
    maps = np.random.default_rng(0).random((2, *grid))
    zoom = (1, shape[0] / grid[0], shape[1] / grid[1])
    expected = ndimage.zoom(maps, zoom, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(enlarge(maps, shape, places.even_centres(grid, shape)), expected)


def test_the_fast_cnn_s_nine_cells_are_at_their_pixels():
    model = build("fast_cnn")
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    for method in (explain.grad_cam, explain.hires_cam, explain.grad_cam_plus_plus):
        maps = method(model, images, 3)
        at = np.ix_(range(len(maps)), (4, 12, 20), (4, 12, 20))
        np.testing.assert_allclose(maps, enlarge(maps[at], (32, 32), ((4, 12, 20),) * 2))
        np.testing.assert_array_equal(maps[:, 21:], maps[:, 20:21].repeat(11, axis=1))


def test_noise_lies_where_the_cells_of_the_map_do():
    centres = ((4, 12, 20), (2, 16, 30))
    maps = explain.random_maps(2, (32, 32), 5, (3, 3), centres)
    noise = np.random.default_rng(5).random((2, 3, 3), dtype=np.float32)
    np.testing.assert_allclose(maps[np.ix_(range(2), *centres)], noise, rtol=1e-6)
    with pytest.raises(ValueError, match=r"centres of 3 x 3 cells for a grid \(8, 8\)"):
        explain.random_maps(2, centres=centres)


def test_the_audit_s_noise_is_in_the_places_of_the_maps(monkeypatch):
    images = np.zeros((2, 32, 32, 3), np.uint8)
    monkeypatch.setattr(explain, "maps_or_dead", lambda *arguments: np.zeros((2, 32, 32)))
    subject = audit.Subject(None, build("cct"), images, None, np.zeros(2, int), None)
    monkeypatch.setattr(audit.Subject, "name", "cct")
    grids = {method: grid for method, (_, grid) in audit.maps_of(subject).items()}
    overlapping = (tuple(range(3, 32, 4)),) * 2
    for method in ("Grad-CAM", "HiResCAM", "Attention rollout", audit.OTHER_LAYER):
        assert grids[method] == overlapping
    assert grids["Occlusion"] == (EVENLY, EVENLY)
    assert grids["SmoothGrad"] == (tuple(range(32)),) * 2
