"""Verdicts follow from runs and figures, and turn with them; no recorded run is needed."""

from fnmatch import fnmatch
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from helpers import config, data, experiments
from helpers.records import runs
from helpers.results import ledger, metrics, published, tables
from helpers.results.ledger import FAILS, HOLDS, PART, UNKNOWN, judging, project_a, project_c

LABELS = data.official_labels()[1]
CLASSES = [data.CIFAR10_CLASSES.index(name) for name in ("cat", "deer", "dog")]
MACS = {
    "vit_128": 2837,
    "resnet18": 555,
    "resnet20": 41,
    "vit": 19,
    "cct": 35,
    "hybrid_token": 11,
    "cnn_baseline": 10,
}


def run(name, seed, accuracy=0.8, found=0.5, curve=(50,), **info):
    """As much of a recorded run as claims need; `found` is its recall of cat, deer and dog."""
    _, model, recipe = name.split("/")
    predicted = LABELS.copy()
    for label in CLASSES:
        members = np.flatnonzero(label == LABELS)
        predicted[members[round(found * len(members)) :]] = 0
    test = {"accuracy": accuracy, "macro_f1": accuracy, "roc_auc_ovr": 0.95}
    return SimpleNamespace(
        name=name,
        seed=seed,
        info={
            "recipe": recipe,
            "test": test,
            "macs": 1e6 * MACS.get(model, 100),
            "parameters": 193_098 if model == "hybrid_token" else 280_000,
            "epochs_run": len(curve),
            "seconds_training": 7200,
            "hardware": {"cores": 2, "gpu": None},
            **info,
        },
        test_logits=np.eye(10, dtype=np.float32)[predicted],
        history=pd.DataFrame({"val_accuracy": np.array(curve) / 100, "loss": 0.5}),
    )


def seeds(name, *accuracies, **settings):
    return [run(name, seed, accuracy, **settings) for seed, accuracy in enumerate(accuracies)]


@pytest.fixture
def record(monkeypatch, tmp_path):
    """A function that makes runs the recorded ones; there are no tables in figures."""

    def use(*found):
        def recorded(pattern="*", root=None):
            return [one for one in found if fnmatch(one.name, pattern)]

        monkeypatch.setattr(runs, "recorded", recorded)

    monkeypatch.setattr(config, "FIGURES", tmp_path)
    use()
    return use


def verdict(words):
    """The verdict of the only claim with these words in it."""
    frame = ledger.table()
    (row,) = [row for row in frame.to_dict("records") if words in row["claim"]]
    return row["verdict"]


def test_without_a_run_only_figures_and_code_are_judged(record):
    frame = ledger.table()
    assert set(frame.index) == set(ledger.PROJECTS)
    assert len(frame) == sum(map(len, ledger.PROJECTS.values()))
    judged = frame[frame["verdict"] != UNKNOWN]
    assert set(judged["basis"]) == {"their figures", "their code"}
    assert set(frame["seeds"]) == {"none"}
    assert not frame["evidence"].str.contains("nan").any()


def test_claims_ask_for_experiments(record):
    asked = set()

    class Asked(dict):
        def get(self, name, default=None):
            asked.add(name)
            return default

    known = judging.Evidence()
    known.found = Asked()
    for claims in ledger.PROJECTS.values():
        for _, judge in claims:
            judge(known)
    # `matched` recipes come out of a search.
    unknown = asked - set(experiments.EXPERIMENTS)
    assert {name for name in unknown if not name.endswith("/matched")} == set()
    assert len(asked) > 30


def test_every_verdict_is_one_of_four(record):
    record(*seeds("cifar10/resnet20/short", 0.86), *seeds("cifar10/vit/short", 0.67))
    assert set(ledger.table()["verdict"]) <= {HOLDS, PART, FAILS, UNKNOWN}


# --- what needs no training ---------------------------------------------------------------------


def test_figures_are_those_of_the_quoted_claims():
    (precision,) = [claim for claim, _ in project_a.CLAIMS if "greater precision" in claim]
    assert all(f"({figure:.2f}%)" in precision for figure in project_a.PRECISION)
    (recall,) = [claim for claim, _ in project_a.CLAIMS if "higher recall" in claim]
    assert all(f"({figure:.2f}%)" in recall for figure in project_a.RECALL)
    (accuracy,) = [claim for claim, _ in project_a.CLAIMS if "outperformed" in claim]
    (f1,) = [claim for claim, _ in project_a.CLAIMS if "F1" in claim]
    for name in (project_a.RESNET18, project_a.VIT_128):
        assert f"{published.value(name):.2f}%" in accuracy
        assert f"({published.value(name, 'macro_f1'):.2f}%)" in f1


def test_macro_recall_is_accuracy_where_classes_are_as_large():
    rng = np.random.default_rng(0)
    scores = metrics.scores(rng.normal(size=(len(LABELS), 10)), LABELS)
    assert scores["macro_recall"] == pytest.approx(scores["accuracy"], abs=1e-12)
    assert verdict_of(project_a._recall) == PART  # higher it is, but by no one evaluation


