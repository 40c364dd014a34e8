"""The run that notebooks use of a model: by validation alone, the same whoever asks."""

import json

import pytest

from helpers.records import runs
from helpers.results import chosen


@pytest.fixture
def record(tmp_path):
    """A function that leaves what is asked of a run: its folder and its accuracies."""

    def write(recipe, seed, validation, test=0.5):
        folder = tmp_path / f"cifar10/vit/{recipe}/seed{seed}"
        folder.mkdir(parents=True)
        source = next(run for run in runs.recorded("cifar10/vit/short") if run.seed == 0)
        info = json.loads((source.folder / "run.json").read_text())
        info |= {"recipe": recipe, "seed": seed}
        info["validation"]["accuracy"], info["test"]["accuracy"] = validation, test
        (folder / "run.json").write_text(json.dumps(info))

    write.root = tmp_path
    return write


def test_the_best_mean_on_validation_is_chosen_whatever_the_test_says(record):
    record("short", 0, 0.60, test=0.9)
    record("short", 1, 0.70, test=0.9)
    record("matched", 0, 0.66, test=0.1)
    record("searched_6", 0, 0.64)
    assert chosen.best_recipe("vit", record.root) == "matched"
    run = chosen.best_run("vit", record.root)
    assert (run.name, run.seed) == ("cifar10/vit/matched", 0)


def test_a_recipe_without_seed_0_or_outside_the_list_is_no_candidate(record):
    record("short", 0, 0.60)
    record("matched", 1, 0.99)
    record("long", 0, 0.99)
    assert chosen.best_recipe("vit", record.root) == "short"


def test_of_equals_the_first_is_chosen(record):
    record("searched_6", 0, 0.6)
    record("short", 0, 0.6)
    assert chosen.best_recipe("vit", record.root) == "short"


def test_what_is_not_recorded_says_how_to_train_it(record):
    with pytest.raises(FileNotFoundError, match="helpers train cifar10/vit/short"):
        chosen.best_recipe("vit", record.root)


@pytest.mark.parametrize("model", ["cnn_baseline", "resnet20", "vit", "hybrid_token", "cct"])
def test_each_family_has_one_and_its_weights_are_kept(model):
    run = chosen.best_run(model)
    run.require_weights()
    assert run.seed == 0
