"""Many steps in one call end as single steps do; where JAX is installed, in its own process."""

import importlib.util
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from helpers.backend import keras
from helpers.experiments.recipes import Recipe
from helpers.training import chunks

RECIPE = Recipe(epochs=2, weight_decay=0.05)
LABELS = np.repeat([0, 1], [3, 5])

STEPPED_AND_CHUNKED = """
from dataclasses import replace
import tiny
from helpers import models, training
from helpers.backend import keras
from helpers.data.augmentation import Augmentation
from helpers.experiments.recipes import Recipe
from helpers.models.layers import PositionEmbedding, SequencePooling, encoder, patch_tokens
from helpers.training import chunks

def transformer():
    inputs = keras.Input((32, 32, 3), dtype="uint8")
    x = patch_tokens(keras.layers.Rescaling(1 / 255)(inputs), 8, 16)
    x = encoder(
        PositionEmbedding()(x), depth=1, heads=2, key_dimension=8, mlp_width=16, dropout=0.1,
        attention_dropout=0.1, qkv_bias=True,
    )
    return keras.Model(inputs, keras.layers.Dense(10)(SequencePooling()(x)), name="transformer")

whole = tiny.split()
# A last batch that is smaller is compiled for itself: once is enough.
uneven = replace(whole, train_index=whole.train_index[:107], val_index=whole.val_index[:23])
split = replace(uneven, train_index=uneven.train_index[:104])
few = replace(uneven, train_index=uneven.train_index[:24])  # convolutions are slow in a loop
base = Recipe(
    epochs=3, batch_size=8, weight_decay=0.05, warmup_epochs=1, schedule="cosine",
    augmentation=Augmentation(flip=True, crop=4),
)
# By Adam, rounding in tiny gradients would grow to whole steps.
plain = replace(base, epochs=2, optimizer="sgd", learning_rate=0.02)
averaged = replace(base, average=0.9, label_smoothing=0.1, augmentation=Augmentation(mixup=0.2))
weighted = Recipe(epochs=2, batch_size=8, optimizer="adam", class_weights="inverse_frequency")
pulled = replace(base, optimizer="muon", kernel_rate=0.1, schedule="linear", lookahead=True)
slower = replace(averaged, learning_rate=1e-4, weight_decay=0.1)
for name, build, settings, images in [
    ("cnn_baseline", lambda: models.build("cnn_baseline", 10), plain, few),
    ("weighted", tiny.model, weighted, uneven),
    ("pulled", tiny.model, pulled, split),
    ("averaged", transformer, averaged, split),
    ("compiled before, at other rates", transformer, slower, split),
]:
    fits = []
    for in_chunks in (False, True):
        chunks.pay = lambda: in_chunks
        keras.utils.set_random_seed(0)
        fits.append(training.fit(build(), settings, images, 0, title=name))
    one, other = (fit.history.drop(columns="seconds").to_numpy() for fit in fits)
    assert abs(one - other).max() < 1e-4, name
    assert fits[0].best_epoch == fits[1].best_epoch, name
    pairs = zip(*(fit.model.get_weights() for fit in fits), strict=True)
    apart = max(abs(a - b).max() for a, b in pairs)
    assert apart < 1e-5, (name, apart)
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_chunks_end_as_single_steps_do(fresh_python):
    fresh_python(STEPPED_AND_CHUNKED, KERAS_BACKEND="jax")


def kind(settings=RECIPE, labels=LABELS, l2=1e-3, dropout=0.1, size=8):
    """Of a network whose variables say nothing of penalty, dropout and size."""
    inputs = keras.Input((size, size, 3))
    penalty = keras.regularizers.L2(l2)
    x = keras.layers.Conv2D(2, 3, kernel_regularizer=penalty, name="conv")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Dropout(dropout)(x))
    model = keras.Model(inputs, keras.layers.Dense(2)(x), name="small")
    return chunks._kind(model, settings, SimpleNamespace(labels=labels, index=np.arange(8)))


def test_what_was_compiled_serves_the_next_seed():
    assert kind() == kind(replace(RECIPE, learning_rate=1e-4, weight_decay=0.1), LABELS[::-1])


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("l2", 0.0),
        ("dropout", 0.2),
        ("size", 16),
        ("settings", replace(RECIPE, average=0.9)),
        ("settings", replace(RECIPE, loss="balanced_softmax")),
    ],
    ids=["l2", "dropout", "size", "average", "loss"],
)
def test_what_was_compiled_serves_no_other_training(setting, value):
    assert kind() != kind(**{setting: value})


def test_balanced_softmax_is_compiled_with_its_counts():
    balanced = replace(RECIPE, loss="balanced_softmax")
    assert kind(balanced) == kind(balanced, LABELS[::-1])
    assert kind(balanced) != kind(balanced, 1 - LABELS)


@pytest.mark.parametrize(
    ("images", "batch_size", "steps"),
    [
        (45_000, 128, [39] * 9 + [1]),
        (45_000, 500, [45] * 2),
        (34_200, 128, [89] * 3 + [1]),
        (353 * 32, 32, [88] * 4 + [1]),
        (50, 64, [1]),
    ],
)
def test_calls_of_an_epoch(images, batch_size, steps):
    calls = chunks._calls(images, batch_size)
    assert [count for _, count in calls] == steps
    assert [first for first, _ in calls] == [sum(steps[:i]) for i in range(len(steps))]


def test_jobs_are_done_ahead_and_in_order():
    done = []
    given = chunks._ahead(lambda job: done.append(job) or -job, iter(range(20)), threads=2)
    assert next(given) == 0
    assert max(done) <= 3
    assert list(given) == [-job for job in range(1, 20)]
