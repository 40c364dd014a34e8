"""Mean ROC curves: of perfect, of blind and of usual scores."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from helpers.results import metrics, roc

LABELS = np.repeat(np.arange(4), 500)
ONE_HOT = np.eye(4)[LABELS]
FALSE, TRUE = "false positive rate", "true positive rate"


def test_perfect_logits_find_all_before_any_false_positive():
    curve = roc.mean_curve(9 * ONE_HOT, LABELS)
    assert curve[TRUE].eq(1).all()
    assert curve[FALSE].iloc[[0, -1]].tolist() == [0, 1]


def test_the_same_logits_for_all_are_chance():
    curve = roc.mean_curve(np.ones((2000, 4)), LABELS)
    assert curve[TRUE].to_numpy() == pytest.approx(curve[FALSE].to_numpy())


def test_the_area_is_the_mean_of_the_classes_areas():
    logits = ONE_HOT + np.random.default_rng(0).normal(size=ONE_HOT.shape)
    curve = roc.mean_curve(logits, LABELS)
    area = np.trapezoid(curve[TRUE], curve[FALSE])
    auc = roc_auc_score(ONE_HOT, metrics.softmax(logits), average="macro")
    assert area == pytest.approx(auc, abs=1e-3)
    assert curve[TRUE].is_monotonic_increasing
