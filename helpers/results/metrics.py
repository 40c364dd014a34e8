"""Scores, calibration and intervals of recorded predictions, and the correction of p-values.

Everything here takes arrays: logits are float (N, C), probabilities are float (N, C) with rows
that sum to 1, labels and predictions are class numbers, int (N,). Whatever the logits' precision,
the arithmetic is float64.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import optimize, special, stats
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

Statistic = Callable[[np.ndarray, np.ndarray], float]
"""(predictions, labels), both int (N,), to one number."""


def scores(logits: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """Return the scores that a recorded run keeps, as plain floats.

    Keys: `accuracy`, `macro_precision` (0 for a class that is never predicted), `macro_recall`
    (the balanced accuracy), `macro_f1`, `roc_auc_ovr` (macro one-vs-rest, on the softmax
    probabilities), `nll` (mean, in nats) and `ece` (`expected_calibration_error`, 15 bins).

    Raises ValueError where a class has no image, since its ROC AUC is undefined.
    """
    logits, labels = _checked(logits=logits, labels=labels)
    number_of_classes = logits.shape[1]
    missing = np.setdiff1d(np.arange(number_of_classes), labels).tolist()
    if missing:
        raise ValueError(
            f"no image has a label of the classes {missing}, which leaves their ROC AUC undefined: "
            "score a set in which every class occurs"
        )
    predictions = logits.argmax(axis=1)
    probabilities = softmax(logits)
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predictions, labels=range(number_of_classes), average="macro", zero_division=0
    )
    one_hot = np.eye(number_of_classes, dtype=int)[labels]
    log_likelihood = special.log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    return {
        "accuracy": accuracy(predictions, labels),
        "macro_precision": float(precision),
        "macro_recall": float(recall),
        "macro_f1": float(f1),
        "roc_auc_ovr": float(roc_auc_score(one_hot, probabilities, average="macro")),
        "nll": float(-log_likelihood.mean()),
        "ece": expected_calibration_error(probabilities, labels),
    }


def accuracy(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Return the share of predictions that equal their label."""
    predictions, labels = _checked(predictions=predictions, labels=labels)
    return float(np.mean(predictions == labels))


