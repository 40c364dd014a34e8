"""The search in rungs: the draws, who goes on, and what is chosen."""

import json

import numpy as np
import pytest

from helpers import experiments
from helpers.experiments import recipes, search


@pytest.fixture
def no_choice(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "CHOSEN", tmp_path / "matched.json")


def test_committed_draws_are_the_drawn_ones():
    drawn = json.loads(json.dumps(search.draw(search.SEED)))
    assert list(search.draws().values()) == drawn


def test_each_eighth_of_a_range_and_each_choice_is_drawn_alike():
    points = search.draw(search.SEED)
    for key, (least, greatest) in search.RANGES.items():
        places = sorted(np.log([p[key] / least for p in points]) / np.log(greatest / least))
        np.testing.assert_allclose(places, (np.arange(8) + 0.5) / 8, atol=0.02)
    for key, choices in search.CHOICES.items():
        times = [[p[key] for p in points].count(choice) for choice in choices]
        assert max(times) - min(times) <= 1, key


def dependence(points: list[dict]) -> float:
    """The greatest correlation of two settings: ranges in the logarithm, choices by place."""
    columns = [[np.log(point[key]) for point in points] for key in search.RANGES]
    columns += [
        [choices.index(point[key]) for point in points] for key, choices in search.CHOICES.items()
    ]
    return float(np.abs(np.corrcoef(columns) - np.eye(len(columns))).max())


def test_settings_are_drawn_nearly_independently():
    assert dependence(search.draw(search.SEED)) < 0.51
    assert dependence(search.draw(0)) > 0.51


@pytest.mark.parametrize("candidate", search.candidates())
@pytest.mark.parametrize("epochs", [6, 12, 30])
def test_each_rung_has_its_whole_schedule(candidate, epochs):
    settings = search.recipe(candidate, epochs)
    assert settings.epochs == epochs
    assert settings.schedule in ("cosine", "linear")
    assert 0 <= settings.warmup_epochs <= epochs / 6
    longest = search.recipe(candidate, 30)
    assert (settings.warmup_epochs > 0) == (longest.warmup_epochs > 0)
    assert settings.augmentation == longest.augmentation


def test_short_is_a_candidate_as_it_is():
    assert search.recipe("short", 30) == recipes.SHORT


def results(epochs, **accuracies):
    return {(candidate, epochs): value for candidate, value in accuracies.items()}


SIX = results(6, short=0.1, draw0=0.5, draw1=0.6, draw2=0.0, draw3=0.7, draw4=0.3, draw5=0.2) | (
    results(6, draw6=0.6, draw7=0.4)
)
TWELVE = results(12, short=0.5, draw3=0.6, draw1=0.7, draw6=0.65)


def test_rungs_by_hand():
    assert search.missing({}) == [(candidate, 6) for candidate in search.candidates()]
    without = {trial: value for trial, value in SIX.items() if trial != ("draw7", 6)}
    assert search.missing(without) == [("draw7", 6)]
    # The three best draws, and `short` though it is behind.
    assert set(search.missing(SIX)) == {(c, 12) for c in ("short", "draw3", "draw1", "draw6")}
    assert set(search.missing(SIX | TWELVE)) == {("short", 30), ("draw1", 30)}
    assert search.missing(SIX | TWELVE | results(30, short=0.8, draw1=0.7)) == []


@pytest.mark.parametrize(("draw1", "best"), [(0.81, "draw1"), (0.79, "short"), (0.8, "short")])
def test_the_best_at_30_epochs_is_chosen(draw1, best):
    assert search.best(SIX | TWELVE | results(30, short=0.8, draw1=draw1)) == best


def test_nothing_is_chosen_before_the_last_rung():
    with pytest.raises(ValueError, match="trials are missing: short_30, draw1_30"):
        search.best(SIX | TWELVE)


def test_every_family_is_trained_for_the_same_epochs():
    places = [draws + 1 for _, draws in search.RUNGS]
    assert places == [9, 4, 2]
    assert sum(n * epochs for n, (epochs, _) in zip(places, search.RUNGS, strict=True)) == 162


def test_choice_is_what_matched_is(no_choice):
    assert search.matched() == {}
    search.choose("vit", "short")
    search.choose("cnn_baseline", "draw3")
    search.choose("vit", "draw1")
    assert list(search.chosen()) == ["cnn_baseline", "vit"]
    assert search.matched() == {
        "cnn_baseline": search.recipe("draw3", 30),
        "vit": search.recipe("draw1", 30),
    }


def test_what_is_not_chosen_yet_says_so():
    with pytest.raises(ValueError, match="cifar10/vit_lite/matched: python -m helpers search"):
        experiments.find("cifar10/vit_lite/matched")


@pytest.mark.parametrize("trial", ["draw8_6", "draw1_7", "draw1", "short", "6"])
def test_other_trials_are_refused(trial):
    with pytest.raises(ValueError, match=f"no trial '{trial}': choose a candidate of short, draw0"):
        search.settings("vit", trial)


def test_other_models_are_refused():
    with pytest.raises(ValueError, match="no search in rungs for resnet18: choose from cnn"):
        search.settings("resnet18", "draw0_6")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"vit": 3}', '{"vit": []}', "<<<<<<<"])
def test_a_damaged_choice_is_named(no_choice, text):
    search.CHOSEN.write_text(text)
    with pytest.raises(ValueError, match=r"matched\.json is damaged: restore it, or delete it"):
        search.chosen()
