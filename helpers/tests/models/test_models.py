"""The architectures: their size, their parts, and the same logits wherever they are computed."""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from helpers import models
from helpers.backend import keras
from helpers.models import build, layers
from helpers.models.layers import BatchNormalization

SIZES = {  # trainable parameters, all parameters with batch norm's statistics, MACs
    "cnn_baseline": (111_050, 111_050, 10_339_584),
    "resnet20": (269_722, 271_098, 40_551_040),
    "resnet18": (11_173_962, 11_183_562, 555_422_720),
    "fast_cnn": (1_971_328, 1_973_920, 118_147_360),
    "fast_hybrid": (1_857_163, 1_858_731, 137_801_504),
    "vit": (280_202, 280_202, 19_268_864),
    "vit_seqpool": (280_331, 280_331, 19_285_248),
    "vit_lite": (3_716_618, 3_716_618, 254_482_432),
    "vit_128": (43_177_738, 43_177_738, 2_837_070_336),
    "hybrid_token": (193_098, 193_098, 11_404_544),
    "hybrid_dual": (1_046_730, 1_047_690, 102_782_464),
    "vit_stem": (349_386, 349_386, 39_519_488),
    "cct": (283_723, 283_723, 35_341_568),
    "cct_7": (3_760_139, 3_760_139, 1_181_616_640),
}
ZERO_TO_ONE = {"cnn_baseline", "hybrid_token", "hybrid_dual"}


@cache
def built(name):
    """The model with every weight a little random: biases, statistics and all."""
    model = build(name, 10)
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.02 * rng.standard_normal(w.shape) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def images(sample):
    return sample.x_test[:2]


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def logits(model, images):
    return numpy(model(images, training=False))


def output_of(model, layer, images):
    """What a layer of the model gives for the images."""
    return logits(keras.Model(model.input, model.get_layer(layer).output), images)


# ---- every architecture


def test_the_sizes_of_all_models_are_known():
    assert set(SIZES) | {"efficientnet_lite0"} == set(models.BUILDERS)  # test_lite.py has it


@pytest.mark.parametrize("name", SIZES)
def test_parameters_and_macs(name):
    model = built(name)
    trainable, everything, macs = SIZES[name]
    assert models.trainable_parameters(model) == trainable
    assert model.count_params() == everything
    assert models.macs(model) == macs


def test_dual_hybrid_for_100_classes_is_the_published_one():
    model = build("hybrid_dual", 100, as_published=True)
    assert model.count_params() == 1_070_820
    convolutions = [layer for layer in model.layers if layer.name.startswith("conv")]
    assert models.macs(keras.Model(model.input, convolutions[-1].output)) == 57_507_840


@pytest.mark.parametrize(
    ("name", "tokens", "dimension", "blocks", "macs"),
    [("cct", 64, 128, 2, 33_244_416), ("cct_7", 256, 256, 7, 946_735_616)],
)
def test_ccts_have_the_published_macs(name, tokens, dimension, blocks, macs):
    """0.033 and 0.947 billion, which leave out the products of attention."""
    products = blocks * 2 * tokens**2 * dimension
    assert models.macs(built(name)) - products == macs


@pytest.mark.parametrize("name", SIZES)
def test_pixels_in_logits_out(name, images):
    model = built(name)
    assert model.name == name
    assert model.inputs[0].dtype == "uint8"
    result = logits(model, images)
    assert result.shape == (2, 10)
    assert result.dtype == np.float32
    assert (result < 0).any()  # no softmax at the end
    assert not np.allclose(result[0], result[1])


@pytest.mark.parametrize("name", [name for name in SIZES if not name.startswith("fast")])
def test_pixels_are_scaled_inside(name):
    black_and_white = np.stack(
        [np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)]
    )
    scaled = output_of(built(name), "scale", black_and_white)
    lowest = 0 if name in ZERO_TO_ONE else -1
    np.testing.assert_allclose(scaled[0], lowest, atol=1e-6)
    np.testing.assert_allclose(scaled[1], 1, atol=1e-6)


@pytest.mark.parametrize("name", ["cnn_baseline", "cct", "hybrid_dual"])
def test_layer_table_accounts_for_everything(name):
    model = built(name)
    table = models.layer_table(model)
    assert table["parameters"].sum() == model.count_params()
    assert table["MACs"].sum() == models.macs(model)
    assert table.index[-1] == "logits"


def test_number_of_classes():
    assert build("cct", 100).output_shape == (None, 100)
    assert build("cct", 2).output_shape == (None, 2)


