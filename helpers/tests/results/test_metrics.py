"""Scores against hand-worked cases, scikit-learn and SciPy; tests against their definitions."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import (
    balanced_accuracy_score,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from helpers.results import metrics

PROBABILITIES = np.array(
    [[0.70, 0.15, 0.15], [0.62, 0.20, 0.18], [0.10, 0.78, 0.12], [0.10, 0.28, 0.62]]
)
LABELS = np.array([0, 1, 1, 2])
PREDICTIONS = np.array([0, 0, 1, 2])


def random_logits(images: int = 300, classes: int = 5, seed: int = 0):
    """Logits (images, classes) that are right more often than not, and their labels."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(images) % classes)
    logits = generator.normal(size=(images, classes))
    logits[np.arange(images), labels] += 1.5
    return logits, labels


def accuracy(predictions, labels):
    return float(np.mean(predictions == labels))


def test_temperature_undoes_a_scale():
    logits, labels = random_logits(images=2000)
    own = metrics.temperature(logits, labels)
    for scale in (0.3, 5.0):
        assert metrics.temperature(scale * logits, labels) == pytest.approx(scale * own, rel=1e-3)


def test_no_other_temperature_has_a_lower_nll():
    logits, labels = random_logits(images=2000)

    def nll(temperature):
        return log_loss(labels, metrics.softmax(logits / temperature))

    best = metrics.temperature(logits, labels)
    assert nll(best) < min(nll(0.98 * best), nll(1.02 * best))


def test_temperature_of_a_model_that_is_always_right_stays_finite():
    assert 0.02 <= metrics.temperature(np.eye(3) * 10, np.arange(3)) < 1


def test_scores_worked_out_by_hand():
    result = metrics.scores(np.log(PROBABILITIES), LABELS)
    expected = {
        "accuracy": 3 / 4,
        "macro_precision": (1 / 2 + 1 + 1) / 3,
        "macro_recall": (1 + 1 / 2 + 1) / 3,
        "macro_f1": (2 / 3 + 2 / 3 + 1) / 3,
        # Class 1: 3 of its 4 pairs are in order; the other classes' pairs all are.
        "roc_auc_ovr": (1 + 3 / 4 + 1) / 3,
        "nll": -np.log(0.70 * 0.20 * 0.78 * 0.62) / 4,
        # Confidence 0.70 right, 0.78 right, and a bin of two at 0.62 of which one is right.
        "ece": (0.30 + 0.22 + 2 * 0.12) / 4,
    }
    assert list(result) == list(expected)
    assert all(type(value) is float for value in result.values())
    assert result == pytest.approx(expected)


def test_scores_agree_with_scikit_learn():
    logits, labels = random_logits()
    result = metrics.scores(logits, labels)
    exponentials = np.exp(logits)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    predictions = logits.argmax(axis=1)
    assert result["macro_precision"] == pytest.approx(
        precision_score(labels, predictions, average="macro")
    )
    assert result["macro_recall"] == pytest.approx(balanced_accuracy_score(labels, predictions))
    assert result["macro_f1"] == pytest.approx(f1_score(labels, predictions, average="macro"))
    assert result["roc_auc_ovr"] == pytest.approx(
        roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    )
    assert result["nll"] == pytest.approx(log_loss(labels, probabilities))


def test_scores_of_two_classes():
    logits, labels = random_logits(images=60, classes=2)
    margin = logits[:, 1] - logits[:, 0]
    result = metrics.scores(logits, labels)["roc_auc_ovr"]
    assert result == pytest.approx(roc_auc_score(labels, margin))


def test_scores_of_float16_logits_use_float64_arithmetic():
    logits, labels = random_logits()
    stored = logits.astype(np.float16)
    assert metrics.scores(stored, labels) == metrics.scores(stored.astype(np.float64), labels)


@pytest.mark.filterwarnings("error")
def test_scores_are_stable_for_large_logits():
    logits = np.array([[3e4, -3e4], [3e4, -3e4]], dtype=np.float16)
    result = metrics.scores(logits, np.array([0, 1]))
    assert result["nll"] == pytest.approx(float(logits[0, 0]))
    assert result["macro_precision"] == 0.25  # class 1 is never predicted: 0, without a warning


