"""What is missing is what was planned and is not recorded, with its operations."""

from itertools import product
from types import SimpleNamespace

import pytest

from helpers.experiments import EXPERIMENTS, search
from helpers.experiments.recipes import SEARCHED
from helpers.records import runs
from helpers.results import missing, searching

MACS = 1_000_000
EVERY = {
    (f"{variant}/{model}/{recipe}", seed)
    for _, variants, models, recipes, seeds in missing.PLANNED
    for variant, model, recipe in product(variants.split(), models.split(), recipes.split())
    for seed in range(seeds)
}
WHOLE = {
    (candidate, epochs): 0.5
    for epochs, draws in search.RUNGS
    for candidate in search.candidates()[: draws + 1]
}


def record(monkeypatch, names, trials=WHOLE):
    found = [
        SimpleNamespace(name=name, seed=seed, info={"model": name.split("/")[1], "macs": MACS})
        for name, seed in sorted(names)
    ]
    monkeypatch.setattr(runs, "recorded", lambda pattern, root: found)
    monkeypatch.setattr(searching, "accuracies", lambda model, root: trials)


def test_all_that_is_planned_has_a_recipe_or_will_be_given_one_by_the_search():
    without = {name for name, _ in EVERY if name not in EXPERIMENTS}
    assert without <= {f"cifar10/{model}/matched" for model in SEARCHED}


def test_nothing_is_missing_where_all_is_recorded(monkeypatch):
    record(monkeypatch, EVERY)
    table = missing.table()
    assert (table[["experiments", "runs", "PFLOP"]] == 0).all(axis=None)
    assert table["runs in all"].sum() == len(EVERY) + len(SEARCHED) * len(WHOLE)
    # 5 models, 3 seeds, 300 epochs of 2,250 images and 150 of 9,000.
    few = 15 * (300 * 2250 + 150 * 9000) * 6 * MACS / 1e15
    assert table.loc["few images", "PFLOP in all"] == pytest.approx(few)


def test_a_missing_run_costs_its_operations(monkeypatch):
    record(monkeypatch, EVERY - {("cifar10-5pct/vit/few", 1), ("cifar10-5pct/vit/few", 2)})
    table = missing.table()
    assert list(table.index[table["runs"] > 0]) == ["few images"]
    assert table.loc["few images", ["experiments", "runs"]].tolist() == [1, 2]
    # 2 runs, 300 epochs of 2,250 images.
    assert table.loc["few images", "PFLOP"] == pytest.approx(2 * 300 * 2250 * 6 * MACS / 1e15)


def test_a_missing_trial_costs_its_epochs(monkeypatch):
    trials = {key: value for key, value in WHOLE.items() if key[1] < 30 or key[0] == "short"}
    record(monkeypatch, EVERY, trials)
    table = missing.table()
    assert table.loc[missing.SEARCH, ["experiments", "runs"]].tolist() == [5, 5]
    assert table.loc[missing.SEARCH, "PFLOP"] == pytest.approx(5 * 30 * 45000 * 6 * MACS / 1e15)
