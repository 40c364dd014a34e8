"""Statistics over seeds, against SciPy's own and numbers worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from helpers.results import statistics

FIRST, SECOND = np.array([70.1, 69.4, 71.0]), np.array([72.3, 71.1, 72.4])


def test_paired_t_is_scipys():
    found = statistics.paired_t(SECOND - FIRST)
    expected = stats.ttest_rel(SECOND, FIRST)
    interval = expected.confidence_interval(0.95)
    assert found == pytest.approx((1.7667, interval.low, interval.high, expected.pvalue), rel=1e-4)


def test_paired_t_by_hand():
    # 1, 2, 3: mean 2, SD 1, standard error 1 / sqrt(3); t of 2 degrees at 97.5 % is 4.3027.
    found = statistics.paired_t([1, 2, 3])
    assert found[:3] == pytest.approx((2, 2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-4)
    assert found.p == pytest.approx(0.0742, abs=1e-4)
    assert statistics.paired_t([-1, -2, -3]).p == pytest.approx(found.p)


@pytest.mark.parametrize(("difference", "p"), [(0.1, 0), (-0.1, 0), (0, 1)])
def test_differences_that_are_all_the_same_leave_no_doubt(difference, p):
    assert statistics.paired_t([difference] * 3) == (pytest.approx(difference),) * 3 + (p,)


@pytest.mark.parametrize("differences", [[], [1], [[1, 2]], [1, np.nan], [1, np.inf]])
def test_too_few_or_broken_differences_are_refused(differences):
    for statistic in (statistics.paired_t, lambda values: statistics.equivalence(values, 1)):
        with pytest.raises(ValueError, match=r"pass one a seed|leave out seeds"):
            statistic(differences)


def test_equivalence_is_the_larger_p_of_two_one_sided_tests():
    differences = [0.2, -0.1, 0.3, 0.1]
    above = stats.ttest_1samp(differences, -1, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, 1, alternative="less").pvalue
    assert statistics.equivalence(differences, 1) == pytest.approx(max(above, below))


def test_equivalence_is_shown_by_its_interval_at_twice_the_level():
    # p is 0.05 just where the 90 % interval touches the margin.
    found = statistics.paired_t([0.2, -0.1, 0.3, 0.1], confidence=0.9)
    margin = max(abs(found.low), abs(found.high))
    assert statistics.equivalence([0.2, -0.1, 0.3, 0.1], margin) == pytest.approx(0.05)


def test_equivalence_at_its_ends():
    assert statistics.equivalence([0.5, 0.5], 1) == 0
    assert statistics.equivalence([1.5, 1.5], 1) == 1
    assert statistics.equivalence([1, 2, 3], 1) > 0.5
    with pytest.raises(ValueError, match="above 0"):
        statistics.equivalence([1, 2], 0)


def test_pooled_deviation_by_hand():
    # Squares within groups: 2 of one degree of freedom, 2 of two, none of none.
    assert statistics.pooled_deviation([[1, 3], [10, 11, 12], [50], []]) == pytest.approx(
        (4 / 3) ** 0.5
    )
    assert np.isnan(statistics.pooled_deviation([[1], [2]]))
    assert np.isnan(statistics.pooled_deviation([]))