def test_claimed_f1_is_a_harmonic_mean_of_claimed_precision_and_recall():
    assert judging.harmonic_mean(89.15, 88.90) == pytest.approx(89.02, abs=0.01)
    assert judging.harmonic_mean(77.20, 76.85) == pytest.approx(77.02, abs=0.01)
    assert judging.harmonic_mean(1, 0.5) == pytest.approx(2 / 3)
    assert verdict_of(project_a._f1) == PART  # higher it is, but no further confirmation


@pytest.mark.parametrize("accuracy", [0.1, 0.7648, 0.89])
def test_auc_of_hard_labels(accuracy):
    labels = np.repeat(np.arange(10), 1000)
    predicted = labels.copy()
    predicted[np.random.default_rng(0).permutation(10_000)[: round(10_000 * (1 - accuracy))]] += 1
    predicted %= 10
    auc = roc_auc_score(np.eye(10)[labels], np.eye(10)[predicted], average="macro")
    exact = np.mean(predicted == labels)
    assert judging.hard_label_auc(exact) == pytest.approx(auc, abs=1e-9)


def test_a_claimed_auc_fails_while_no_run_is_as_low(record):
    record(*seeds("cifar10/vit/short", 0.67))
    assert verdict("0.85") == FAILS
    low = run("cifar10/vit/short", 1)
    low.info["test"]["roc_auc_ovr"] = 0.86
    record(low)
    assert verdict("0.85") == UNKNOWN


def test_weighted_is_3_7_points_below_balanced(record):
    assert "3.7 points below" in project_c._weights(judging.Evidence()).evidence
    assert "falls after 2 of 7 epochs" in project_c._balanced(judging.Evidence()).evidence


def verdict_of(judge):
    return judge(None).verdict


# --- what turns with the runs -------------------------------------------------------------------

RESNET, VIT = (curve for curve in published.CURVES if curve.system.startswith("A"))


@pytest.mark.parametrize(
    ("vit", "curve", "expected"),
    [
        ((0.76, 0.77, 0.76), VIT.accuracy, HOLDS),
        ((0.76, 0.77, 0.76), np.array(VIT.accuracy) - 6, PART),
        ((0.96, 0.97, 0.96), VIT.accuracy, FAILS),
        ((0.76, 0.95, 0.85), VIT.accuracy, UNKNOWN),
        ((0.76, 0.77), VIT.accuracy, UNKNOWN),
    ],
)
def test_a_outperforms_by_seed_and_by_both_curves(record, vit, curve, expected):
    record(
        *seeds(RESNET.experiment, 0.88, 0.89, 0.885, curve=RESNET.accuracy),
        *seeds(VIT.experiment, *vit, curve=curve),
    )
    assert verdict("outperformed") == expected


def test_listed_questions_carry_their_answers_into_the_ledger(record):
    short = [
        *seeds("cifar10/vit/short", 0.67, 0.68, 0.66),
        *seeds("cifar10/resnet20/short", 0.86, 0.87, 0.851),
    ]
    record(*short)
    assert verdict("generalizes on small") == PART  # the second test is not recorded
    ahead = [*short, *seeds("cifar10/vit/equal_compute", 0.70, 0.71, 0.69)]
    record(*ahead)
    assert verdict("generalizes on small") == PART  # nothing small, and no plain CNN
    assert verdict("highly efficient") == PART
    small = [
        *seeds("cifar10-5pct/vit/few", 0.4, 0.41, 0.41),
        *seeds("cifar10-5pct/resnet20/few", 0.5, 0.51, 0.5),
    ]
    record(*ahead, *small, *seeds("cifar10/cnn_baseline/short", 0.67, 0.66, 0.67))
    assert verdict("generalizes on small") == PART  # the plain CNN is not ahead
    record(*ahead, *small, *seeds("cifar10/cnn_baseline/short", 0.77, 0.76, 0.77))
    assert verdict("generalizes on small") == HOLDS
    record(*short, *seeds("cifar10/vit/equal_compute", 0.96, 0.97, 0.951))
    assert verdict("highly efficient") == FAILS
    assert verdict("heavy computation") == FAILS  # 19M MACs beside 41M
    record(
        *short,
        *seeds("cifar10/vit_128/dropout_everywhere", 0.69),
        *seeds("cifar10/resnet18/published", 0.89),
    )
    assert verdict("heavy computation") == PART  # 2,837M beside 555M


def test_an_order_that_turns_with_the_data_is_needed_for_it_to_depend(record):
    first = [
        *seeds("cifar10/vit/short", 0.67, 0.68, 0.66),
        *seeds("cifar10/resnet20/short", 0.86, 0.87, 0.851),
        *seeds("cifar10-5pct/resnet20/few", 0.5, 0.51, 0.5),
    ]
    record(*first)
    assert verdict("depends on the dataset") == UNKNOWN
    record(*first, *seeds("cifar10-5pct/vit/few", 0.4, 0.41, 0.41))
    assert verdict("depends on the dataset") == FAILS
    record(*first, *seeds("cifar10-5pct/vit/few", 0.6, 0.61, 0.61))
    assert verdict("depends on the dataset") == HOLDS


