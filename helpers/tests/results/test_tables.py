"""Tables say what the recorded runs say, and the README says what the tables say."""

from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from helpers import config
from helpers.experiments import recipes
from helpers.explain import faithfulness
from helpers.records import runs
from helpers.results import tables


def test_save_writes_both_forms_rounded(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "FIGURES", tmp_path)
    frame = pd.DataFrame({"accuracy": [0.123456]}, index=pd.Index(["ViT"], name="model"))
    tables.save(frame, "03_vit/scores")
    assert (tmp_path / "03_vit/scores.csv").read_text() == "model,accuracy\nViT,0.1235\n"
    assert "| ViT     | 0.1235     |" in (tmp_path / "03_vit/scores.md").read_text()


def test_save_keeps_a_dot_in_a_name_and_writes_utf_8(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "FIGURES", tmp_path)
    for tau in ("0.5", "0.7"):
        tables.save(pd.DataFrame({"a → b": [tau]}), f"tau_{tau}")
    assert {path.name for path in tmp_path.iterdir()} == {
        f"tau_{tau}.{ending}" for tau in ("0.5", "0.7") for ending in ("csv", "md")
    }
    assert "a → b".encode() in (tmp_path / "tau_0.5.md").read_bytes()


def test_whole_numbers_stay_whole_beside_floats_and_what_is_missing_is_a_dash():
    frame = pd.DataFrame({"auc": [0.25, np.nan], "images": [200, 196]}, index=["CNN", "ViT"])
    rows = [
        [cell.strip() for cell in line.split("|")] for line in tables.markdown(frame).split("\n")
    ]
    assert rows[2][1:4] == ["CNN", "0.25", "200"]
    assert rows[3][1:4] == ["ViT", "-", "196"]


@pytest.mark.parametrize(
    ("variant", "train", "validation"),
    [("cifar10", 4500, 500), ("cifar10-imbalanced", 900, 100), ("cifar10-5pct", 225, 25)],
)
def test_class_counts_are_those_of_the_whole_data_set(variant, train, validation):
    counts = tables.class_counts(variant, seed=3)
    assert counts.loc["dog"].to_dict() == {"train": train, "validation": validation, "test": 1000}
    assert (counts.loc["frog"] == counts.loc["dog"]).all() == (variant != "cifar10-imbalanced")
    assert list(counts.index[:3]) == ["airplane", "automobile", "bird"]


def test_class_counts_of_cifar100():
    counts = tables.class_counts("cifar100", seed=3)
    assert counts.loc["worm"].to_dict() == {"train": 450, "validation": 50, "test": 100}
    assert len(counts) == 100


def recorded_run(recipe, seed, test, views=None, minutes=(1.0, 3.0)):
    info = {"data": "cifar10", "macs": 100_000_000, "epochs_run": 2}
    info |= {part: {"accuracy": test} for part in ("validation", "test")}
    if views:
        info |= {part: {"accuracy": views} for part in ("validation_tta", "test_tta")}
    history = pd.DataFrame(
        {"epoch": [1, 2], "val_accuracy": 0.5, "seconds": 60 * np.array(minutes)}
    )
    return SimpleNamespace(name=f"cifar10/fast_cnn/{recipe}", seed=seed, info=info, history=history)


def test_speed_has_the_costs_of_seed_0_and_means_over_seeds(monkeypatch):
    found = [
        recorded_run("slow", 0, 0.8),
        recorded_run("fast", 0, 0.90, 0.92),
        recorded_run("fast", 1, 0.94, 0.96, minutes=(7.0, 7.0)),
        recorded_run("faster", 0, 0.7, 0.8),
    ]
    monkeypatch.setattr(runs, "recorded", lambda pattern, root: found)
    frame = tables.speed("cifar10/fast_cnn/*")
    assert list(frame.index) == ["cifar10/fast_cnn/fast", "cifar10/fast_cnn/faster"]
    fast = frame.loc["cifar10/fast_cnn/fast"]
    assert (fast["seeds"], fast["epochs"], fast["minutes"]) == (2, 2, 4)
    assert fast["PFLOP"] == pytest.approx(6 * 1e8 * 90_000 / 1e15)
    assert fast["test"] == pytest.approx(0.92)
    assert fast["± test"] == pytest.approx(0.02 * 2**0.5)
    assert fast["test, views averaged"] == pytest.approx(0.94)
    assert np.isnan(frame.loc["cifar10/fast_cnn/faster", "± test"])


def test_trials_show_settings_and_the_first_best_epoch(tmp_path):
    history = [
        {"epoch": epoch, "val_accuracy": accuracy}
        for epoch, accuracy in enumerate((0.3, 0.6, 0.5, 0.6), start=1)
    ]
    record = {
        "model": "vit",
        "trial": 3,
        "config": asdict(recipes.drawn(3)),
        "history": history,
        "training_flops": 2_500_000_000_000_000,
    }
    runs.trial_file("vit", 3, tmp_path).parent.mkdir()
    runs.write_trial(record, tmp_path)
    wide = {**record["config"], "model_options": [["widths", [64, 384, 384]]]}
    runs.write_trial({**record, "trial": 4, "config": wide}, tmp_path)
    assert tables.trials(tmp_path)["widths"].tolist() == ["as built", "64 384 384"]
    row = tables.trials(tmp_path).iloc[0]
    assert (row["model"], row["trial"], row["PFLOP"]) == ("vit", 3, 2.5)
    assert (row["validation accuracy"], row["best epoch"]) == (0.6, 2)
    assert (row["epochs"], row["widths"]) == (6, "as built")
    drawn = recipes.drawn(3)
    assert row["learning rate"] == drawn.learning_rate
    shown = set(row.index) | {"mixing", "warmup"}  # mixup and cutmix; warmup epochs
    assert {key.replace("_", " ") for key in recipes.SPACE} <= shown
    assert tuple(row["randaugment"]) == drawn.augmentation.randaugment


