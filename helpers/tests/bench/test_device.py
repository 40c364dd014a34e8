"""The rate of a device follows from what it trained, by its own clock."""

import pytest

from helpers import data
from helpers.bench import device


def test_rates_fit_each_other():
    name = "cifar10/cnn_baseline/short"
    row = device.table([name], copies=1, side=64).loc[name]
    images = len(data.prepare("cifar10", 0, data.load_sample()).train_index)
    seconds = images / row["images/s"]
    assert row["ms a step"] == pytest.approx(1000 * seconds / -(-images // 128))
    assert row["TFLOP/s"] == pytest.approx(6 * 10.34e6 * images / seconds / 1e12, rel=0.01)
    assert row["a run, s"] == pytest.approx(row["start, s"] + 30 * 45_000 / row["images/s"])
    assert row["of a product"] > 0
    assert row["precision"] == "float32"
