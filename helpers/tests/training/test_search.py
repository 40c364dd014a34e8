"""Trials of the search: recorded once, on validation alone, and resumable."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny

from helpers import config, data, training
from helpers.experiments import recipes
from helpers.records import provenance, runs
from helpers.training import search


@pytest.fixture
def small_search(monkeypatch, empty_study):
    """The tiny model is the one that is searched for, two epochs a trial."""
    short = [replace(recipes.drawn(trial), epochs=2, warmup_epochs=0) for trial in range(5)]
    monkeypatch.setattr(config, "SEARCH", empty_study / "search")
    monkeypatch.setattr(recipes, "trials", {"tiny": short}.__getitem__)
    return empty_study / "search"


def test_trial_is_recorded_without_anything_of_the_test_set(small_search, monkeypatch):
    asked = []
    predict = training.predict_logits
    monkeypatch.setattr(
        training, "predict_logits", lambda model, x: asked.append(len(x)) or predict(model, x)
    )
    record = search.run_trial("tiny", 3)

    assert asked == []
    assert [runs.trial_file("tiny", 3)] == sorted(small_search.rglob("trial3*.json"))
    (read,) = runs.trials()
    assert read["history"] == record["history"]
    assert not list(small_search.rglob("*.npz"))
    assert set(record) == {
        "model",
        "trial",
        "seed",
        "config",
        "history",
        "training_flops",
        "backend",
        "hardware",
        "versions",
        "code_version",
        *tiny.LATER_KEYS,
    }
    assert record["config"]["learning_rate"] == recipes.drawn(3).learning_rate
    assert [row["epoch"] for row in record["history"]] == [1, 2]
    macs = 48 * 32 + 32 * 10
    split = tiny.split()
    assert record["training_flops"] == 6 * macs * 2 * len(split.train_index)


@pytest.mark.parametrize(("has", "precision"), [(True, "mixed_bfloat16"), (False, "float32")])
def test_trial_is_in_bfloat16_where_the_machine_has_it(has, precision, small_search, monkeypatch):
    monkeypatch.setattr(provenance, "has_bfloat16", lambda: has)
    recipe = replace(recipes.trials("tiny")[0], precision="mixed_bfloat16")
    monkeypatch.setattr(recipes, "trials", {"tiny": [recipe]}.__getitem__)
    assert search.run_trial("tiny", 0)["config"]["precision"] == precision


def test_trials_train_and_validate_on_the_split_of_seed_0(small_search, monkeypatch):
    seen = []
    fit = training.fit
    monkeypatch.setattr(training, "fit", lambda *a: seen.append(a[2:4]) or fit(*a))
    search.run_trial("tiny", 0)
    ((split, seed),) = seen
    assert seed == 0
    np.testing.assert_array_equal(split.val_index, data.prepare("cifar10", 0).val_index)


def test_interrupted_trial_goes_on(small_search, monkeypatch, capsys):
    with tiny.interrupted_after_each_epoch(monkeypatch), pytest.raises(KeyboardInterrupt):
        search.run_trial("tiny", 1)
    assert runs.trials() == []
    capsys.readouterr()
    resumed = search.run_trial("tiny", 1)["history"]
    (line,) = capsys.readouterr().out.splitlines()
    assert "epoch 2/2" in line

    runs.trial_file("tiny", 1).unlink()
    through = search.run_trial("tiny", 1)["history"]
    for one, other in zip(resumed, through, strict=True):
        assert one | {"seconds": 0} == other | {"seconds": 0}


def test_a_diverging_trial_is_a_result(small_search, monkeypatch):
    def diverge(*arguments):
        raise FloatingPointError("loss became nan in epoch 1: lower the learning rate")

    monkeypatch.setattr(training, "fit", diverge)
    assert search.run_trial("tiny", 4)["history"] == []
    assert [record["trial"] for record in runs.trials()] == [4]


def test_recorded_trial_is_left_alone(small_search):
    search.run_trial("tiny", 2)
    with pytest.raises(FileExistsError, match="delete it to train it anew"):
        search.run_trial("tiny", 2)


SEARCH_IN_SMALL = """
import json, sys
import helpers
for name in ("optuna", "timm", "ray", "papermill", "tabulate", "IPython", "seaborn", "torchvision"):
    sys.modules[name] = None  # as where it is not installed
from pathlib import Path
import tiny
from helpers import config, data, models
from helpers.__main__ import main
from helpers.experiments import search, table

root = Path(sys.argv[1])
split = tiny.split()
data.prepare = lambda variant, seed: split
models.BUILDERS["vit"] = tiny.model
config.SEARCH, config.RUNS = root / "search", root / "runs"
search.CHOSEN, search.DRAWS = root / "matched.json", root / "draws.json"
search.DRAWS.write_text(json.dumps(search.draw(0)[:1]))
search.RUNGS = (2, 1), (3, 1)
assert main(["search", "vit", "--jobs", "1"]) == 0
assert main(["search", "vit", "--jobs", "1"]) == 0  # nothing is left to do
"""


def test_a_search_goes_through_its_rungs_without_optuna_and_what_notebooks_need(
    fresh_python, tmp_path
):
    lines = fresh_python(SEARCH_IN_SMALL, tmp_path).stdout.splitlines()
    recorded = {path.stem for path in (tmp_path / "search" / "vit").glob("*.json")}
    assert recorded == {"short_2", "draw0_2", "short_3", "draw0_3"}
    chosen = json.loads((tmp_path / "matched.json").read_text())
    assert chosen["vit"] in ("short", "draw0")
    assert [line for line in lines if "matched" in line] == [f"vit: matched is {chosen['vit']}"] * 2
    assert sum("recorded, validation accuracy" in line for line in lines) == 4