@pytest.mark.parametrize(
    ("name", "classes", "options", "text"),
    [
        ("alexnet", 10, {}, "unknown model 'alexnet': choose from cnn_baseline"),
        ("cct", 1, {}, "at least 2 classes, not 1"),
        ("cct", 10, {"depth": 3}, "'cct' does not take these options.*depth"),
    ],
)
def test_bad_requests(name, classes, options, text):
    with pytest.raises(ValueError, match=text):
        build(name, classes, **options)


# ---- the same logits elsewhere

LOAD_ELSEWHERE = """
import sys
import helpers.models, keras
import numpy as np
folder, *names = sys.argv[1:]
images = np.load(f"{folder}/images.npy")
for name in names:
    model = keras.models.load_model(f"{folder}/{name}.keras")
    logits = keras.ops.convert_to_numpy(model(images, training=False))
    np.save(f"{folder}/{name}.npy", logits)
"""


@pytest.fixture(scope="module")
def logits_elsewhere(images, fresh_python):
    """Logits of each model, saved here, in a fresh process on the other backend.

    It imports Keras and `helpers.models` only.
    """
    other = "tensorflow" if keras.backend.backend() == "torch" else "torch"
    with tempfile.TemporaryDirectory() as folder:  # 250 MB that pytest's folders would keep
        folder = Path(folder)
        np.save(folder / "images.npy", images)
        for name in SIZES:
            built(name).save(folder / f"{name}.keras")
        fresh_python(LOAD_ELSEWHERE, folder, *SIZES, KERAS_BACKEND=other)
        return {name: np.load(folder / f"{name}.npy") for name in SIZES}


@pytest.mark.parametrize("name", SIZES)
def test_saved_model_gives_the_same_logits_on_the_other_backend(name, images, logits_elsewhere):
    here = logits(built(name), images)
    np.testing.assert_allclose(here, logits_elsewhere[name], rtol=0, atol=1e-4)


def torchvision_resnet18(model):
    """torchvision's ResNet-18 with the small stem and the Keras model's weights."""
    import torch
    import torchvision

    reference = torchvision.models.resnet18(weights=None, num_classes=10)
    reference.conv1 = torch.nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    reference.maxpool = torch.nn.Identity()

    def copy(layer, convolution, norm):
        (kernel,) = model.get_layer(layer).get_weights()
        statistics = model.get_layer(f"{layer}_norm").get_weights()
        targets = [norm.weight, norm.bias, norm.running_mean, norm.running_var]
        with torch.no_grad():
            convolution.weight.copy_(torch.from_numpy(kernel.transpose(3, 2, 0, 1)))
            for target, values in zip(targets, statistics, strict=True):
                target.copy_(torch.from_numpy(values))

    copy("stem", reference.conv1, reference.bn1)
    for stage in range(1, 5):
        for number, block in enumerate(getattr(reference, f"layer{stage}"), start=1):
            name = f"stage{stage}_block{number}"
            copy(f"{name}_conv1", block.conv1, block.bn1)
            copy(f"{name}_conv2", block.conv2, block.bn2)
            if block.downsample is not None:
                copy(f"{name}_shortcut", *block.downsample)
    kernel, bias = model.get_layer("logits").get_weights()
    with torch.no_grad():
        reference.fc.weight.copy_(torch.from_numpy(kernel.T))
        reference.fc.bias.copy_(torch.from_numpy(bias))
    return reference.eval()


def test_resnet18_is_torchvision_s(images):
    import torch

    model = built("resnet18")
    scaled = images.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    with torch.no_grad():
        expected = torchvision_resnet18(model)(torch.from_numpy(scaled)).numpy()
    np.testing.assert_allclose(
        logits(model, images), expected, rtol=0, atol=1e-4 * abs(expected).max()
    )


# ---- parts


def test_attention_is_what_keras_computes_fused():
    rng = np.random.default_rng(0)
    query, key, value = rng.standard_normal((3, 2, 5, 4, 8)).astype(np.float32)  # 4 heads of 8
    qkv = np.concatenate([x.reshape(2, 5, 32) for x in (query, key, value)], axis=-1)
    weights = layers.AttentionWeights(heads=4)(qkv)
    mixed = layers.AttentionMix()(weights, keras.ops.convert_to_tensor(qkv))
    fused = keras.ops.dot_product_attention(query, key, value)
    np.testing.assert_allclose(numpy(mixed), numpy(fused).reshape(2, 5, 32), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "blocks", "shape"),
    [
        ("vit", 2, (2, 2, 64, 64)),
        ("cct", 2, (2, 2, 64, 64)),
        ("cct_7", 7, (2, 4, 256, 256)),
        ("hybrid_dual", 6, (2, 4, 65, 65)),
        ("vit_lite", 7, (2, 4, 65, 65)),
    ],
)
def test_attention_of_each_token_sums_to_one(name, blocks, shape, images):
    for block in (1, blocks):
        weights = output_of(built(name), f"block{block}_attention_weights", images)
        assert weights.shape == shape
        assert (weights >= 0).all()
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)


