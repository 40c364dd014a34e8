"""A linear head on frozen features."""

import numpy as np
import pytest
import tiny
from sklearn.linear_model import LogisticRegression

from helpers import training
from helpers.backend import keras
from helpers.models import build


@pytest.fixture(scope="module")
def images(sample):
    """Training, validation and test images of the first classes, 40 of each class in all."""

    def parts(classes):
        chosen = np.concatenate([np.flatnonzero(sample.y_train == c)[:40] for c in range(classes)])
        x, y = sample.x_train[chosen], sample.y_train[chosen]
        return [(x[start::4], y[start::4]) for start in range(3)]

    return parts


def fitted(model, parts, **options):
    (x, y), (x_val, y_val), _ = parts
    x, x_val = training.features(model, x), training.features(model, x_val)
    return x, training.linear_head(model, x, y, x_val, y_val, **options)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_one_model_from_pixels_to_scikit_learn_s_probabilities(images, classes, class_weight):
    model, parts = tiny.model(classes), images(classes)
    before = model.get_weights()[:-2]
    x, head = fitted(model, parts, class_weight=class_weight)
    assert head.model is model
    assert head.tried.val_nll.idxmin() == head.c
    for now, then in zip(model.get_weights()[:-2], before, strict=True):
        np.testing.assert_array_equal(now, then)
    reference = LogisticRegression(C=head.c, class_weight=class_weight, max_iter=1000)
    reference.fit(x.astype(float), parts[0][1])
    x_test = parts[2][0]
    logits = training.predict_logits(head.model, x_test)
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    expected = reference.predict_proba(training.features(model, x_test))
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_the_scores_of_what_was_tried_are_those_on_validation(images):
    model, parts = tiny.model(3), images(3)
    _, head = fitted(model, parts)
    x, y = parts[1]
    logits = training.predict_logits(model, x)
    own = head.tried.loc[head.c]
    assert own.val_accuracy == (logits.argmax(1) == y).mean()
    logs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    assert own.val_nll == pytest.approx(-logs[np.arange(len(y)), y].mean(), abs=1e-5)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"x": np.zeros((4, 31))}, r"train: features \(4, 31\) for 4 labels and a layer of 32"),
        ({"x_validation": np.zeros((1, 32))}, r"validation: features \(1, 32\) for 2 labels"),
        (
            {"x_validation": np.zeros((0, 32)), "y_validation": np.zeros(0, int)},
            "validation: features .* for 0 labels",
        ),
        ({"y": np.array([0, 1, 1, 0])}, r"train: classes \[2\] have no image"),
        ({"y": np.array([0, 1, 2, 3])}, r"train: classes \[3\] have no image, or no logit"),
    ],
)
def test_what_does_not_fit_is_refused(change, text):
    good = {
        "x": np.zeros((4, 32)),
        "y": np.array([0, 1, 2, 2]),
        "x_validation": np.zeros((2, 32)),
        "y_validation": np.array([0, 1]),
    }
    with pytest.raises(ValueError, match=text):
        training.linear_head(tiny.model(3), **good | change)


def test_a_model_that_does_not_end_in_a_dense_layer_is_refused():
    with pytest.raises(ValueError, match="'fast_cnn', 'logits', is not dense with a bias"):
        training.features(build("fast_cnn", 2), np.zeros((1, 32, 32, 3), np.uint8))


def test_large_images_are_predicted_fewer_at_a_time():
    class Counts:
        """Gives how many images it was handed at a time."""

        def predict(self, images, batch_size, verbose):
            return batch_size

    images = np.zeros((600, 64, 64, 3), np.uint8)
    assert training.predict_logits(Counts(), images) == 125
