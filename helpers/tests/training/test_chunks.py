"""Many steps in one call end as single steps do; where JAX is installed, in a process of its own."""

import importlib.util
import json
import os
from dataclasses import replace

import numpy as np
import pytest

needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="JAX is not installed"
)

STEPPED_AND_CHUNKED = """
import sys
import numpy as np, tiny
from dataclasses import replace
from helpers import data, models, training
from helpers.backend import keras
from helpers.data.augmentation import Augmentation
from helpers.experiments.recipes import Recipe
from helpers.training import chunks

whole = tiny.split()
split = replace(whole, train_index=whole.train_index[:110], val_index=whole.val_index[:30])
settings = Recipe(epochs=2, batch_size=32, learning_rate=3e-3, **eval(sys.argv[2]))
fits = []
for in_chunks in (False, True):
    chunks.pay = lambda: in_chunks
    keras.utils.set_random_seed(0)
    model = tiny.model() if sys.argv[1] == "tiny" else models.build(sys.argv[1], 10)
    fits.append(training.fit(model, settings, split, 0))
one, other = (fit.history.drop(columns="seconds").to_numpy() for fit in fits)
print(abs(one - other).max(), fits[0].best_epoch == fits[1].best_epoch)
pairs = zip(*(fit.model.get_weights() for fit in fits), strict=True)
print(max(abs(a - b).max() for a, b in pairs))
"""


@needs_jax
@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("cnn_baseline", "{'schedule': 'cosine', 'warmup_epochs': 1, 'weight_decay': 0.05}"),
        ("cnn_baseline", "{'class_weights': 'inverse_frequency', 'optimizer': 'adam'}"),
        ("cct", "{'average': 0.9, 'label_smoothing': 0.1, 'augmentation': Augmentation(mixup=.2)}"),
        ("tiny", "{'lookahead': True, 'optimizer': 'sgd', 'schedule': 'linear'}"),
    ],
)
def test_chunks_end_as_single_steps_do(model, changes, fresh_python):
    printed = fresh_python(STEPPED_AND_CHUNKED, model, changes, KERAS_BACKEND="jax").stdout
    print(printed)