def test_pad_shortcut_by_hand():
    maps = np.arange(2 * 4 * 4 * 2, dtype=np.float32).reshape(2, 4, 4, 2)
    result = numpy(layers.PadShortcut(6)(maps))
    assert result.shape == (2, 2, 2, 6)
    np.testing.assert_array_equal(result[..., 2:4], maps[:, [0, 2]][:, :, [0, 2]])
    assert (result[..., [0, 1, 4, 5]] == 0).all()


def test_class_token_comes_first():
    layer = layers.ClassToken()
    tokens = np.ones((2, 3, 4), np.float32)
    result = numpy(layer(tokens))
    assert result.shape == (2, 4, 4)
    np.testing.assert_array_equal(result[:, 1:], tokens)
    np.testing.assert_array_equal(result[:, 0], np.tile(numpy(layer.token)[0], (2, 1)))


def test_position_embedding_may_have_spare_entries():
    layer = layers.PositionEmbedding(entries=5)
    result = numpy(layer(np.zeros((2, 3, 4), np.float32)))
    table = numpy(layer.table)
    assert table.shape == (1, 5, 4)
    np.testing.assert_array_equal(result, np.tile(table[:, :3], (2, 1, 1)))


def test_sequence_pooling_by_hand():
    layer = layers.SequencePooling()
    tokens = np.array([[[1.0, 0.0], [3.0, 8.0]]], np.float32)
    layer.build(tokens.shape)
    layer.score.set_weights([np.zeros((2, 1)), np.zeros(1)])
    np.testing.assert_allclose(numpy(layer(tokens)), [[2, 4]])
    layer.score.set_weights(
        [np.array([[np.log(3) / 2], [0.0]]), np.zeros(1)]
    )  # scores differ by log 3
    np.testing.assert_allclose(numpy(layer(tokens)), [[2.5, 6]], rtol=1e-6)


def test_vit_reads_its_patches_line_by_line(images):
    model = build("vit")
    kernel, bias = model.get_layer("patches").get_weights()
    kernel[:], bias[:] = 0, 0
    kernel[:, :, 0, 0] = 1 / 16  # the first value is the patch's mean red
    model.get_layer("patches").set_weights([kernel, bias])
    tokens = output_of(model, "tokens", images)[:, :, 0]
    red = images[..., 0] / 127.5 - 1
    for position in range(64):
        top, left = 4 * (position // 8), 4 * (position % 8)
        patch = red[:, top : top + 4, left : left + 4]
        np.testing.assert_allclose(tokens[:, position], patch.mean(axis=(1, 2)), atol=1e-5)


def test_token_branch_is_a_linear_map_of_the_mean_patch(images):
    model = built("hybrid_token")
    maps = output_of(model, "conv3", images)
    patches = [
        maps[:, top : top + 2, left : left + 2].reshape(len(images), 512)
        for top in range(0, 8, 2)
        for left in range(0, 8, 2)
    ]
    np.testing.assert_allclose(output_of(model, "tokens", images), np.stack(patches, 1), atol=1e-6)
    kernel, bias = model.get_layer("token_embedding").get_weights()
    np.testing.assert_allclose(
        output_of(model, "pooled_tokens", images), np.mean(patches, 0) @ kernel + bias, atol=1e-5
    )


def test_token_hybrid_is_the_baseline_and_one_branch():
    baseline = [layer.name for layer in built("cnn_baseline").layers]
    branch = [
        "split_patches",
        "group_patches",
        "tokens",
        "token_embedding",
        "pooled_tokens",
        "fusion",
    ]
    hybrid = [layer.name for layer in built("hybrid_token").layers]
    assert sorted(hybrid) == sorted(baseline + branch)


def blocks_of(name):
    """Configurations of a model's transformer blocks, by layer."""
    return {
        layer.name: layer.get_config()
        for layer in built(name).layers
        if layer.name.startswith("block")
    }


def test_cct_has_the_vit_s_encoder_but_for_the_mlp_width():
    vit, cct = blocks_of("vit"), blocks_of("cct")
    for block in (1, 2):
        assert vit[f"block{block}_mlp1"].pop("units") == 256
        assert cct[f"block{block}_mlp1"].pop("units") == 128
    assert cct == vit
    qkv = "block1_qkv"
    assert built("cct").get_layer(qkv).kernel.shape == built("vit").get_layer(qkv).kernel.shape


def test_between_vit_and_cct_one_thing_changes_at_a_time():
    def around_the_encoder(name):
        outside = [layer for layer in built(name).layers if not layer.name.startswith("block")]
        kinds = [(layer.name, type(layer).__name__) for layer in outside]
        at = kinds.index(("positions", "PositionEmbedding"))
        return kinds[:at], kinds[at:]

    vit, cct = around_the_encoder("vit"), around_the_encoder("cct")
    assert around_the_encoder("vit_stem") == (cct[0], vit[1])
    assert around_the_encoder("vit_seqpool") == (vit[0], cct[1])
    assert blocks_of("vit_stem") == blocks_of("vit_seqpool") == blocks_of("vit")
    kernels = [built(name).get_layer("conv2").kernel.shape for name in ("vit_stem", "cct")]
    assert kernels[0] == kernels[1] == (3, 3, 64, 128)


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.01, 0.0), (0.0, 0.02), (0.01, 0.02)])
def test_resnet20_penalises_its_kernels(l1, l2):
    model = build("resnet20", 10, l1=l1, l2=l2)
    kernels = [w for w in model.get_weights() if w.ndim > 1]
    assert len(kernels) == 20
    expected = sum(l1 * abs(kernel).sum() + l2 * (kernel**2).sum() for kernel in kernels)
    assert len(model.losses) == (20 if l1 or l2 else 0)
    assert float(sum(map(numpy, model.losses), 0.0)) == pytest.approx(expected, rel=1e-4)


