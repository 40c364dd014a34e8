"""What training costs, by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import tiny

from helpers import config
from helpers.records import runs
from helpers.results import costs


def test_a_step_costs_six_operations_a_mac():
    assert costs.training_flops(macs=10, images=3) == 180


def test_cost_of_each_epoch(study):
    run = runs.read(tiny.EXPERIMENT.name, 0)
    spent = costs.by_epoch(run)
    assert spent["epoch"].tolist() == [1, 2]
    # The record says cifar10: 45,000 images an epoch.
    expected = 6 * run.info["macs"] * 45_000
    assert spent["training_flops"].tolist() == [expected, 2 * expected]
    seconds = run.history["seconds"]
    assert spent["minutes"].tolist() == pytest.approx(
        [seconds[0] / 60, (seconds[0] + seconds[1]) / 60]
    )
    assert spent["val_accuracy"].tolist() == run.history["val_accuracy"].tolist()


def recorded(model, seed, epochs, macs):
    info = {"data": "cifar10", "model": model, "recipe": "short", "macs": macs}
    info |= {"parameters": 7, "epochs_run": epochs, "seconds_training": 1e6}
    return SimpleNamespace(name=f"cifar10/{model}/short", seed=seed, info=info)


def test_table_has_operations_of_the_records_and_times_of_the_benchmark(monkeypatch, tmp_path):
    found = [
        recorded("cct", 0, 10, 10**8),
        recorded("vit", 0, 10, 10**7),
        recorded("vit", 1, 20, 10**7),
    ]
    monkeypatch.setattr(runs, "recorded", lambda pattern, root: found)
    monkeypatch.setattr(config, "FIGURES", tmp_path)
    assert costs.table()["minutes"].isna().all()
    (tmp_path / "bench.csv").write_text(
        "measure,ours\n"
        '"training step, vit",450\n"latency of one image, vit",1.5\nimport helpers,0.2\n'
    )
    frame = costs.table()
    assert list(frame.index) == ["cifar10/vit/short", "cifar10/cct/short"]  # by operations
    vit = frame.loc["cifar10/vit/short"]
    assert (vit["model"], vit["seeds"], vit["epochs"]) == ("ViT", 2, 15)
    assert vit["PFLOP"] == pytest.approx(6 * 1e7 * 45_000 * 15 / 1e15)
    assert vit["minutes"] == pytest.approx(45_000 * 15 / 450 / 60)
    assert (vit["training images/s"], vit["latency, ms"]) == (450, 1.5)
    assert np.isnan(frame.loc["cifar10/cct/short", "minutes"])


def test_table_without_a_run_is_empty(monkeypatch):
    monkeypatch.setattr(runs, "recorded", lambda pattern, root: [])
    assert costs.table().empty
