"""Models of recorded runs, and what they predict."""

import math

import numpy as np
import pandas as pd

from helpers import data
from helpers.backend import keras
from helpers.models import build
from helpers.records import runs
from helpers.training.arithmetic import full_float32

PREDICTED = 500  # images of 32 pixels at a time, of larger ones as many fewer


def load_model(run: runs.Run) -> keras.Model:
    """The model of a recorded run with its chosen weights.

    Raises:
        FileNotFoundError: the run keeps predictions only.
        ValueError: its weights are damaged, or do not fit the model.
    """
    weights = run.require_weights()
    options = dict(run.config["model_options"])
    model = build(run.info["model"], run.test_logits.shape[1], **options)
    try:
        model.load_weights(weights)
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"{weights} does not hold weights of {run.info['model']}: {run.remedy}"
        ) from error
    return model


def reproduce(run: runs.Run) -> pd.Series:
    """Evaluate a run's weights on the sample's 1,000 test images, beside what was recorded.

    Gives `accuracy_recorded` and `accuracy_live` on these images, `largest_difference` of the
    logits and `labels_changed`.

    Raises:
        FileNotFoundError: the run keeps predictions only.
        ValueError: the run is on CIFAR-100, of which there is no sample.
    """
    if data.VARIANTS[run.info["data"]].source != "cifar10":
        raise ValueError(f"the sample has no images of {run.info['data']}: choose a run on cifar10")
    sample = data.load_sample()
    live = predict_logits(load_model(run), sample.x_test)
    recorded = run.test_logits[sample.test_index]
    return pd.Series(
        {
            "accuracy_recorded": (recorded.argmax(1) == sample.y_test).mean(),
            "accuracy_live": (live.argmax(1) == sample.y_test).mean(),
            "largest_difference": np.abs(live - recorded).max(),
            "labels_changed": int((live.argmax(1) != recorded.argmax(1)).sum()),
        }
    )


def predict_logits(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Logits (N, C) float32 of uint8 images (N, S, S, 3), the same on a GPU as on a CPU."""
    # EfficientNet-Lite0 at 224 pixels keeps 5 MB of maps for an image: 500 would be too many.
    at_once = max(1, PREDICTED * 32**2 // math.prod(images.shape[1:3]))
    with full_float32():
        if len(images) <= at_once:  # `predict` would take longer to start than to compute
            return model.predict_on_batch(images)
        return model.predict(images, batch_size=at_once, verbose=0)


def predict_tta(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Logits (N, C) float32 of uint8 images (N, S, S, 3), averaged over six views of each.

    Half the weight has the image itself, a quarter each the image shifted by one pixel up and
    left, and down and right, with its edge reflected; all of them also mirrored (Jordan 2024,
    section 3.5).
    """
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    logits = 0.0
    for weight, shift in ((0.5, 1), (0.25, 0), (0.25, 2)):
        view = padded[:, shift : shift + images.shape[1], shift : shift + images.shape[2]]
        for seen in (view, view[:, :, ::-1]):
            logits += weight / 2 * predict_logits(model, np.ascontiguousarray(seen))
    return logits
