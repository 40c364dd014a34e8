"""A linear head on frozen features: what serves few images best, where a pre-trained network does.

model = models.build("efficientnet_lite0", classes, pretrained=True)
x, x_val = (training.features(model, images) for images in (x_train, x_validation))
head = training.linear_head(model, x, y_train, x_val, y_validation)
training.predict_logits(head.model, x_test)
"""

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from tqdm import tqdm

from helpers.backend import keras
from helpers.training.recorded import predict_logits

BLOCK = 500  # images, after which the bar of `features` moves
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)  # inverse: scikit-learn's C, small is strong


class LinearHead(NamedTuple):
    """A model whose last layer was fitted, and what was tried for it."""

    model: keras.Model  # from pixels to logits
    c: float  # the one that was chosen
    tried: pd.DataFrame  # by C: `val_accuracy`, `val_nll`


def features(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """What a model's last dense layer reads of uint8 images (N, S, S, 3): float32 (N, D).

    It takes nearly all of the time: compute it once for several heads.

    Raises:
        ValueError: the last layer is not dense.
    """
    body, found = without_head(model), []
    with tqdm(total=len(images), desc="Features", unit="", disable=None, leave=False) as bar:
        for start in range(0, len(images), BLOCK):
            found.append(predict_logits(body, images[start : start + BLOCK]))
            bar.update(len(found[-1]))
    return np.concatenate(found)


def without_head(model: keras.Model) -> keras.Model:
    """A model up to what its last dense layer reads, float32 (N, D).

    Raises:
        ValueError: the last layer is not dense.
    """
    return keras.Model(model.input, _last(model).input)


def linear_head(
    model: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    x_validation: np.ndarray,
    y_validation: np.ndarray,
    class_weight: str | None = None,
) -> LinearHead:
    """Fit a model's last layer by logistic regression; its other layers stay as they are.

    The penalty (L2, scikit-learn's `C`, of `STRENGTHS`) is the one with the lowest negative log
    likelihood on validation, the stronger on a tie: a few dozen images tell accuracies hardly
    apart.

    Args:
        model: from pixels to logits; the weights of its last dense layer are replaced.
        x: `features` of the training images, (N, D).
        y: their labels, int (N,).
        x_validation: features of the validation images, (M, D).
        y_validation: their labels, int (M,).
        class_weight: "balanced", each image weighed by the rarity of its class, in the choice of
            the penalty too; or None.

    Returns:
        The model itself, the chosen C, and a table of all that was tried.

    Raises:
        ValueError: features and labels do not fit the model; a class without training images; no
            validation image; the last layer is not dense.
    """
    last = _last(model)
    inputs, classes = last.kernel.shape
    x, x_validation = np.asarray(x, float), np.asarray(x_validation, float)
    for part, values, labels in (("train", x, y), ("validation", x_validation, y_validation)):
        if values.shape != (len(labels), inputs) or not len(labels):
            raise ValueError(
                f"{part}: features {values.shape} for {len(labels)} labels and a layer of {inputs} "
                "inputs: pass what training.features gives for the images of these labels"
            )
    missing = sorted({*range(classes)} ^ {*np.unique(y).tolist()})
    if missing:
        raise ValueError(
            f"train: classes {missing} have no image, or no logit: labels go from 0 to "
            f"{classes - 1}, each of them at least once"
        )
    counts = np.bincount(y, minlength=classes)
    weights = 1 / counts[y_validation] if class_weight else None

    best, rows = None, []
    for c in STRENGTHS:
        fitted = _fit(x, y, c, class_weight)
        kernel, bias = _softmax_weights(fitted)
        logits = x_validation @ kernel + bias
        nll = log_loss(
            y_validation,
            np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)),
            sample_weight=weights,
            labels=range(classes),
        )
        rows.append((c, (logits.argmax(1) == y_validation).mean(), nll))
        if best is None or nll < best[0]:
            best = nll, c, kernel, bias
    _, c, kernel, bias = best
    last.set_weights([kernel, bias])
    tried = pd.DataFrame(rows, columns=["C", "val_accuracy", "val_nll"]).set_index("C")
    return LinearHead(model, c, tried)


def _last(model):
    last = model.layers[-1]
    if not isinstance(last, keras.layers.Dense) or not last.use_bias:
        raise ValueError(
            f"the last layer of model {model.name!r}, {last.name!r}, is not dense with a bias: "
            "choose a model that ends in one, such as efficientnet_lite0"
        )
    return last


def _fit(x, y, c, class_weight):
    with warnings.catch_warnings():
        # With a weak penalty it goes on for long after validation has stopped to gain.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=c, class_weight=class_weight, max_iter=1000).fit(x, y)


def _softmax_weights(fitted):
    """Kernel (D, classes) and bias (classes,) of the same probabilities by softmax."""
    kernel, bias = fitted.coef_.T, fitted.intercept_
    if len(fitted.classes_) == 2:  # one logit, of the second class against the first
        kernel, bias = np.hstack([-kernel, kernel]) / 2, np.hstack([-bias, bias]) / 2
    return kernel, bias
