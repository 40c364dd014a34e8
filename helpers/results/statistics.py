"""Statistics over seeds: what a recipe does, rather than what one trained network does.

**Why the seed is the unit.** A question about an architecture or a recipe is one about what comes
out when it is trained again. Its test images can be drawn as often as one likes: an interval over
images says how well two finished networks are told apart, and two seeds of one recipe are told
apart by it as well. What varies when training is repeated is the seed (first weights, order and
augmentation of batches, split), so a run is one observation, and n seeds are n of them.

**Why differences are paired.** Seed k has the same training and validation images for every model,
so what an easy or hard split does to both arms drops out of their difference.

Differences are (n,), one a seed, in whatever unit the score has. Holm's adjustment for several
tests is `metrics.holm`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


class Paired(NamedTuple):
    """A mean of paired differences, its interval and its two-sided p-value."""

    mean: float
    low: float
    high: float
    p: float


def paired_t(differences: ArrayLike, confidence: float = 0.95) -> Paired:
    """Student's paired t over seeds (Student 1908): mean, interval and p-value of "it is 0".

    Differences that are all the same leave no doubt: the interval is the mean itself, and p is 0,
    or 1 where they are all 0.

    Raises:
        ValueError: fewer than two differences, or one that is not finite.
    """
    differences = _checked(differences)
    mean, error = float(differences.mean()), _standard_error(differences)
    freedom = len(differences) - 1
    if error == 0:
        return Paired(mean, mean, mean, float(mean == 0))
    half = error * stats.t.ppf((1 + confidence) / 2, freedom)
    p = 2 * stats.t.sf(abs(mean) / error, freedom)
    return Paired(mean, float(mean - half), float(mean + half), float(p))


def equivalence(differences: ArrayLike, margin: float) -> float:
    """The p-value of "the mean difference is `margin` or more, in either direction".

    Two one-sided t-tests (Schuirmann 1987), the larger p of both: where it is small, the arms
    differ by less than the margin. A large p of `paired_t` alone never says so.

    Raises:
        ValueError: as `paired_t`, and for a margin that is not positive.
    """
    differences = _checked(differences)
    if not margin > 0:
        raise ValueError(f"margin is {margin}: pass the smallest difference that matters, above 0")
    gap, error = margin - abs(differences.mean()), _standard_error(differences)
    if error == 0:
        return float(gap <= 0)
    return float(stats.t.sf(gap / error, len(differences) - 1))


def pooled_deviation(groups: Sequence[ArrayLike]) -> float:
    """The standard deviation within groups (a group: one model's scores, one a seed).

    The root of the groups' variances' mean, each weighted by its seeds less one; NaN where no
    group has two seeds. Pooled over the models of a recipe it is steadier than that of three
    differences, so that effects in its unit can be compared between questions.
    """
    groups = [np.asarray(group, dtype=np.float64) for group in groups]
    squares = sum(((group - group.mean()) ** 2).sum() for group in groups if len(group))
    freedom = sum(len(group) - 1 for group in groups if len(group))
    return float(np.sqrt(squares / freedom)) if freedom else float("nan")


def _standard_error(differences: np.ndarray) -> float:
    deviation = differences.std(ddof=1)
    if deviation <= 1e-12 * np.abs(differences).max():  # rounding alone
        return 0.0
    return float(deviation / np.sqrt(len(differences)))


def _checked(differences: ArrayLike) -> np.ndarray:
    differences = np.asarray(differences, dtype=np.float64)
    if differences.ndim != 1 or len(differences) < 2:
        raise ValueError(
            f"differences have shape {differences.shape}: pass one a seed, of two seeds or more"
        )
    if not np.isfinite(differences).all():
        raise ValueError(f"differences are {differences.tolist()}: leave out seeds without a score")
    return differences