def test_dual_hybrid_penalises_its_convolutions():
    model = built("hybrid_dual")
    kernels = [numpy(model.get_layer(f"conv{i}").kernel) for i in range(1, 5)]
    expected = 1e-3 * sum((kernel**2).sum() for kernel in kernels)
    assert float(sum(map(numpy, model.losses))) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("as_published", [False, True])
def test_dual_hybrid_has_the_second_residual_of_either(as_published, images):
    model = build("hybrid_dual", as_published=as_published)
    names = ("block2_attention", "block2_norm2", "block2_mlp2", "block2_mlp")
    parts = keras.Model(model.input, [model.get_layer(name).output for name in names])
    stream, normalised, added, total = parts.predict(images[:2], verbose=0)
    residual, other = (normalised, stream) if as_published else (stream, normalised)
    assert total == pytest.approx(residual + added, abs=1e-5)
    assert np.abs(total - other - added).max() > 0.1


# ---- batch normalisation


def batch_normalised(layer, maps):
    """What a layer gives in training, the weights of two steps with it, and what it gives then."""
    keras.utils.set_random_seed(0)
    convolution = keras.layers.Conv2D(3, 1)
    model = keras.Sequential([keras.Input(maps.shape[1:]), convolution, layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    in_training = numpy(model(maps, training=True))
    model.fit(maps, np.cos(maps), len(maps), 2, 0)
    return in_training, *model.get_weights(), model.predict(maps, verbose=0)


@pytest.mark.parametrize("options", [{}, {"center": False, "scale": False, "momentum": 0.6}])
def test_batch_normalisation_is_keras_s(options):
    maps = np.random.default_rng(0).normal(2, 3, (4, 5, 5, 3)).astype(np.float32)
    own = batch_normalised(BatchNormalization(**options), maps)
    keras_s = batch_normalised(keras.layers.BatchNormalization(**options), maps)
    for one, other in zip(own, keras_s, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_frozen_batch_normalisation_keeps_its_statistics():
    layer = BatchNormalization()
    layer.build((None, 2, 2, 3))
    layer.trainable = False
    maps = np.random.default_rng(0).normal(2, 3, (4, 2, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(numpy(layer(maps, training=True)), maps / np.sqrt(1.001), rtol=1e-5)
    assert layer.get_weights()[2].tolist() == [0, 0, 0]


def test_batch_normalisation_in_half_precision_has_float32_statistics():
    layer = BatchNormalization(dtype="mixed_bfloat16")
    maps = np.random.default_rng(0).normal(2, 3, (64, 8, 8, 3)).astype(np.float32)
    assert keras.backend.standardize_dtype(layer(maps, training=True).dtype) == "bfloat16"
    mean = numpy(layer.moving_mean)
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, 0.01 * maps.mean((0, 1, 2)), rtol=1e-2)