def test_scores_name_the_missing_classes():
    with pytest.raises(ValueError, match=r"\[1, 3\].*score a set in which every class occurs"):
        metrics.scores(np.zeros((3, 4)), np.array([0, 2, 2]))


def test_accuracy_is_the_share_of_right_predictions():
    assert metrics.accuracy([0, 2, 1, 1], [0, 1, 1, 1]) == 0.75


@pytest.mark.parametrize("classes", [2, 5, 10])
def test_macro_f1_agrees_with_scikit_learn(classes):
    logits, labels = random_logits(classes=classes)
    predictions = logits.argmax(axis=1)
    expected = f1_score(labels, predictions, average="macro")
    assert metrics.macro_f1(predictions, labels) == pytest.approx(expected)


def test_macro_f1_leaves_out_classes_that_do_not_occur():
    # Class 0: 2 right, 3 predicted, 3 true; class 2 is missed and class 5 is wrong: 0 for both.
    result = metrics.macro_f1(np.array([0, 0, 5, 0]), np.array([0, 0, 0, 2]))
    assert result == pytest.approx((2 * 2 / (3 + 3) + 0 + 0) / 3)


def test_class_mean_by_hand():
    # Class 1: 1 right, 1 predicted, 2 true; class 2: 1, 1 and 1. Class 0 is left out.
    expected = {"precision": 1, "recall": 3 / 4, "f1": (2 / 3 + 1) / 2}
    results = {score: metrics.class_mean(score, [2, 1])(PREDICTIONS, LABELS) for score in expected}
    assert results == pytest.approx(expected)


@pytest.mark.parametrize(
    ("score", "reference"),
    [("precision", precision_score), ("recall", recall_score), ("f1", f1_score)],
)
def test_class_mean_agrees_with_scikit_learn(score, reference):
    logits, labels = random_logits()
    logits[:, 3] = -9  # never predicted
    predictions = logits.argmax(axis=1)
    expected = reference(labels, predictions, labels=[1, 3], average="macro", zero_division=0)
    assert metrics.class_mean(score, (1, 3))(predictions, labels) == pytest.approx(expected)


@pytest.mark.parametrize("score", ["precision", "recall", "f1"])
def test_class_mean_is_undefined_where_a_class_has_no_image(score):
    assert np.isnan(metrics.class_mean(score, [0, 3])(PREDICTIONS, LABELS))


def test_per_class_by_hand():
    table = metrics.per_class(PREDICTIONS, LABELS, ["cat", "deer", "dog", "frog"])
    expected = pd.DataFrame(
        {
            "precision": [1 / 2, 1, 1, 0],
            "recall": [1, 1 / 2, 1, 0],
            "f1": [2 / 3, 2 / 3, 1, 0],
            "support": [1, 2, 1, 0],
        },
        index=pd.Index(["cat", "deer", "dog", "frog"], name="class"),
    )
    pd.testing.assert_frame_equal(table, expected)


def test_confusion_has_true_classes_in_rows():
    matrix = metrics.confusion(PREDICTIONS, LABELS, 4)
    assert matrix.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert np.issubdtype(matrix.dtype, np.integer)


def test_softmax_by_hand():
    probabilities = metrics.softmax(np.array([[0, np.log(3)], [1000, 0]], dtype=np.float32))
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities, [[0.25, 0.75], [1, 0]], atol=1e-7)


def test_reliability_by_hand():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.375, 0.375, 0.25], [0.0, 1.0, 0.0]])
    table = metrics.reliability(probabilities, np.array([1, 0, 1]), bins=4)
    expected = pd.DataFrame(
        {
            "lower": [0, 0.25, 0.5, 0.75],
            "upper": [0.25, 0.5, 0.75, 1],
            "count": [0, 2, 0, 1],  # a confidence of 0.5 belongs to (0.25, 0.5]
            "confidence": [np.nan, 0.4375, np.nan, 1],
            "accuracy": [np.nan, 0.5, np.nan, 1],
        }
    )
    pd.testing.assert_frame_equal(table, expected)
    error = metrics.expected_calibration_error(probabilities, np.array([1, 0, 1]), bins=4)
    assert error == pytest.approx(2 / 3 * 0.0625)