@pytest.mark.parametrize(
    ("few", "expected"),
    [
        ((0.20, 0.21, 0.21), HOLDS),  # 30 points behind, beside 19 on all images
        ((0.31, 0.32, 0.32), UNKNOWN),
        ((0.60, 0.61, 0.61), FAILS),
    ],
)
def test_transformers_need_data_if_they_fall_behind_on_few_images(record, few, expected):
    record(
        *seeds("cifar10/vit/short", 0.67, 0.68, 0.66),
        *seeds("cifar10/resnet20/short", 0.86, 0.87, 0.851),
        *seeds("cifar10-5pct/resnet20/few", 0.5, 0.51, 0.5),
        *seeds("cifar10-5pct/vit/few", *few),
    )
    assert verdict("require large datasets") == expected


@pytest.mark.parametrize(
    ("hybrid", "expected"),
    [((0.5, 0.52, 0.51), HOLDS), ((0.8, 0.81, 0.79), PART), ((0.5, 0.99, 0.8), PART)],
)
def test_scarcity_costs_recall_only_if_it_does_for_every_model(record, hybrid, expected):
    found = []
    for model, after in (("cnn_baseline", (0.3, 0.31, 0.32)), ("hybrid_token", hybrid)):
        for seed, recall in enumerate(after):
            found.append(run(f"cifar10/{model}/described", seed, found=0.75))
            found.append(run(f"cifar10-imbalanced/{model}/described", seed, found=recall))
    record(*found)
    assert verdict("poor minority-class recall") == expected


@pytest.mark.parametrize(
    ("hybrid", "expected"), [(0.7, HOLDS), (0.4, PART)], ids=["both models", "one model"]
)
def test_weights_help_only_if_they_help_every_model(record, hybrid, expected):
    found = []
    for model, after in (("cnn_baseline", 0.9), ("hybrid_token", hybrid)):
        for seed in range(6):
            where = f"cifar10-imbalanced/{model}/described"
            jitter = seed / 100
            found.append(run(where, seed, 0.6, found=0.5 + jitter))
            found.append(run(f"{where}_weighted", seed, 0.7 + jitter / 10, found=after + jitter))
    record(*found)
    assert verdict("class weights significantly") == expected


def test_the_hybrid_is_light_while_nothing_is_lighter(record):
    families = [run(f"cifar10/{name}/short", 0) for name in ("hybrid_token", "vit", "cct")]
    record(*families)
    assert verdict("lightweight") == UNKNOWN
    record(*families, run("cifar10/resnet20/short", 0))
    assert verdict("lightweight") == HOLDS
    record(*families, run("cifar10/resnet20/short", 0, macs=1e6))
    assert verdict("lightweight") == PART


@pytest.mark.parametrize(
    ("won", "lost", "expected"), [(3, 0, PART), (2, 0, UNKNOWN), (2, 1, FAILS)]
)
def test_grad_cam_is_judged_by_all_decisive_tests(record, monkeypatch, won, lost, expected):
    frame = pd.DataFrame({"won": [won], "lost": [lost]}, index=["hybrid_token"])
    monkeypatch.setattr(tables, "standing", lambda method: frame)
    assert verdict("Grad-CAM confirms") == expected


def test_hours_and_accuracy_of_the_dual_hybrid_are_the_records(record):
    record(run("cifar100/hybrid_dual/published", 1, 0.36, curve=[30] * 18))
    assert verdict("fully functional") == HOLDS
    rows = ledger.table().set_index("claim")
    row = rows.loc["“training for 20+ epochs last 10+ hours”"]
    assert "18 epochs in 2.0 hours on 2 CPU cores" in row["evidence"]
    assert row["seeds"] == "1"


# --- judging ------------------------------------------------------------------------------------


def test_a_difference_is_one_only_with_three_seeds():
    assert judging.Difference(2, 1, 3, (0, 1, 2)).sign == 1
    assert judging.Difference(-2, -3, -1, (0, 1, 2)).sign == -1
    assert judging.Difference(2, -1, 5, (0, 1, 2)).sign == 0
    assert judging.Difference(2, 1, 3, (0, 1)).sign == 0
    nan = float("nan")
    assert str(judging.Difference(nan, nan, nan, ())) == "not recorded"
    assert str(judging.Difference(2, nan, nan, (1,))) == "+2.0 (one seed)"
    assert str(judging.Difference(2, 1, 3, (0, 1))) == "+2.0 [+1.0, +3.0]"


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        ([1, 1], HOLDS),
        ([1, None], PART),
        ([1, -1], PART),
        ([0, None], UNKNOWN),
        ([0, -1], FAILS),
    ],
)
def test_verdicts_of_listed_tests(signs, expected):
    assert judging.of_signs(signs) == expected


def test_spans_of_seeds():
    assert judging.span([2, 0, 1, 1]) == "0 to 2"
    assert judging.span([0, 2]) == "0, 2"
    assert judging.span([]) == "none"