RUN = SimpleNamespace(
    name="cifar10/vit/short",
    seed=0,
    test_logits=np.eye(2)[[0, 0, 1, 0]],
    info={
        "model": "vit",
        "recipe": "short",
        "validation": {"accuracy": 0.5},
        "test": {"accuracy": 0.75, "macro_f1": 0.7},
    },
)


def test_scores_are_those_of_the_record():
    row = tables.scores([RUN]).loc["ViT"]
    assert row.to_dict() == {"recipe": "short", "validation accuracy": 0.5} | RUN.info["test"]


def test_per_class_ends_with_the_means_and_all_images():
    table = tables.per_class(RUN, np.array([0, 0, 0, 1]), ("cat", "dog"))
    assert table.index.name == "class"
    assert table.loc["cat", ["precision", "recall"]].tolist() == pytest.approx([2 / 3, 2 / 3])
    assert table.loc["macro average", "recall"] == pytest.approx(1 / 3)
    assert table["support"].tolist() == [3, 1, 4]


def test_decisive_tests_are_scores_of_the_audit():
    assert set(tables.DECISIVE) <= {*faithfulness.LOWERED, *faithfulness.RAISED}


def costly(model, seed, epochs, macs):
    info = {"data": "cifar10", "model": model, "recipe": "short", "macs": macs}
    info |= {"parameters": 7, "epochs_run": epochs, "seconds_training": 1e6}
    return SimpleNamespace(name=f"cifar10/{model}/short", seed=seed, info=info)


def test_costs_have_operations_of_the_records_and_times_of_the_benchmark(monkeypatch, tmp_path):
    found = [
        costly("cct", 0, 10, 10**8),
        costly("vit", 0, 10, 10**7),
        costly("vit", 1, 20, 10**7),
    ]
    monkeypatch.setattr(runs, "recorded", lambda pattern, root: found)
    monkeypatch.setattr(config, "FIGURES", tmp_path)
    assert tables.costs_by_model()["minutes"].isna().all()
    (tmp_path / "bench.csv").write_text(
        "measure,ours\n"
        '"training step, vit",450\n"latency of one image, vit",1.5\nimport helpers,0.2\n'
    )
    frame = tables.costs_by_model()
    assert list(frame.index) == ["cifar10/vit/short", "cifar10/cct/short"]  # by operations
    vit = frame.loc["cifar10/vit/short"]
    assert (vit["model"], vit["seeds"], vit["epochs"]) == ("ViT", 2, 15)
    assert vit["PFLOP"] == pytest.approx(6 * 1e7 * 45_000 * 15 / 1e15)
    assert vit["minutes"] == pytest.approx(45_000 * 15 / 450 / 60)
    assert (vit["training images/s"], vit["latency, ms"]) == (450, 1.5)
    assert np.isnan(frame.loc["cifar10/cct/short", "minutes"])


def test_costs_without_a_run_are_empty(monkeypatch):
    monkeypatch.setattr(runs, "recorded", lambda pattern, root: [])
    assert tables.costs_by_model().empty


def test_over_seeds_gives_means_and_every_seed():
    frame = tables.over_seeds(["cifar10/vit/short", "cifar10/vit/searched_6"])
    several, one = frame.iloc[0], frame.iloc[1]
    own = [runs.read("cifar10/vit/short", seed).info for seed in range(several["seeds"])]
    found = [info["test"]["accuracy"] for info in own]
    assert several["accuracy"] == pytest.approx(np.mean(found))
    assert several["± accuracy"] == pytest.approx(np.std(found, ddof=1))
    assert several["validation"] == pytest.approx(
        np.mean([info["validation"]["accuracy"] for info in own])
    )
    assert several["accuracy by seed"] == " ".join(f"{100 * value:.1f}" for value in found)
    assert one["seeds"] == 1
    assert np.isnan(one["± accuracy"])


def test_over_seeds_says_what_is_not_recorded():
    with pytest.raises(ValueError, match="cifar10/vit/nowhere is not recorded"):
        tables.over_seeds(["cifar10/vit/nowhere"])


def test_an_experiment_is_the_mean_of_its_seeds(monkeypatch):
    frame = pd.DataFrame(
        {
            "experiment": ["cifar10/vit/short"] * 2 + ["cifar10/cct/short"],
            "data": "cifar10",
            "model": ["vit", "vit", "cct"],
            "recipe": "short",
            "parameters": 10,
            "macs": 20,
            "training_flops": 30,
            "validation_accuracy": 0.5,
        }
        | {score: [0.6, 0.8, 0.9] for score in tables.SCORES}
    )
    monkeypatch.setattr(tables, "all_runs", lambda pattern, root: frame)
    vit, cct = tables.by_experiment().to_dict("records")
    assert (vit["model"], vit["seeds"], cct["seeds"]) == ("vit", 2, 1)
    assert vit["accuracy"] == pytest.approx(0.7)
    assert vit["sd"] == pytest.approx(0.1 * np.sqrt(2))
    assert (vit["lowest"], vit["highest"]) == (0.6, 0.8)
    assert np.isnan(cct["sd"])