def macro_f1(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean F1 over the classes that occur in either array.

    Counting makes it tens of times as fast as scikit-learn's `f1_score`, whose value it gives.
    """
    predictions, labels = _checked(predictions=predictions, labels=labels)
    correct, predicted, true = _tallies(predictions, labels)
    occurs = predicted + true > 0
    return float(np.mean(2 * correct[occurs] / (predicted + true)[occurs]))


def class_mean(score: str, group: Sequence[int]) -> Statistic:
    """Return the statistic that takes the mean of a score over the classes in `group`.

    `score` is `precision`, `recall` or `f1`, as in `per_class`; `group` holds class numbers, such
    as those of the scarce classes. The statistic takes class numbers (N,) unchecked, and is NaN
    where a class of the group has no image.

    Raises ValueError for another score, and for a group that is empty or has negative numbers.
    """
    if score not in ("precision", "recall", "f1"):
        raise ValueError(f"score is {score!r}: choose precision, recall or f1")
    group = np.unique(group)
    if not group.size or group[0] < 0:
        raise ValueError(f"group is {group.tolist()}: pass one class number from 0 on, or more")

    def statistic(predictions: np.ndarray, labels: np.ndarray) -> float:
        correct, predicted, true = _tallies(predictions, labels, 1 + group[-1])[:, group]
        if not true.all():
            return float("nan")
        total = {"precision": predicted, "recall": true, "f1": (predicted + true) / 2}[score]
        return float(np.mean(correct / np.maximum(total, 1)))  # 0 correct of 0 predicted is 0

    return statistic


def per_class(predictions: ArrayLike, labels: ArrayLike, classes: Sequence[str]) -> pd.DataFrame:
    """Return `precision`, `recall`, `f1` and `support` of each class, indexed by its name.

    `classes` names the C classes in the order of their numbers. What would be 0 / 0 (the precision
    of a class that is never predicted, the recall of one with support 0) is 0.
    """
    predictions, labels = _checked(len(classes), predictions=predictions, labels=labels)
    columns = precision_recall_fscore_support(
        labels, predictions, labels=range(len(classes)), zero_division=0
    )
    return pd.DataFrame(
        dict(zip(("precision", "recall", "f1", "support"), columns, strict=True)),
        index=pd.Index(classes, name="class"),
    )


def confusion(predictions: ArrayLike, labels: ArrayLike, number_of_classes: int) -> np.ndarray:
    """Return the numbers of images, int (C, C): rows are true classes, columns predicted ones."""
    predictions, labels = _checked(number_of_classes, predictions=predictions, labels=labels)
    return confusion_matrix(labels, predictions, labels=range(number_of_classes))


def most_confident_errors(logits: ArrayLike, labels: ArrayLike, count: int) -> np.ndarray:
    """Return the positions of the `count` wrong predictions of highest confidence, highest first.

    Fewer where fewer are wrong.
    """
    logits, labels = _checked(logits=logits, labels=labels)
    wrong = np.flatnonzero(logits.argmax(axis=1) != labels)
    confidence = softmax(logits)[wrong].max(axis=1)
    return wrong[np.argsort(-confidence, kind="stable")[:count]]


def softmax(logits: ArrayLike) -> np.ndarray:
    """Return the probabilities, float64 (N, C), of logits (N, C)."""
    (logits,) = _checked(logits=logits)
    return special.softmax(logits, axis=1)


def adjust_logits(logits: ArrayLike, class_counts: ArrayLike, tau: float = 1.0) -> np.ndarray:
    """Return logits, float64 (N, C), from which tau * log(prior) of each class is subtracted.

    This is the post-hoc logit adjustment of Menon et al. 2021, "Long-tail learning via logit
    adjustment", section 4.1: a model trained on imbalanced data then aims at the balanced error.
    `class_counts` (C,) are the images of each class that the model was trained on; `tau` 0 changes
    nothing, 1 suits calibrated probabilities, and other values are to be chosen on validation.

    Raises ValueError for counts that are not positive or not one a class.
    """
    (logits,) = _checked(logits=logits)
    counts = np.asarray(class_counts, dtype=np.float64)
    if counts.shape != (logits.shape[1],):
        raise ValueError(
            f"class_counts has shape {counts.shape} for logits of {logits.shape[1]} classes: "
            "pass one training count a class"
        )
    if not (np.isfinite(counts) & (counts > 0)).all():
        raise ValueError(
            f"class_counts are {counts.tolist()}: every class needs a positive training count, "
            "as the logarithm of its prior is subtracted"
        )
    if not np.isfinite(tau):
        raise ValueError(f"tau is {tau}: pass a finite number, such as 1.0")
    return logits - tau * np.log(counts / counts.sum())


def temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """Return the number by which logits are best divided: it minimises their mean NLL.

    See Guo et al. 2017, "On calibration of modern neural networks", section 4.2. It is to be
    chosen on validation; above 1 the model is too sure, below 1 too modest. It is looked for
    between 0.02 and 50, for it has no bound where the model is always right, or no better than
    chance.
    """
    logits, labels = _checked(logits=logits, labels=labels)

    def nll(logarithm: float) -> float:
        scores = special.log_softmax(logits / np.exp(logarithm), axis=1)
        return -scores[np.arange(len(labels)), labels].mean()

    bound = np.log(50)
    return float(np.exp(optimize.minimize_scalar(nll, bounds=(-bound, bound)).x))


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15
) -> float:
    """Return the mean gap between confidence and accuracy over bins, weighted by their images.

    Confidence is the top class's probability; the bins are of equal width (Guo et al. 2017, "On
    calibration of modern neural networks", section 2, equation 3).
    """
    return ece_of(reliability(probabilities, labels, bins))


def ece_of(table: pd.DataFrame) -> float:
    """Return the expected calibration error that a table of `reliability` comes to."""
    gap = (table["accuracy"] - table["confidence"]).abs()
    return float((gap * table["count"]).sum() / table["count"].sum())


def reliability(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15) -> pd.DataFrame:
    """Return the reliability diagram's table: a row for each of the bins of confidence in (0, 1].

    Columns: `lower` (exclusive) and `upper` (inclusive) edge, `count` of images, their mean
    `confidence` and their `accuracy`; the last two are NaN in an empty bin.
    """
    probabilities, labels = _checked(probabilities=probabilities, labels=labels)
    if bins < 1:
        raise ValueError(f"bins is {bins}: pass 1 or more, such as 15")
    edges = np.linspace(0, 1, bins + 1)
    confidence = probabilities.max(axis=1)
    number = np.digitize(confidence, edges[1:-1], right=True)
    images = pd.DataFrame(
        {"confidence": confidence, "accuracy": probabilities.argmax(axis=1) == labels}, dtype=float
    )
    table = pd.DataFrame(
        {
            "lower": edges[:-1],
            "upper": edges[1:],
            "count": np.bincount(number, minlength=bins),
        }
    )
    return table.join(images.groupby(number).mean())


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return (low, high) of a proportion, such as one run's accuracy (Wilson 1927).

    It holds the test set's sampling only; the spread over seeds comes on top.
    """
    _check_confidence(confidence)
    if not 0 <= correct <= total or total == 0:
        raise ValueError(
            f"{correct} correct of {total} images: pass counts with 0 <= correct <= total and "
            "at least one image"
        )
    interval = stats.binomtest(correct, total).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def holm(p_values: ArrayLike) -> np.ndarray:
    """Return p-values (n,) adjusted for n tests, in the order given (Holm 1979, step-down).

    Those at or below a level may be rejected together; the chance of any false rejection is then
    at most that level, however the tests depend on each other.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    if p_values.ndim != 1 or not ((p_values >= 0) & (p_values <= 1)).all():
        raise ValueError(
            f"p_values are {p_values.tolist()}: pass one row of numbers in [0, 1], without NaN"
        )
    ascending = np.argsort(p_values)
    hypotheses_left = np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[ascending] = np.maximum.accumulate(p_values[ascending] * hypotheses_left)
    return np.minimum(adjusted, 1)


def _tallies(predictions: np.ndarray, labels: np.ndarray, at_least: int = 0) -> np.ndarray:
    """Count the images of each class that are right, predicted and true, int (3, C).

    C is the least number of classes that holds all, and at least `at_least`.
    """
    size = max(1 + predictions.max(), 1 + labels.max(), at_least)
    pairs = np.bincount(size * labels + predictions, minlength=size * size).reshape(size, size)
    return np.stack([pairs.diagonal(), pairs.sum(axis=0), pairs.sum(axis=1)])


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: pass a share between 0 and 1, such as 0.95")


def _checked(number_of_classes: int | None = None, **arrays: ArrayLike) -> list[np.ndarray]:
    """Return the named arrays as float64 (N, C) or int (N,), or raise ValueError with the fix.

    `logits` and `probabilities` are (N, C); every other name is of class numbers (N,), which must
    be below C, or below `number_of_classes` where it is given.
    """
    checked = {
        name: _matrix(name, values)
        if name in ("logits", "probabilities")
        else _class_numbers(name, values)
        for name, values in arrays.items()
    }
    lengths = {name: len(values) for name, values in checked.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"lengths differ, {lengths}: pass the same images, in the same order")
    for values in checked.values():
        if values.ndim == 2:
            number_of_classes = values.shape[1]
    highest = np.inf if number_of_classes is None else number_of_classes - 1
    for name, values in checked.items():
        if values.ndim == 1 and (values.min() < 0 or values.max() > highest):
            raise ValueError(
                f"{name} go from {values.min()} to {values.max()}: number the classes from 0"
                + ("" if number_of_classes is None else f" to {highest}")
            )
    return list(checked.values())


def _matrix(name: str, values: ArrayLike) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] < 1 or values.shape[1] < 2:
        raise ValueError(
            f"{name} have shape {values.shape}: pass (images, classes), at least 1 image and "
            "2 classes"
        )
    broken = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if broken.size:
        raise ValueError(
            f"{name} have NaN or inf in {broken.size} of {len(values)} rows, first in row "
            f"{broken[0]}: train again with a lower learning rate, or store a wider float type"
        )
    # The tolerance is that of probabilities that were once float16.
    if name == "probabilities" and (
        values.min() < 0 or np.abs(values.sum(axis=1) - 1).max() > 1e-3
    ):
        raise ValueError("rows of probabilities are not distributions: pass softmax(logits)")
    return values


def _class_numbers(name: str, values: ArrayLike) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(
            f"{name} have shape {values.shape}: pass one class number an image, "
            "by .argmax(axis=1) from logits or one-hot rows, by .ravel() from a column"
        )
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"{name} are {values.dtype}: pass class numbers, by .astype(int)")
    return values.astype(np.int64)
