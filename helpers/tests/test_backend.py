"""Imports in fresh processes: any order works, nothing chatters, nothing loads needlessly."""

import importlib
import importlib.util
import json
import os
import platform
import sys

import pytest

from helpers import backend, config, models

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton, which clashes, is not installed"
)


def test_helpers_alone_are_light(fresh_python):
    code = """
import os, sys
import helpers
print(sum(os.times()[:2]), *sorted({"keras", "tensorflow", "torch"} & set(sys.modules)))
"""
    seconds, *loaded = fresh_python(code).stdout.split()
    assert loaded == []
    assert float(seconds) < 1


def test_the_command_line_loads_no_matplotlib_of_its_own(fresh_python):
    """Whose settings may be broken; and `explain` chooses how it draws before that loads."""
    code = """
import sys
import helpers.__main__
print(*{"keras", "matplotlib", "seaborn", "IPython"} & set(sys.modules))
"""
    assert fresh_python(code).stdout == "\n"


def test_the_order_that_used_to_abort_works_after_helpers(fresh_python):
    result = fresh_python("import helpers, tensorflow, torch, torchvision; print('alive')")
    assert result.stdout == "alive\n"


@needs_triton
def test_tensorflow_before_helpers_asks_for_a_restart(fresh_python):
    code = "import sys, types; sys.modules['tensorflow'] = types.ModuleType('tensorflow')"
    result = fresh_python(f"{code}; import helpers", check=False)
    assert result.returncode == 1
    assert "ImportError" in result.stderr
    assert "restart Python" in result.stderr


def test_tensorflow_backend_is_quiet_and_leaves_torch_alone(fresh_python):
    code = """
import sys
import helpers.backend, tiny
from helpers import training
for _ in range(7):  # after five models TensorFlow would warn of retracing
    training.predict_logits(tiny.new_model(), tiny.dataset().x_test)
print(helpers.backend.keras.backend.backend(), "torch" in sys.modules)
import torch, torchvision
"""
    result = fresh_python(code, KERAS_BACKEND=None, TF_CPP_MIN_LOG_LEVEL=None)
    assert result.stdout == "tensorflow False\n"
    assert result.stderr == ""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="oneDNN is for x86")
def test_tensorflow_convolves_by_onednn(fresh_python):
    code = """
import numpy as np
from helpers import models, training
training.predict_logits(models.build("cnn_baseline"), np.zeros((100, 32, 32, 3), np.uint8))
"""
    environment = {"KERAS_BACKEND": "tensorflow", "ONEDNN_VERBOSE": "1"}
    environment["CUDA_VISIBLE_DEVICES"] = "-1"
    default = fresh_python(code, TF_ENABLE_ONEDNN_OPTS=None, **environment)
    assert ",convolution," in default.stdout
    without = fresh_python(code, TF_ENABLE_ONEDNN_OPTS="0", **environment)
    assert ",convolution," not in without.stdout


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="others have their own way")
def test_freed_memory_is_kept(fresh_python):
    code = """
import ctypes, resource
from helpers import backend

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p

def page_faults():
    memory = ctypes.c_void_p(libc.malloc(100 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    ctypes.memset(memory, 1, 100 << 20)
    libc.free(memory)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(page_faults(), page_faults())
"""
    first, again = map(int, fresh_python(code).stdout.split())
    assert again < first / 10  # other threads have some, too


def test_fit_on_torch_is_quiet(fresh_python):
    code = """
import helpers.backend, tiny
from helpers import training
training.fit(tiny.new_model(), tiny.EXPERIMENT.settings, tiny.split(), 0)
print(helpers.backend.keras.backend.backend())
import torchvision, tensorflow
"""
    result = fresh_python(code, KERAS_BACKEND="torch", TF_CPP_MIN_LOG_LEVEL=None)
    *epochs, backend = result.stdout.splitlines()
    assert backend == "torch"
    assert [line.split(" val_accuracy")[0] for line in epochs] == [
        "training: epoch 1/2",
        "training: epoch 2/2",
    ]
    assert result.stderr == ""


