"""The list of questions is whole and consistent; their answers follow from the recorded runs."""

from types import SimpleNamespace

import numpy as np
import pytest

from helpers import data, experiments
from helpers.records import runs
from helpers.results import questions

TESTS = [(question.name, test) for question in questions.QUESTIONS for test in question.tests]
PERFECT = np.eye(10)[data.official_labels()[1]]
NAMES = [f"{question}, {test.name}" for question, test in TESTS]


def test_questions_and_tests_have_names_of_their_own():
    assert len({question.name for question in questions.QUESTIONS}) == len(questions.QUESTIONS) == 7
    assert len(set(NAMES)) == len(NAMES) == 12


@pytest.mark.parametrize("test", [test for _, test in TESTS], ids=NAMES)
def test_arms_share_their_data_and_seeds_are_planned(test):
    assert test.score in questions.SCORES
    assert test.matters == questions.MATTERS[test.score] > 0
    assert set(test.looked_at) <= set(test.seeds)
    assert len(test.seeds) in (3, 6)
    for first, second in zip(test.first, test.second, strict=True):
        a, b = first.split("/"), second.split("/")
        assert len(a) == len(b) == 3
        assert a[0] == b[0]
        assert a[0] in data.VARIANTS
        assert a != b


def test_arms_are_experiments():
    names = {name for _, test in TESTS for name in test.first + test.second}
    # `matched` recipes come out of a search.
    known = {*experiments.EXPERIMENTS, "cifar10/vit/matched"}
    assert names <= known


def test_minority_is_what_the_imbalanced_variant_cuts():
    assert set(questions.MINORITY) == set(data.VARIANTS["cifar10-imbalanced"].keep)


def run(name, seed, accuracy, **scores):
    """As much of a recorded run as a score needs."""
    info = {"test": {"accuracy": accuracy, **scores}}
    return SimpleNamespace(name=name, seed=seed, info=info, test_logits=PERFECT)


def arms(first, second, start=0):
    """Runs of the ViT and of ResNet-20 under `short`, with these accuracies, from seed `start`."""
    return [
        run(f"cifar10/{model}/short", seed, accuracy)
        for model, accuracies in (("vit", first), ("resnet20", second))
        for seed, accuracy in enumerate(accuracies, start)
    ]


@pytest.fixture
def record(monkeypatch):
    """A function that makes a list of runs the recorded ones."""

    def use(found):
        monkeypatch.setattr(runs, "recorded", lambda pattern="*", root=None: found)

    use([])
    return use


def row(question="cnn_or_vit", test="equal epochs"):
    return questions.answer().set_index(["question", "test"]).loc[question, test]


def test_without_runs_every_test_waits(record):
    frame = questions.answer()
    assert len(frame) == len(TESTS)
    assert all(verdict.startswith("not all recorded (0 of") for verdict in frame["verdict"])
    assert frame[["difference", "low", "p (Holm)", "effect"]].isna().all(axis=None)
    assert len(questions.table()) == len(TESTS)
    assert questions.differences().empty


def test_a_large_difference_is_answered_with_holm_over_all_tests(record):
    record(arms([0.67, 0.68, 0.66], [0.86, 0.8702, 0.85]))
    found = row()
    assert (found["planned"], found["recorded"], found["fresh"]) == (3, 3, "none")
    assert found["difference"] == pytest.approx(19.0067, abs=1e-3)
    assert found["low"] < found["difference"] < found["high"]
    assert found["p (Holm)"] == pytest.approx(len(TESTS) * found["p"])
    # Both models' seeds have a variance of 1 point squared, ResNet-20's a little more.
    assert found["effect"] == pytest.approx(19.0067 / 1.005, rel=1e-3)
    assert found["verdict"] == "answered: ResNet-20 ahead"
    shown = questions.table().loc["cnn or vit: equal epochs"]
    assert shown["by seed"] == "+19.0 +19.0 +19.0"
    assert shown["means, %"] == "67.0 → 86.0"


def test_the_sign_says_who_is_ahead(record):
    record(arms([0.86, 0.8702, 0.85], [0.67, 0.68, 0.66]))
    assert row()["verdict"] == "answered: ViT ahead"


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        ([0.701, 0.699, 0.73], "not decided"),
        ([0.7000, 0.7001, 0.6999], "answered: no difference that matters"),
        ([0.7050, 0.7051, 0.7049], "answered: ResNet-20 ahead, by less than matters"),
        ([0.7103, 0.7100, 0.7097], "answered: ResNet-20 ahead, perhaps by less than matters"),
    ],
)
def test_verdicts_by_margin(record, second, verdict):
    record(arms([0.7, 0.7, 0.7], second))
    assert row()["verdict"] == verdict


def test_a_missing_seed_leaves_the_test_open_and_only_pairs_count(record):
    found = arms([0.67, 0.68, 0.66], [0.86, 0.87])
    record(found)
    assert row()["verdict"] == "not all recorded (2 of 3 seeds)"
    assert np.isnan(row()["p (Holm)"])
    assert row()["difference"] == pytest.approx(19)
    record([one for one in found if one.seed != 1])
    assert row()["recorded"] == 1
    assert np.isnan(row()["low"])


def test_seeds_that_no_test_plans_are_fresh_but_do_not_count(record):
    record(arms([0.67, 0.68, 0.66], [0.86, 0.87, 0.85]) + arms([0.5], [0.8], start=3))
    found = row()
    assert found["difference"] == pytest.approx(19)
    assert (found["fresh"], found["fresh difference"]) == ("3", pytest.approx(30))
    seeds = questions.differences().set_index("seed")
    assert seeds["planned"].tolist() == [True, True, True, False]
    assert seeds["fresh"].tolist() == [False, False, False, True]


def test_an_arm_of_two_experiments_is_their_mean(record):
    record(
        [
            run(f"cifar10-imbalanced/{model}/{recipe}", 0, 0.5, macro_f1=f1)
            for model, recipe, f1 in (
                ("cnn_baseline", "described", 0.6),
                ("cnn_baseline", "described_weighted", 0.65),
                ("hybrid_token", "described", 0.7),
                ("hybrid_token", "described_weighted", 0.71),
            )
        ]
    )
    found = row("class_weights", "macro F1")
    assert (found["first"], found["second"]) == pytest.approx((65, 68))
    assert row("class_weights", "minority recall")["difference"] == 0


def test_minority_recall_is_the_mean_over_cat_deer_and_dog():
    labels = data.official_labels()[1]
    logits = np.eye(10)[np.where(labels == data.CIFAR10_CLASSES.index("cat"), 0, labels)]
    assert questions.scored(SimpleNamespace(test_logits=logits), "minority_recall") == (
        pytest.approx(200 / 3)
    )


def test_exploration_pairs_the_seeds_that_both_have(record):
    first, second = "cifar10/vit/short", "cifar10/resnet20/short"
    record([*arms((0.6, 0.7), (0.8, 0.8)), run(first, 5, 0.1)])
    found = questions.paired(first, second)
    assert found["seeds"] == 2
    assert found["first"] == pytest.approx(65)
    assert found["difference"] == pytest.approx(15)
    assert found["low"] < 15 < found["high"]
    assert found["by seed"] == "+20.0 +10.0"
    record(arms((0.6,), (0.8,)))
    assert np.isnan(questions.paired(first, second)["low"])
