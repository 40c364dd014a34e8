"""Do two models err on the same images? Error consistency, and images that one alone gets right.

Cohen's kappa over right and wrong (Geirhos et al. 2020, "Beyond accuracy: quantifying
trial-by-trial behaviour of CNNs and humans by measuring error consistency", section 2): two models
of 90 % that erred independently would agree on 82 % of the images; kappa is how much of the way
from there to full agreement they go. 0 is chance, 1 the same errors. Models of different accuracy
cannot reach 1: `bound` is what they would have if the better one were right wherever the other is.

The baseline is kappa between two seeds of one model: what differs there is no architecture. Seeds
differ in their split as well, so two models are compared over different seeds, too.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations, combinations_with_replacement

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from helpers.records import runs
from helpers.results import metrics


def error_consistency(
    predictions_a: ArrayLike, predictions_b: ArrayLike, labels: ArrayLike
) -> dict[str, float]:
    """Compare where two runs are right, from class numbers (N,) of the same images.

    Keys: `observed`, the share of images on which both are right or both wrong; `expected`, that
    share if they erred independently; `kappa`, and `bound`, the highest kappa of two models of
    these accuracies: NaN where independent models, too, would always agree (one of them is always
    right, or always wrong, and so is the other).
    """
    a, b = _right(predictions_a, labels), _right(predictions_b, labels)
    observed = float(np.mean(a == b))
    expected = float(a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean()))
    shares = {"kappa": observed, "bound": 1 - abs(float(a.mean() - b.mean()))}
    left = 1 - expected if expected < 1 else float("nan")
    return {"observed": observed, "expected": expected} | {
        name: (share - expected) / left for name, share in shares.items()
    }


def pairs(chosen: Sequence[runs.Run], labels: np.ndarray) -> pd.DataFrame:
    """A row a pair of runs of different seeds: how far they err on the same test images.

    Columns: `a`, `b` (models, in the order of the first run of each), `seed a`, `seed b`,
    `accuracy a`, `accuracy b`, and those of `error_consistency`.

    Raises:
        ValueError: two runs are of one model and one seed, with different recipes, say.
    """
    known = [(run.info["model"], run.seed) for run in chosen]
    if len(set(known)) < len(known):
        raise ValueError(f"runs are {known}: pass one recipe of each model, each seed once")
    models = list(dict.fromkeys(model for model, _ in known))
    predictions = {
        key: run.test_logits.argmax(axis=1) for key, run in zip(known, chosen, strict=True)
    }
    rows = []
    for one, other in combinations(known, 2):
        if one[1] == other[1]:
            continue
        one, other = sorted((one, other), key=lambda key: (models.index(key[0]), key[1]))
        a, b = predictions[one], predictions[other]
        rows.append(
            {"a": one[0], "b": other[0], "seed a": one[1], "seed b": other[1]}
            | {"accuracy a": metrics.accuracy(a, labels), "accuracy b": metrics.accuracy(b, labels)}
            | error_consistency(a, b, labels)
        )
    return pd.DataFrame(rows)


def by_model(found: pd.DataFrame) -> pd.DataFrame:
    """A row a pair of models, or of seeds of one model, from a table of `pairs`.

    Index: `a`, `b`. Columns: `pairs` of runs, mean `observed` and `expected` agreement, mean
    `kappa` with its `lowest` and `highest`, mean `bound`; `baseline`, the mean of the two models'
    own kappas between seeds, NaN where one has a single seed; and `below`, baseline minus kappa:
    what the other architecture, and its other accuracy, takes away.
    """
    rows = found.groupby(["a", "b"], sort=False).agg(
        pairs=("kappa", "size"),
        observed=("observed", "mean"),
        expected=("expected", "mean"),
        kappa=("kappa", "mean"),
        lowest=("kappa", "min"),
        highest=("kappa", "max"),
        bound=("bound", "mean"),
    )
    own = {a: kappa for (a, b), kappa in rows["kappa"].items() if a == b}
    baseline = [np.mean([own.get(model, np.nan) for model in pair]) for pair in rows.index]
    rows["baseline"] = baseline
    rows["below"] = rows["baseline"] - rows["kappa"]
    models = list(dict.fromkeys([*found["a"], *found["b"]]))
    order = [pair for pair in combinations_with_replacement(models, 2) if pair in rows.index]
    return rows.loc[order]


def matrix(found: pd.DataFrame) -> pd.DataFrame:
    """Mean kappa of each two models as a symmetric table; the diagonal is that between seeds."""
    kappa = by_model(found)["kappa"]
    models = list(dict.fromkeys([*found["a"], *found["b"]]))
    square = pd.DataFrame(np.nan, index=models, columns=models)
    for (a, b), value in kappa.items():
        square.loc[a, b] = square.loc[b, a] = value
    return square


def only_right(
    families: Mapping[str, Sequence[runs.Run]], labels: np.ndarray
) -> dict[str, np.ndarray]:
    """By family: positions of test images that it alone gets right, each of its runs, no other's.

    Raises:
        ValueError: fewer than two families, or one without runs.
    """
    if len(families) < 2 or not all(families.values()):
        raise ValueError(
            f"families have {[len(group) for group in families.values()]} runs: pass two families "
            "or more, each with its recorded seeds"
        )
    right = {
        name: np.array([_right(run.test_logits.argmax(axis=1), labels) for run in group])
        for name, group in families.items()
    }
    return {
        name: np.flatnonzero(
            own.all(axis=0)
            & ~np.any([right[other].any(axis=0) for other in right if other != name], axis=0)
        )
        for name, own in right.items()
    }


def _right(predictions: ArrayLike, labels: ArrayLike) -> np.ndarray:
    predictions, labels = np.asarray(predictions), np.asarray(labels)
    if predictions.shape != labels.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(
            f"predictions have shape {predictions.shape}, labels {labels.shape}: pass one class "
            "number an image of both, of the same images"
        )
    return predictions == labels
