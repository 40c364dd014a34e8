"""What training costs, by hand."""

import pytest
import tiny

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


def test_costs_bring_no_matplotlib(fresh_python):
    """Training imports them, and so do the benchmark's workers, on which it would weigh."""
    fresh_python("import sys, helpers.results.costs; assert 'matplotlib' not in sys.modules")
