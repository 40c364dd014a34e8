"""The architectures for images of 64 and 96 pixels."""

import numpy as np
import pytest

from helpers import models
from helpers.backend import keras
from helpers.explain import places
from helpers.models import build, layers

# Rows of the map that explanations take by default, at 64 and 96 pixels.
GRIDS = {
    "cnn_baseline": (16, 24),
    "resnet20": (16, 24),
    "fast_cnn": (7, 11),
    "fast_hybrid": (7, 7),
    "vit": (8, 8),
    "vit_seqpool": (8, 8),
    "hybrid_token": (16, 24),
    "hybrid_dual": (16, 24),
    "vit_stem": (8, 8),
    "cct": (8, 8),
}
LARGE = {"resnet18": 12, "vit_lite": 8, "vit_128": 8, "cct_7": 16}  # slow to build: 96 only


CASES = [
    (name, size, rows) for name in GRIDS for size, rows in zip((64, 96), GRIDS[name], strict=True)
]


@pytest.mark.filterwarnings("error:.*fill the image evenly")  # places that are not known
@pytest.mark.parametrize(
    ("name", "size", "rows"), CASES + [(name, 96, rows) for name, rows in LARGE.items()]
)
def test_larger_images(name, size, rows):
    model = build(name, 3, size=size)
    assert model.input_shape == (None, size, size, 3)
    assert places.grid_size(model) == (rows, rows)
    places.centres(model)
    images = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    logits = keras.ops.convert_to_numpy(model(images, training=False))
    assert logits.shape == (2, 3)
    assert np.isfinite(logits).all()


def test_every_architecture_of_the_study_has_sizes():
    assert set(GRIDS) | set(LARGE) == set(models.BUILDERS) - {"efficientnet_lite0"}


@pytest.mark.parametrize("name", ["cnn_baseline", "resnet20", "hybrid_token", "cct"])
def test_weights_carry_over_from_one_size_to_another(name):
    small, large = build(name), build(name, size=96)
    assert [w.shape for w in small.weights] == [w.shape for w in large.weights]


def test_positions_of_vits_carry_over_too():
    shapes = [build("vit", size=size).get_layer("positions").table.shape for size in layers.SIZES]
    assert shapes == [(1, 64, 128)] * 3


@pytest.mark.parametrize("name", ["cnn_baseline", "fast_cnn", "vit", "hybrid_dual"])
def test_other_sizes_are_refused(name):
    with pytest.raises(ValueError, match="images of 48 pixels: choose a size from 32, 64, 96"):
        build(name, size=48)
