"""Error consistency by hand and of made runs, and who alone is right."""

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from helpers.results import agreement

LABELS = np.zeros(8, int)


@dataclass
class Made:
    """What is asked of a run: model, seed and logits; `right` says where it is right."""

    model: str
    seed: int
    right: list

    @property
    def info(self):
        return {"model": self.model}

    @property
    def test_logits(self):
        return np.eye(2)[1 - np.array(self.right)]


A0 = Made("a", 0, [1, 1, 1, 1, 1, 1, 0, 0])
A1 = Made("a", 1, [1, 1, 1, 1, 1, 0, 1, 0])
B0 = Made("b", 0, [1, 1, 0, 0, 0, 0, 0, 0])
B1 = Made("b", 1, [1, 1, 0, 0, 0, 0, 0, 1])


def test_kappa_is_cohens_over_right_and_wrong():
    rng = np.random.default_rng(0)
    labels, a, b = rng.integers(0, 3, (3, 500))
    b = np.where(rng.random(500) < 0.5, a, b)
    found = agreement.error_consistency(a, b, labels)
    assert found["kappa"] == pytest.approx(cohen_kappa_score(a == labels, b == labels))
    assert found["observed"] == np.mean((a == labels) == (b == labels))


def test_the_same_errors_are_1_independent_ones_0_and_perfect_models_undefined():
    right = 1 - np.array([0, 0, 1, 1])
    assert agreement.error_consistency(right, right, np.zeros(4, int))["kappa"] == 1
    other = np.array([0, 1, 0, 1])
    assert agreement.error_consistency(right, other, np.zeros(4, int))["kappa"] == 0
    perfect = np.zeros(4, int)
    assert np.isnan(agreement.error_consistency(perfect, perfect, perfect)["kappa"])


def test_bound_is_reached_where_the_better_is_right_wherever_the_other_is():
    better, worse = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    found = agreement.error_consistency(better, worse, np.zeros(4, int))
    assert found["kappa"] == found["bound"] < 1
    crossed = agreement.error_consistency(better, worse[::-1], np.zeros(4, int))
    assert crossed["kappa"] < crossed["bound"] == found["bound"]


def test_predictions_of_other_images_are_refused():
    with pytest.raises(ValueError, match="same images"):
        agreement.error_consistency(np.zeros(3, int), np.zeros(4, int), np.zeros(4, int))


def test_pairs_are_of_different_seeds():
    found = agreement.pairs([A0, A1, B0, B1], LABELS)
    pairs = set(zip(found["a"], found["seed a"], found["b"], found["seed b"], strict=True))
    assert pairs == {
        *(("a", 0, "a", 1), ("b", 0, "b", 1)),
        *(("a", 0, "b", 1), ("a", 1, "b", 0)),
    }
    with pytest.raises(ValueError, match="one recipe"):
        agreement.pairs([A0, A0], LABELS)


def test_two_models_stand_beside_the_baseline_of_their_seeds():
    found = agreement.pairs([A0, A1, B0, B1], LABELS)
    rows = agreement.by_model(found)
    assert list(rows.index) == [("a", "a"), ("a", "b"), ("b", "b")]
    own = [rows.loc[(name, name), "kappa"] for name in "ab"]
    assert rows.loc[("a", "b"), "baseline"] == pytest.approx(np.mean(own))
    assert rows.loc[("a", "b"), "pairs"] == 2
    assert rows.loc[("a", "a"), "below"] == 0
    kappa = agreement.matrix(found)
    assert kappa.loc["a", "b"] == kappa.loc["b", "a"] == rows.loc[("a", "b"), "kappa"]
    np.testing.assert_allclose(np.diag(kappa), own)


def test_one_alone_is_right_in_each_of_its_runs_where_the_others_never_are():
    alone = agreement.only_right({"a": [A0, A1], "b": [B0, B1]}, LABELS)
    assert alone["a"].tolist() == [2, 3, 4]  # at 5 and 6 one seed is wrong
    assert alone["b"].tolist() == []  # at 7 only one seed is right
    with pytest.raises(ValueError, match="two families"):
        agreement.only_right({"a": [A0]}, LABELS)
