"""Models in other files than the recorded one: what they give is what the model gives."""

import numpy as np
import pytest

from helpers import training
from helpers.backend import keras
from helpers.models.layers import SequencePooling
from helpers.records import runs
from helpers.training import exporting

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="these formats are TensorFlow's"
)


@pytest.fixture(scope="module")
def model():
    return training.load_model(runs.read("cifar10/cct/short"))


@pytest.fixture(scope="module")
def logits(model, sample):
    return model.predict_on_batch(sample.x_test[:8])


@on_tensorflow
def test_a_saved_model_gives_the_same_logits(model, logits, sample, tmp_path):
    import tensorflow

    model.export(tmp_path / "saved", verbose=False)
    served = tensorflow.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(served.serve(sample.x_test[:8]), logits, atol=1e-5)


@on_tensorflow
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_litert_gives_the_same_logits(model, logits, sample, tmp_path):
    import tensorflow

    file, images = tmp_path / "model.tflite", sample.x_test[:8]
    model.export(file, format="litert", verbose=False)
    interpreter = tensorflow.lite.Interpreter(str(file))
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(taken["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(taken["index"], images)
    interpreter.invoke()
    np.testing.assert_allclose(interpreter.get_tensor(given["index"]), logits, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_a_quantised_sequence_pooling_is_saved_and_loaded(tmp_path):
    inputs = keras.Input((6, 4))
    x = SequencePooling(name="pool")(keras.layers.Dense(8)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    assert "score_dtype" not in model.get_layer("pool").get_config()
    tokens = np.random.default_rng(0).normal(size=(2, 6, 4)).astype(np.float32)
    before = model.predict_on_batch(tokens)
    model.quantize("int8")
    quantised = model.predict_on_batch(tokens)
    assert model.get_layer("pool").score.quantization_mode == "int8"
    for save in range(2):  # what was loaded can be saved again
        model.save(tmp_path / f"{save}.keras")
        model = keras.models.load_model(tmp_path / f"{save}.keras")
        np.testing.assert_array_equal(model.predict_on_batch(tokens), quantised)
    np.testing.assert_allclose(quantised, before, atol=0.1)


def test_many_classes_are_cut_short_in_the_line_that_names_them():
    assert exporting._listed(["a", "b"]) == "a, b"
    assert exporting._listed([str(i) for i in range(100)]) == "0, 1, ..., 99"