def test_reliability_takes_probabilities_that_were_rounded_above_one():
    table = metrics.reliability([[1.0005, 0.0], [1.0, 0.0004]], [0, 1], bins=2)
    assert table["count"].tolist() == [0, 2]


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_error_follows_its_definition(bins):
    logits, labels = random_logits()
    probabilities = metrics.softmax(logits)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    expected = 0.0
    for lower in range(bins):
        inside = (confidence > lower / bins) & (confidence <= (lower + 1) / bins)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    result = metrics.expected_calibration_error(probabilities, labels, bins)
    assert result == pytest.approx(expected)


@pytest.mark.parametrize("confidence", [0.5, 0.75, 1.0])
def test_perfect_calibration_has_no_error(confidence):
    probabilities = np.tile([confidence, 1 - confidence], (8, 1))
    labels = (np.arange(8) >= 8 * confidence).astype(int)
    assert metrics.expected_calibration_error(probabilities, labels) == 0


def test_adjustment_by_hand():
    adjusted = metrics.adjust_logits([[2.0, 1.0, 1.0]], [500, 250, 250])
    np.testing.assert_allclose(adjusted, [[2 + np.log(2), 1 + np.log(4), 1 + np.log(4)]])
    doubled = metrics.adjust_logits([[2.0, 1.0, 1.0]], [500, 250, 250], tau=2)
    np.testing.assert_allclose(doubled, [[2 + np.log(4), 1 + np.log(16), 1 + np.log(16)]])


def test_adjustment_turns_the_training_posterior_into_the_balanced_one():
    likelihoods = np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])  # p(image | class)
    counts = np.array([100, 20, 80])
    posterior = likelihoods * counts / (likelihoods * counts).sum(axis=1, keepdims=True)
    balanced = metrics.softmax(metrics.adjust_logits(np.log(posterior), counts))
    np.testing.assert_allclose(balanced, likelihoods / likelihoods.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("tau", [0.5, 1, 2])
def test_adjustment_with_uniform_counts_changes_no_prediction(tau):
    logits, _ = random_logits()
    adjusted = metrics.adjust_logits(logits, np.full(5, 700), tau)
    assert (adjusted.argmax(axis=1) == logits.argmax(axis=1)).all()


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_gives_published_values(correct, total, low, high):
    assert metrics.wilson_interval(correct, total) == pytest.approx((low, high), abs=5e-5)


def test_wilson_interval_narrows_with_less_confidence():
    # By hand for 1 of 2 with z = 1, the middle 68.27 %: 0.5 -+ sqrt(1/8 + 1/16) / (1 + 1/2).
    confidence = stats.norm.cdf(1) - stats.norm.cdf(-1)
    half = np.sqrt(1 / 8 + 1 / 16) / 1.5
    assert metrics.wilson_interval(1, 2, confidence) == pytest.approx((0.5 - half, 0.5 + half))


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.6, 0.7], [1, 1]),
        ([0.02], [0.02]),
        ([0.0, 1.0, 0.0], [0, 1, 0]),
        ([], []),
    ],
)
def test_holm_by_hand(p_values, adjusted):
    np.testing.assert_allclose(metrics.holm(p_values), adjusted)


# The closure principle: a hypothesis falls if Bonferroni rejects every set of them that holds it.
@pytest.mark.parametrize("seed", range(5))
def test_holm_is_the_closed_bonferroni_test(seed):
    p_values = np.random.default_rng(seed).beta(0.5, 3, size=6)
    expected = [
        max(
            min(1, size * p_values[list(tests)].min())
            for size in range(1, 7)
            for tests in combinations(range(6), size)
            if test in tests
        )
        for test in range(6)
    ]
    np.testing.assert_allclose(metrics.holm(p_values), expected)


