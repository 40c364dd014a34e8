"""The list of questions is whole and consistent; their answers follow from the recorded runs."""

import pytest

from helpers import data
from helpers.results import questions

TESTS = [(question.name, test) for question in questions.QUESTIONS for test in question.tests]
NAMES = [f"{question}, {test.name}" for question, test in TESTS]


def test_questions_and_tests_have_names_of_their_own():
    assert len({question.name for question in questions.QUESTIONS}) == len(questions.QUESTIONS) == 7
    assert len(set(NAMES)) == len(NAMES) == 12


@pytest.mark.parametrize("test", [test for _, test in TESTS], ids=NAMES)
def test_arms_share_their_data_and_seeds_are_planned(test):
    assert test.score in questions.SCORES
    assert test.matters > 0
    assert set(test.looked_at) <= set(test.seeds)
    assert len(test.seeds) in (3, 6)
    for first, second in zip(test.first, test.second, strict=True):
        a, b = first.split("/"), second.split("/")
        assert len(a) == len(b) == 3
        assert a[0] == b[0]
        assert a[0] in data.VARIANTS
        assert a != b


def test_minority_is_what_the_imbalanced_variant_cuts():
    assert set(questions.MINORITY) == set(data.VARIANTS["cifar10-imbalanced"].keep)