def test_another_backend_asks_for_a_restart(monkeypatch):
    here = backend.keras.backend.backend()
    monkeypatch.setenv("KERAS_BACKEND", "torch" if here == "tensorflow" else "tensorflow")
    with pytest.raises(ImportError, match=f"already runs on {here}.*restart Python"):
        importlib.reload(backend)


def test_an_empty_backend_is_unset(fresh_python):
    code = "import helpers, os; print(os.environ['KERAS_BACKEND'])"
    assert fresh_python(code, KERAS_BACKEND="").stdout == "tensorflow\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytorch", "KERAS_BACKEND is 'pytorch': choose from tensorflow, torch, jax"),
        ("Torch", "KERAS_BACKEND is 'Torch': choose from"),
        ("jax", "KERAS_BACKEND is jax, which is not installed: run pip install jax"),
    ],
)
def test_a_backend_that_is_not_to_be_had_says_what_to_do(monkeypatch, name, text):
    monkeypatch.setenv("KERAS_BACKEND", name)
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(config.BackendError, match=text):
        config.backend()


def test_commands_say_it_in_one_line(fresh_python):
    code = """
import sys
from helpers.__main__ import main
sys.exit(main(["export", "cifar10/vit/short", "vit.keras"]))
"""
    result = fresh_python(code, check=False, KERAS_BACKEND="pytorch")
    assert result.returncode == 1
    assert result.stderr == (
        "error: KERAS_BACKEND is 'pytorch': choose from tensorflow, torch, jax\n"
    )


def test_chatter_is_held_back_unless_the_import_fails(capfd):
    with backend._quiet():
        os.write(2, b"noise")
    assert capfd.readouterr().err == ""

    def fail():
        os.write(2, b"the cause")
        raise ImportError

    with pytest.raises(ImportError), backend._quiet():
        fail()
    assert capfd.readouterr().err == "the cause"


# --- Keras's own settings -----------------------------------------------------------------------

SETTINGS = """
from helpers.backend import keras
from helpers import models
model = models.build("cct")
of = keras.config
print(models.trainable_parameters(model), model.get_layer("conv1").data_format, model.dtype)
print(of.image_data_format(), of.floatx(), of.epsilon(), of.dtype_policy().name)
"""
THE_STUDY_S = "283723 channels_last float32\nchannels_last float32 1e-07 float32\n"


def test_the_user_s_keras_json_changes_nothing(fresh_python, tmp_path):
    settings = {"image_data_format": "channels_first", "floatx": "float64", "epsilon": 1e-2}
    settings |= {"nnx_enabled": True, "backend": "theano"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    result = fresh_python(SETTINGS, KERAS_HOME=str(tmp_path))
    assert result.stdout == THE_STUDY_S
    assert result.stderr == ""


def test_a_program_that_set_keras_before_gets_the_study_s_models(fresh_python):
    before = """
import helpers, keras
keras.config.set_dtype_policy("mixed_bfloat16")
keras.config.set_image_data_format("channels_first")
"""
    assert fresh_python(before + SETTINGS).stdout == THE_STUDY_S


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ('{"image_data_format": "first"}', {}, "keras.json (ValueError"),
        ('{"floatx": 32}', {}, "keras.json (ValueError"),
        ("[]", {}, "keras.json (AttributeError"),
        ("{}", {"KERAS_MAX_EPOCHS": "1"}, "KERAS_MAX_EPOCHS is set"),
        ("{}", {"KERAS_MAX_STEPS_PER_EPOCH": "1"}, "KERAS_MAX_STEPS_PER_EPOCH is set"),
    ],
)
def test_settings_that_keras_cannot_use_are_named(
    fresh_python, tmp_path, text, environment, expected
):
    (tmp_path / "keras.json").write_text(text)
    code = """
import sys
from helpers.__main__ import main
sys.exit(main(["export", "cifar10/vit/short", "vit.keras"]))
"""
    result = fresh_python(code, check=False, KERAS_HOME=str(tmp_path), **environment)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert expected in result.stderr
    assert result.stderr.count("\n") == 1


def test_models_are_not_built_with_another_order_of_axes(monkeypatch):
    monkeypatch.setattr(backend.keras.config, "image_data_format", lambda: "channels_first")
    with pytest.raises(ValueError, match=r"set to channels_first and float32.*call keras\.config"):
        models.build("cct")
