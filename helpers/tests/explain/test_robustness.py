"""Corrupted images, what recorded models make of them, and whether the tables are of these."""

import json

import numpy as np
import pandas as pd
import pytest

from helpers import config, records, training
from helpers.explain import embedding as lay_out
from helpers.explain import robustness as evaluate
from helpers.records import runs
from helpers.results import embedding, robustness

RECORDED = "cifar10/cnn_baseline/short"


@pytest.fixture(scope="module")
def images(sample):
    return sample.x_test[:40]


def change(images, corrupted):
    return np.abs(corrupted.astype(float) - images).mean()


@pytest.mark.parametrize("name", evaluate.CORRUPTIONS)
def test_a_corruption_grows_with_severity_and_is_the_same_each_time(images, name):
    before = images.copy()
    strengths = range(1, 6)
    found = [evaluate.corrupt(images, name, severity) for severity in strengths]
    assert all(view.dtype == np.uint8 and view.shape == images.shape for view in found)
    changes = [change(images, view) for view in found]
    assert changes[0] > 0
    assert changes == sorted(changes)
    np.testing.assert_array_equal(found[2], evaluate.corrupt(images, name, 3))
    np.testing.assert_array_equal(images, before)


def test_corruptions_do_what_their_names_say():
    grey = np.full((3, 32, 32, 3), 100, np.uint8)
    noise = evaluate.corrupt(grey, "Gaussian noise", 5) / 255
    assert noise.std() == pytest.approx(0.1, rel=0.05)
    assert noise.mean() == pytest.approx(100 / 255, abs=0.005)
    assert len(np.unique(noise.mean(axis=(1, 2, 3)))) == 3  # each image its own noise
    assert (evaluate.corrupt(grey, "brightness", 5) == 160).all()
    halves = grey.copy()
    halves[:, :, 16:] = 200
    faint = evaluate.corrupt(halves, "contrast", 2)
    assert np.ptp(faint) == pytest.approx(50, abs=1)
    assert np.abs(evaluate.corrupt(grey, "Gaussian blur", 5).astype(int) - 100).max() <= 1


def test_an_unknown_corruption_or_severity_is_refused(images):
    for name, severity in (("fog", 1), ("JPEG", 0), ("JPEG", 6)):
        with pytest.raises(ValueError, match="choose from Gaussian noise"):
            evaluate.corrupt(images, name, severity)


def test_images_are_the_first_of_each_class(whole_cifar10):
    images, labels = evaluate.first_images()
    assert np.bincount(labels).tolist() == [200] * 10
    first = np.flatnonzero(whole_cifar10.y_test == 3)[:200]
    np.testing.assert_array_equal(images[labels == 3], whole_cifar10.x_test[first])


def test_command_writes_both_tables_and_whose_weights(monkeypatch, tmp_path, sample):
    chosen = [runs.read(RECORDED)]
    few = (sample.x_test[::10], sample.y_test[::10])
    monkeypatch.setattr(config, "FIGURES", tmp_path)
    monkeypatch.setattr(evaluate, "sources", lambda: chosen)
    monkeypatch.setattr(evaluate, "first_images", lambda: few)
    monkeypatch.setattr(evaluate, "CORRUPTIONS", {"contrast": (0.75, 0.15)})
    summary = evaluate.run()
    frame = robustness.table()
    assert frame["corruption"].tolist() == ["none", "contrast", "contrast"]
    live = training.predict_logits(training.load_model(chosen[0]), few[0]).argmax(axis=1)
    assert frame["accuracy"][0] == pytest.approx((live == few[1]).mean(), abs=1e-4)
    ratio = frame["accuracy"] / frame["accuracy"][0]
    np.testing.assert_allclose(frame["relative"], ratio, atol=1e-3)
    assert summary.loc[RECORDED, "contrast"] == pytest.approx(ratio[1:].mean(), abs=1e-3)
    assert (tmp_path / "07_comparison/robustness_by_corruption.md").exists()
    assert records.stale(robustness.file()) == []


def test_features_are_what_the_logits_are_made_of(images):
    model = training.load_model(runs.read(RECORDED))
    found = training.features(model, images)
    kernel, bias = model.layers[-1].get_weights()
    logits = training.predict_logits(model, images)
    np.testing.assert_allclose(found @ kernel + bias, logits, atol=1e-3)


def test_layout_keeps_groups_together_and_is_the_same_each_time():
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 40)
    values = rng.normal(size=(80, 5)) + 20 * groups[:, None]
    places = lay_out.in_two_dimensions(values)
    apart = np.linalg.norm(places[:, None] - places, axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert (groups[apart.argmin(axis=1)] == groups).all()
    np.testing.assert_array_equal(places, lay_out.in_two_dimensions(values))


# ---- the recorded tables, where they are


TABLES = {robustness: evaluate, embedding: lay_out}


@pytest.mark.parametrize("room", TABLES, ids=lambda room: room.__name__)
def test_recorded_table_tells_of_the_runs_that_it_should(room):
    if not room.file().exists():
        pytest.skip(f"{room.file().name} is not computed")
    expected = records.sources(TABLES[room].sources())
    digests = json.loads(room.file().with_suffix(".weights.json").read_text())
    assert digests == expected, f"{room.file().name} is stale: compute it anew"
    names = {key.rsplit("/", 1)[0] for key in expected}
    assert set(room.table()["experiment"]) == names


def test_recorded_summary_is_that_of_the_table():
    if not robustness.file().exists():
        pytest.skip("robustness.csv is not computed")
    frame = robustness.table()
    written = pd.read_csv(
        config.FIGURES / "07_comparison/robustness_by_corruption.csv", index_col=0
    )
    pd.testing.assert_frame_equal(written, robustness.by_corruption(frame).round(4))
    assert len(frame) == 31 * frame["experiment"].nunique()
