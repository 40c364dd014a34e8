"""What the records of the search in rungs say, and the same as a study of Optuna's."""

import json
from dataclasses import asdict

import pytest

from helpers.experiments import search
from helpers.records import runs
from helpers.results import searches, searching

TRIALS = runs.search_trials()


def record(root, model, candidate, epochs, *accuracies):
    trial = {
        "model": model,
        "trial": search.name(candidate, epochs),
        "config": {},
        "history": [{"val_accuracy": value} for value in accuracies],
        "training_flops": 1.0,
    }
    path = runs.trial_file(model, trial["trial"], root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(trial))


@pytest.fixture
def recorded(tmp_path):
    record(tmp_path, "vit", "short", 6, 0.2, 0.4, 0.3)
    record(tmp_path, "vit", "draw2", 6, 0.5)
    record(tmp_path, "vit", "draw2", 12, 0.6)
    record(tmp_path, "vit", "draw3", 6)  # diverged
    record(tmp_path, "cct", "draw3", 6, 0.7)
    return tmp_path


def test_accuracy_is_that_of_the_best_epoch(recorded):
    assert searching.accuracies("vit", recorded) == {
        ("short", 6): 0.4,
        ("draw2", 6): 0.5,
        ("draw2", 12): 0.6,
        ("draw3", 6): 0.0,
    }


def test_numbered_trials_are_other_searches(recorded):
    (recorded / "vit" / "trial1.json").write_text("{}")
    assert len(searching.accuracies("vit", recorded)) == 4


def test_progress_counts_trials_and_names_the_best_draw(recorded):
    table = searches.progress(["vit", "cct", "resnet20"], recorded)
    assert table.loc["vit"].tolist() == ["3 of 9", "1 of 4", "0 of 2", "draw2", 0.5, 4e-15]
    assert table.loc["cct", "best of 6 epochs so far"] == "draw3"
    assert table.loc["resnet20", "6 epochs"] == "0 of 9"
    assert table.loc["in all", "PFLOP spent"] == pytest.approx(5e-15)


def test_first_search_stands_beside_the_untuned_recipe():
    table = searches.first_search(["vit", "cct"])
    assert list(table.index) == ["vit", "cct"]
    gains = table["searched_6, validation accuracy"] - table["short, validation accuracy"]
    assert table["gain on validation"].tolist() == gains.tolist()
    mine = [trial for trial in runs.trials() if trial["model"] == "vit"]
    best = max(mine, key=lambda trial: max(row["val_accuracy"] for row in trial["history"]))
    assert table.loc["vit", "draw"] == best["trial"]


def test_study_has_each_trial_of_a_rung_once(recorded):
    pytest.importorskip("optuna")
    kept = []
    for _ in range(2):  # the second time goes on from the file
        study = searching.study("vit", 6, recorded)
        values = {trial.user_attrs["candidate"]: trial.value for trial in study.trials}
        assert values == {"short": 0.4, "draw2": 0.5, "draw3": None}
        kept.append((recorded / "optuna.log").read_text())
    assert kept[0] == kept[1]
    states = {trial.user_attrs["candidate"]: trial.state.name for trial in study.trials}
    assert states["draw3"] == "FAIL"
    record(recorded, "vit", "draw5", 6, 0.9)
    study = searching.study("vit", 6, recorded)
    assert study.best_trial.user_attrs == {"candidate": "draw5"}
    assert study.best_params["learning_rate"] == search.recipe("draw5", 6).learning_rate


@pytest.mark.parametrize("trial", TRIALS, ids=lambda t: f"{t['model']}-{t['trial']}")
def test_recorded_trial_is_its_candidate_s_recipe(trial):
    settings = search.settings(trial["model"], trial["trial"])
    assert trial["config"] == json.loads(json.dumps(asdict(settings)))
    assert len(trial["history"]) in (0, settings.epochs)


@pytest.mark.parametrize("model", search.chosen())
def test_matched_is_the_best_at_30_epochs_short_included(model):
    accuracies = searching.accuracies(model)
    chosen = search.chosen()[model]
    assert accuracies["short", 30] <= accuracies[chosen, 30]
    assert chosen == search.best(accuracies)
