"""Published curves and figures beside ours: copied whole, judged by the last epochs."""

from fnmatch import fnmatch
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from helpers import experiments
from helpers.records import runs
from helpers.results import published

RESNET, VIT, C = (published.CURVES[number] for number in (0, 1, 2))


def run(name, seed, accuracy, loss=0.5, **parts):
    """As much of a recorded run as a comparison needs; accuracy in percent, an entry an epoch."""
    accuracy = np.asarray(accuracy) / 100
    history = pd.DataFrame({"val_accuracy": accuracy, "loss": loss})
    info = {"recipe": name.split("/")[2]} | parts
    return SimpleNamespace(name=name, seed=seed, info=info, history=history)


@pytest.fixture
def record(monkeypatch):
    """A function that makes runs the recorded ones."""

    def use(*found):
        def recorded(pattern="*", root=None):
            return [one for one in found if fnmatch(one.name, pattern)]

        monkeypatch.setattr(runs, "recorded", recorded)

    use()
    return use


def reproduction(curve):
    return published.reproductions().set_index("system").loc[curve.system]


@pytest.mark.parametrize(
    ("number", "epochs", "mean"),
    [(0, 20, 82.6845), (1, 20, 64.4345), (2, 8, 55.6275), (3, 8, 51.765)],
)
def test_curves_are_whole(number, epochs, mean):
    curve = published.CURVES[number]
    assert len(curve.accuracy) == epochs
    assert np.mean(curve.accuracy) == pytest.approx(mean, abs=2e-4)
    assert len(curve.loss) in (0, epochs)


def test_what_is_compared_are_experiments():
    names = {figure.experiment for figure in published.FIGURES}
    for curve in published.CURVES:
        names |= {curve.experiment, *dict(curve.ablations)}
    assert names <= set(experiments.EXPERIMENTS)


def test_without_runs_nothing_is_judged(record):
    frame = published.reproductions()
    assert set(frame["verdict"]) == {"not recorded"}
    assert frame["gap"].isna().all()
    assert published.figures()["ours"].isna().all()
    assert set(published.curves()["run"]) == {"published"}


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [
        (1.9, "reproduced, within 2 points"),
        (-1.9, "reproduced, within 2 points"),
        (-2.1, "not reproduced, -2.1 points"),
        (2.1, "not reproduced, +2.1 points"),
    ],
)
def test_a_reproduction_is_judged_by_its_last_epochs(record, shift, verdict):
    ours = np.array(C.accuracy) + shift
    ours[:-3] = 10  # what came before does not matter
    record(run(C.experiment, 0, ours + 1), run(C.experiment, 1, ours - 1))
    found = reproduction(C)
    assert (found["seeds"], found["epochs"], found["verdict"]) == (2, "last 3 of 8", verdict)
    assert found["gap"] == pytest.approx(shift)
    assert found["published"] == pytest.approx((60.80 + 65.26 + 63.72) / 3)


def test_a_run_of_other_length_is_no_reproduction(record):
    record(run(C.experiment, 0, C.accuracy[:7]))
    assert reproduction(C)["verdict"] == "not recorded"


def test_training_losses_are_compared_where_theirs_is_known(record):
    record(run(VIT.experiment, 0, VIT.accuracy, VIT.loss), run(RESNET.experiment, 0, [50] * 20))
    assert reproduction(VIT)["our loss"] == reproduction(VIT)["their loss"]
    assert np.isnan(reproduction(RESNET)["our loss"])


def test_curves_name_ours_and_ablations(record):
    record(
        run(VIT.experiment, 0, VIT.accuracy), run("cifar10/vit_128/dropout_everywhere", 2, [10, 20])
    )
    frame = published.curves()
    own = frame[(frame["system"] == VIT.system) & (frame["run"] == "ours")]
    assert own["accuracy"].tolist() == pytest.approx(VIT.accuracy)
    ablation = frame[frame["run"] == "dropout everywhere"]
    assert ablation[["seed", "epoch", "accuracy"]].to_numpy().tolist() == [[2, 1, 10], [2, 2, 20]]


def test_figures_are_means_over_seeds_of_the_part_they_name(record):
    tests = ({"accuracy": 0.88, "macro_f1": 0.87}, {"accuracy": 0.90, "macro_f1": 0.89})
    views = {"test": {"accuracy": 0.5}, "test_tta": {"accuracy": 0.935}}
    record(
        *(run(RESNET.experiment, seed, [1], test=test) for seed, test in enumerate(tests)),
        run("cifar10/fast_cnn/airbench94", 0, [1], **views),
        run("cifar10/fast_cnn/airbench94", 1, [1], test={"accuracy": 0.5}),
    )
    frame = published.figures().set_index(["experiment", "score"])
    resnet = frame.loc["cifar10/resnet18/published", "accuracy"]
    assert (resnet["seeds"], resnet["ours"]) == (2, pytest.approx(89))
    assert resnet["± ours"] == pytest.approx(2**0.5)
    assert frame.loc["cifar10/resnet18/published", "macro f1"]["gap"] == pytest.approx(88 - 89.02)
    fast = frame.loc["cifar10/fast_cnn/airbench94", "accuracy"]
    assert (fast["seeds"], fast["gap"]) == (1, pytest.approx(-0.51))