LOGITS = np.log(PROBABILITIES)
INFINITE = np.where(np.arange(4)[:, None] == 2, np.inf, LOGITS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.scores(LOGITS[0], LABELS), r"logits have shape \(3,\).*pass"),
        (lambda: metrics.scores(LOGITS[:, :1], LABELS), r"logits have shape \(4, 1\).*2 classes"),
        (lambda: metrics.scores(LOGITS[:0], LABELS[:0]), "at least 1 image"),
        (
            lambda: metrics.scores(INFINITE, LABELS),
            "NaN or inf in 1 of 4 rows, first in row 2",
        ),
        (lambda: metrics.softmax([[np.nan, 0]]), "logits have NaN or inf.*wider float type"),
        (lambda: metrics.scores(LOGITS, LABELS[:3]), "'logits': 4, 'labels': 3.*same images"),
        (lambda: metrics.scores(LOGITS, LABELS + 1), "labels go from 1 to 3.*from 0 to 2"),
        (lambda: metrics.scores(LOGITS, LABELS - 1), "labels go from -1 to 1.*from 0 to 2"),
        (lambda: metrics.scores(LOGITS, LABELS * 1.0), r"labels are float64.*astype\(int\)"),
        (lambda: metrics.scores(LOGITS, LABELS[:, None]), r"labels have shape \(4, 1\).*ravel"),
        (lambda: metrics.reliability(LOGITS, LABELS), r"pass softmax\(logits\)"),
        (lambda: metrics.reliability(PROBABILITIES * 2, LABELS), r"pass softmax\(logits\)"),
        (lambda: metrics.reliability([[1.5, -0.5]], [0]), r"pass softmax\(logits\)"),
        (lambda: metrics.reliability(PROBABILITIES, LABELS, bins=0), "bins is 0: pass 1 or more"),
        (lambda: metrics.per_class(PREDICTIONS, LABELS, ["a", "b"]), "predictions go.*0 to 1"),
        (lambda: metrics.confusion(PREDICTIONS, LABELS, 2), "predictions go from 0 to 2.*0 to 1"),
        (lambda: metrics.confusion(LOGITS, LABELS, 3), r"predictions have.*argmax\(axis=1\)"),
        (lambda: metrics.accuracy(PREDICTIONS, LABELS[:2]), "lengths differ.*same images"),
        (lambda: metrics.macro_f1(PREDICTIONS - 1, LABELS), "predictions go from -1 to 1"),
        (lambda: metrics.class_mean("accuracy", [0]), "choose precision, recall or f1"),
        (lambda: metrics.class_mean("recall", []), r"group is \[\]: pass one class number"),
        (lambda: metrics.class_mean("recall", [0, -1]), r"group is \[-1, 0\]: pass one class"),
        (
            lambda: metrics.adjust_logits(LOGITS, [1, 2]),
            r"shape \(2,\).*one training count a class",
        ),
        (lambda: metrics.adjust_logits(LOGITS, [1, 0, 2]), "needs a positive training count"),
        (lambda: metrics.adjust_logits(LOGITS, [1, -1, 2]), "needs a positive training count"),
        (lambda: metrics.adjust_logits(LOGITS, [1, np.nan, 2]), "needs a positive training count"),
        (lambda: metrics.adjust_logits(LOGITS, [1, 2, 3], np.nan), "tau is nan: pass a finite"),
        (lambda: metrics.wilson_interval(5, 4), "5 correct of 4.*correct <= total"),
        (lambda: metrics.wilson_interval(-1, 4), "correct <= total"),
        (lambda: metrics.wilson_interval(0, 0), "at least one image"),
        (lambda: metrics.wilson_interval(1, 2, 95), "confidence is 95: pass a share"),
        (lambda: metrics.holm([0.1, np.nan]), "without NaN"),
        (lambda: metrics.holm([0.1, -0.1]), r"numbers in \[0, 1\]"),
        (lambda: metrics.holm([0.1, 1.1]), r"numbers in \[0, 1\]"),
        (lambda: metrics.holm([[0.1]]), "pass one row"),
    ],
)
def test_bad_input_names_the_fix(call, message):
    with pytest.raises(ValueError, match=message):
        call()
