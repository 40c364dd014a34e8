"""ROC curves of many classes: one curve a model, the mean of one-vs-rest."""

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from helpers.results import metrics

# Denser where good models differ; of 9,000 negatives one is 0.0001.
GRID = np.concatenate([[0], np.geomspace(1e-4, 1, 400)])


def mean_curve(logits: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """The mean over classes of their one-vs-rest ROC curves, as a table for a figure.

    `logits` are (N, C), ranked by their softmax probabilities as in `metrics.scores`; `labels` are
    (N,), with every class among them. Columns: `false positive rate`, on `GRID`, and `true
    positive rate`, the mean of the classes' at that rate; the area is their mean area, to 0.001.
    """
    probabilities = metrics.softmax(logits)
    curves = []
    for label in range(probabilities.shape[1]):
        false, true, _ = roc_curve(labels == label, probabilities[:, label])
        curves.append(np.interp(GRID, false, true))  # where it rises upright, its upper end
    return pd.DataFrame(
        {"false positive rate": GRID, "true positive rate": np.mean(curves, axis=0)}
    )
