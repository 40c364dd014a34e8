"""A run over two virtual devices of the CPU ends as over one; each backend in its own process."""

import importlib.util

import pytest

from helpers.backend import keras
from helpers.training import chunks, devices

ONE_AND_TWO = """
import sys
from dataclasses import replace
import pytest, tiny
from helpers import training
from helpers.backend import keras
from helpers.data.augmentation import Augmentation
from helpers.records import runs
from helpers.training import chunks, devices

backend, folder = sys.argv[1:]
if backend == "tensorflow":
    import tensorflow as tf
    cpu, virtual = tf.config.list_physical_devices("CPU")[0], tf.config.LogicalDeviceConfiguration
    tf.config.set_logical_device_configuration(cpu, [virtual(), virtual()])
chunks.pay = lambda: backend == "jax in chunks"

def plain():
    inputs = keras.Input((32, 32, 3), dtype="uint8")
    x = keras.layers.AveragePooling2D(4)(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.Dense(16, activation="relu")(keras.layers.Flatten()(x))
    return keras.Model(inputs, keras.layers.Dense(10)(x), name="plain")

whole = tiny.split()
split = replace(whole, train_index=whole.train_index[:104], val_index=whole.val_index[:24])
# By Adam, rounding in tiny gradients would grow to whole steps.
settings = replace(tiny.RECIPE, epochs=2, batch_size=16, optimizer="sgd", learning_rate=0.05)
# JAX normalises over all devices, and drops out as on one.
build = plain if backend == "tensorflow" else tiny.model
fits = []
for over in (1, 2):
    with devices.over(over):
        assert devices.number() == over
        keras.utils.set_random_seed(0)
        fits.append(training.fit(build(), settings, split, 0, "training"))
one, two = (fit.history.drop(columns="seconds").to_numpy() for fit in fits)
assert abs(one - two).max() < 1e-5, (one, two)
for a, b in zip(*(fit.model.get_weights() for fit in fits), strict=True):
    assert abs(a - b).max() < 1e-5
kernel = fits[1].model.trainable_variables[0].value
if backend == "tensorflow":
    assert len(kernel.values) == 2
else:
    assert len(kernel.sharding.device_set) == 2

if backend == "jax in chunks":
    sys.exit()
with pytest.MonkeyPatch.context() as patch:
    tiny.use(patch, runs.Path(folder))
    if backend == "tensorflow":
        with tiny.interrupted_after_each_epoch(patch), pytest.raises(KeyboardInterrupt):
            training.train(tiny.EXPERIMENT, 0)
    run = training.train(tiny.EXPERIMENT, 0, over=2)
    print(run.info["devices"])
"""


@pytest.mark.parametrize(
    ("backend", "recorded"),
    [("tensorflow", "1, then 2"), ("jax", "2"), ("jax in chunks", None)],
)
def test_two_devices_end_as_one_does(backend, recorded, fresh_python, tmp_path):
    framework = backend.split()[0]
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    environment = {
        "KERAS_BACKEND": framework,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    result = fresh_python(ONE_AND_TWO, backend, tmp_path, **environment)
    assert recorded is None or result.stdout.splitlines()[-1] == recorded
    # Where two frameworks are installed, their own libraries talk, too.
    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning:")]
    assert len(warnings) == (backend == "tensorflow"), result.stderr
    assert all("was left by other devices: the record will name both" in w for w in warnings)


def test_there_are_not_so_many_devices(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0", "gpu:1"])
    with pytest.raises(ValueError, match="--devices is 3, but jax finds gpu:0, gpu:1: choose"):
        devices.over(3)


def test_torch_is_told_what_else_to_use(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ValueError, match="set KERAS_BACKEND to tensorflow or jax"):
        devices.over(2)


@pytest.mark.parametrize("sizes", [(45_000, 126, 5000), (45_002, 128, 5000), (45_000, 128, 5002)])
def test_every_batch_is_divided_equally(sizes, monkeypatch):
    monkeypatch.setattr(devices, "number", lambda: 4)
    devices.require_equal_parts(45_000, 128, 5000)
    with pytest.raises(ValueError, match="--devices is 4, which does not divide"):
        devices.require_equal_parts(*sizes)


@pytest.mark.parametrize(("images", "parts"), [(5000, 8), (3800, 8), (24, 8), (504, 8), (30, 2)])
def test_every_batch_of_validation_is_divided_equally(images, parts):
    calls = chunks._validation_calls(images, parts)
    assert sum(count * size for _, count, size in calls) == images
    assert not any(size % parts for _, _, size in calls)
