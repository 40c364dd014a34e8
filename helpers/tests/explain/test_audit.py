"""The audit of explanations on a few images, and its recorded tables."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers import __main__ as command_line
from helpers import config, explain, records, training
from helpers.experiments import EXPERIMENTS
from helpers.explain import audit, catalogue, faithfulness
from helpers.records import runs
from helpers.results import tables

RECORDED = "cifar10/cnn_baseline/described"


@pytest.fixture(scope="module")
def subject():
    return audit.subject_of(runs.read(RECORDED), 20)


@pytest.fixture
def two_methods(monkeypatch):
    quick = {name: explain.METHODS[name] for name in ("Grad-CAM", "HiResCAM")}
    monkeypatch.setattr(catalogue, "METHODS", quick)


@pytest.fixture(scope="module")
def rows(subject):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "METHODS", {"Grad-CAM": explain.grad_cam})
        scores, curves = audit.faithfulness_of(subject)
    return pd.DataFrame(scores), pd.DataFrame(curves)


def test_subject_has_images_of_the_sample_and_what_the_model_says_of_them(subject, sample):
    assert subject.images.shape == (20, 32, 32, 3)
    true = sample.y_test[::50]
    np.testing.assert_array_equal(subject.images, sample.x_test[::50])
    np.testing.assert_array_equal(subject.is_correct, subject.labels == true)
    live = subject.model.predict_on_batch(subject.images)
    np.testing.assert_allclose(subject.logits, live, atol=0.05)
    assert len(audit.subject_of(subject.run).images) == 1000


def test_each_method_score_subset_and_reference_has_a_row(rows):
    scores, _ = rows
    counts = scores.groupby(["method", "score", "predictions", "reference"]).size()
    assert (counts == 1).all()
    assert len(scores) == 2 * 7 * 3 * 2 + 7 * 3  # other images' for Grad-CAM alone
    others = scores[scores["reference"] == "other image"]
    assert set(others["method"]) == {"Grad-CAM"}
    assert set(scores["method"]) == {"Grad-CAM", audit.OTHER_LAYER}
    of = scores.set_index(["method", "score", "reference", "predictions"])["images"].unstack()
    assert (of["correct"] + of["wrong"] == of["all"]).all()
    assert (scores["gain"].between(scores["low"], scores["high"]) | (scores["images"] < 2)).all()


def test_gain_is_that_of_the_same_images(subject, rows):
    scores, curves = rows
    maps = explain.grad_cam(subject.model, subject.images, subject.labels)
    alive = ~explain.is_dead(maps)
    noise = explain.random_maps(20, seed=audit.SEED, grid=(8, 8))
    area = {
        name: faithfulness.area_under(
            faithfulness.deletion_curve(
                subject.model, subject.images[alive], subject.labels[alive], values[alive]
            )
        )
        for name, values in {"Grad-CAM": maps, "noise": noise}.items()
    }
    row = scores.query(
        "method == 'Grad-CAM' and score == 'deletion, mean' and predictions == 'all' "
        "and reference == 'random'"
    ).iloc[0]
    assert row["images"] == alive.sum()
    assert row["mean"] == pytest.approx(area["Grad-CAM"].mean(), rel=1e-5)
    # The noise's equal pixels, of which there are next to none, may go in another order.
    assert row["gain"] == pytest.approx((area["noise"] - area["Grad-CAM"]).mean(), abs=1e-3)
    of_others = faithfulness.area_under(
        faithfulness.deletion_curve(
            subject.model, subject.images, subject.labels, audit.of_other_images(maps)
        )
    )
    other = scores.query(
        "method == 'Grad-CAM' and score == 'deletion, mean' and predictions == 'all' "
        "and reference == 'other image'"
    ).iloc[0]
    gains = of_others - area["Grad-CAM"]
    assert other["gain"] == pytest.approx(gains.mean(), abs=1e-5)
    assert other["p"] == pytest.approx(stats.ttest_1samp(gains, 0).pvalue, rel=1e-2)
    curve = curves.query("method == 'Grad-CAM' and score == 'deletion, mean'")
    assert curve["share"].tolist() == pytest.approx(np.linspace(0, 1, faithfulness.STEPS + 1))
    mean = faithfulness.area_under(curve["probability"].to_numpy()[None])[0]
    assert mean == pytest.approx(row["mean"], rel=1e-5)


@pytest.mark.parametrize("name", ["cifar10/cnn_baseline/described", "cifar10/fast_cnn/fast_4"])
def test_layers_are_drawn_anew_from_the_last_to_the_first(name):
    trained = audit.subject_of(runs.read(name), 10)
    before = [weights.copy() for weights in trained.model.get_weights()]
    settings = replace(EXPERIMENTS[name].settings, precision="float32")
    experiment = replace(EXPERIMENTS[name], settings=settings)
    fresh = training.new_model(experiment, audit.SEED + 1)
    shares, anew = [], []
    for share, model in audit.drawn_anew(trained):
        shares.append(share)
        logits = model.predict_on_batch(trained.images)
        assert logits.dtype == np.float32
        anew.append(set())
        for layer, old, new in zip(model.layers, trained.model.layers, fresh.layers, strict=True):
            expected = (
                new if all(map(np.array_equal, layer.get_weights(), new.get_weights())) else old
            )
            for found, weights in zip(layer.get_weights(), expected.get_weights(), strict=True):
                np.testing.assert_array_equal(found, weights)
            if expected is new and layer.weights and layer.name != "whitening":
                anew[-1].add(layer.name)
    assert shares == sorted(shares)
    assert [name.endswith("logits") for name in anew[0]] == [True]
    for fewer, more in pairwise(anew):
        assert fewer < more
    stays = {"whitening"} if "fast_cnn" in name else set()
    assert anew[-1] == {layer.name for layer in fresh.layers if layer.weights} - stays
    assert shares[-1] == 1
    for now, then in zip(trained.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_sanity_checks_compare_what_they_say(subject, monkeypatch):
    """Three made-up methods, of which each check's answer is known."""

    def of_label(model, images, labels):
        slope = np.arange(32.0)[:, None] + np.zeros((32, 32))
        return np.stack([slope * (-1) ** (label % 2) + slope.T / 100 for label in labels])

    def of_pixels(model, images, labels):
        return images.mean(axis=3)

    def of_weights(model, images, labels):
        noise = np.random.default_rng(abs(hash(model.get_weights()[0].tobytes())))
        return np.broadcast_to(noise.random((32, 32)), (len(images), 32, 32))

    made_up = {"label": of_label, "pixels": of_pixels, "weights": of_weights}
    monkeypatch.setattr(explain, "methods", lambda model: made_up)
    monkeypatch.setattr(audit, "PERMUTED", {RECORDED: "permuted"})
    monkeypatch.setattr(audit, "OTHER_SEED", (RECORDED,))
    asked = []
    monkeypatch.setattr(runs, "read", lambda *key: asked.append(key) or subject.run)
    found = pd.DataFrame(audit.sanity_of(subject))
    assert asked == [("permuted", audit.SEED + 1), (RECORDED, audit.SEED + 1)]
    assert (found["images"] == 20).all()
    of = found.set_index(["method", "check", "step"])["mean"].sort_index()
    assert of["pixels", "shifted", 1.0] == pytest.approx(1)
    assert of["pixels", "another class", 1.0] == pytest.approx(1)
    assert -1 < of["pixels", "another image", 1.0] < 0.9
    assert of["weights", "another image", 1.0] == pytest.approx(1)
    assert of["label", "another class", 1.0] < 0.9  # odd and even classes are opposed
    assert of["label", "another seed", 1.0] == pytest.approx(1)
    assert of["weights", "another seed", 1.0] == of["weights", "labels permuted", 1.0]
    assert of["weights", "another seed", 1.0] == pytest.approx(1)  # the same run, here
    cascade = of["weights", "layers drawn anew"]
    assert cascade.iloc[:-1].to_numpy() == pytest.approx(1)  # the first layer comes last
    assert abs(cascade.iloc[-1]) < 0.2


def test_dead_maps_are_left_out_and_counted(subject, monkeypatch):
    def every_second(model, images, labels):
        maps = explain.random_maps(len(images), seed=3)
        maps[::2] = np.nan
        return maps

    monkeypatch.setattr(catalogue, "METHODS", {"made up": every_second})
    scores, _ = audit.faithfulness_of(subject)
    found = pd.DataFrame(scores).query("method == 'made up' and score == 'ROAD'")
    of = found.query("reference == 'random'").set_index("predictions")
    dead = {
        "all": 10,
        "correct": int(subject.is_correct[::2].sum()),
        "wrong": int((~subject.is_correct[::2]).sum()),
    }
    assert of["dead"].to_dict() == dead
    assert of.loc["all", "images"] == 10
    maps, noise = every_second(None, subject.images, None), explain.random_maps(20, seed=audit.SEED)
    gains = [
        faithfulness.scores(subject.model, subject.images[1::2], subject.labels[1::2], values[1::2])
        for values in (noise, maps)
    ]
    expected = (gains[0][0]["ROAD"] - gains[1][0]["ROAD"]).mean()
    assert of.loc["all", "gain"] == pytest.approx(expected, abs=5e-3)  # other noise is filled in


def test_a_method_without_any_map_has_rows_and_beats_nothing(subject, monkeypatch):
    def dead(model, images, labels):
        return np.full((len(images), 32, 32), np.nan)

    monkeypatch.setattr(catalogue, "METHODS", {"Grad-CAM": dead})
    scores, curves = audit.faithfulness_of(subject)
    found = pd.DataFrame(scores).query("method == 'Grad-CAM' and predictions == 'all'")
    assert set(found["reference"]) == {"random", "centre", "other image"}
    assert (found["images"] == 0).all()
    assert (found["dead"] == len(subject.images)).all()
    assert found[["mean", "gain", "low", "high"]].isna().all(axis=None)
    assert (found["p"] == 1).all()
    assert "Grad-CAM" not in set(pd.DataFrame(curves)["method"])
    monkeypatch.setattr(tables, "audit", lambda table: pd.DataFrame(scores))
    assert tables.standing("Grad-CAM").loc["cnn_baseline"].tolist() == [0, 0]


def test_every_living_map_is_in_the_place_of_another():
    maps = explain.random_maps(6, (8, 8))
    maps[[1, 4]] = np.nan
    swapped = audit.of_other_images(maps)
    np.testing.assert_array_equal(explain.is_dead(swapped), explain.is_dead(maps))
    where = {m.tobytes(): number for number, m in enumerate(maps)}
    came_from = [where[m.tobytes()] for m in swapped[[0, 2, 3, 5]]]
    assert sorted(came_from) == [0, 2, 3, 5]
    assert all(a != b for a, b in zip(came_from, [0, 2, 3, 5], strict=True))


def test_a_shift_repeats_the_first_rows_and_columns():
    image = np.arange(16).reshape(1, 4, 4)
    moved = audit._moved(image)
    assert moved.shape == image.shape
    np.testing.assert_array_equal(moved[0, 2:, 2:], image[0, :2, :2])
    np.testing.assert_array_equal(moved[0, 0], [0, 0, 0, 1])
    assert audit._moved(np.zeros((2, 4, 4, 3))).shape == (2, 4, 4, 3)


def test_a_missing_run_is_named_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr(audit, "RUNS", (RECORDED, "cifar10/cnn_baseline/none"))
    monkeypatch.setattr(audit, "faithfulness_of", lambda subject: pytest.fail("too early"))
    with pytest.raises(FileNotFoundError, match="cifar10/cnn_baseline/none"):
        audit.run()


def test_tables_are_written_and_read(subject, two_methods, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(config, "FIGURES", tmp_path / "new")
    with pytest.raises(FileNotFoundError, match="run python -m helpers faithfulness"):
        tables.audit("sanity")
    monkeypatch.setattr(audit, "RUNS", (RECORDED,))
    monkeypatch.setattr(audit, "CHECKED", 10)
    monkeypatch.setattr(audit, "subject_of", lambda run, count=10: subject)
    monkeypatch.setattr(audit, "PERMUTED", {})
    monkeypatch.setattr(audit, "OTHER_SEED", ())
    assert command_line.main(["faithfulness"]) == 0
    assert all(records.stale(tables.audit_file(table)) == [] for table in tables.AUDIT)
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"{RECORDED}: audited",
        *(f"{tables.audit_file(t)} written" for t in tables.AUDIT),
    ]
    for table in tables.AUDIT:
        assert set(tables.audit(table)["model"]) == {"cnn_baseline"}
    gains = tables.gains().query("method == 'HiResCAM' and score == 'ROAD'")
    assert gains["reference"].tolist() == ["random", "centre"]


def test_gains_are_corrected_and_decided(monkeypatch):
    p = {"a": [0.001, 0.001, 0.001, 0.02], "b": [0.001, 0.2, 0.001, 0.001]}
    gain = {"a": [1, 2, 3, 4], "b": [-1, 2, 3, 4]}
    scores = [tables.DECISIVE[0], tables.DECISIVE[0], tables.DECISIVE[1], tables.DECISIVE[1]]
    rows = [
        {"model": model, "method": "M", "score": score, "predictions": subset}
        | {"reference": reference, "gain": gain[model][i], "p": p[model][i]}
        for model in "ab"
        for subset in ("all", "wrong")
        for i, (score, reference) in enumerate(zip(scores, ("random", "centre") * 2, strict=True))
    ]
    monkeypatch.setattr(tables, "audit", lambda table: pd.DataFrame(rows))
    found = tables.gains()
    assert len(found) == 8
    # Of eight p-values, the six least times 8, then 2 x 0.02 and 0.2.
    assert found["p"].tolist() == pytest.approx([0.008] * 3 + [0.04, 0.008, 0.2, 0.008, 0.008])
    assert found["better"].tolist() == [1, 1, 1, 1, -1, 0, 1, 1]
    assert tables.standing("M").loc["a"].tolist() == [2, 0]
    assert tables.standing("M").loc["b"].tolist() == [1, 1]


# --- the recorded tables ------------------------------------------------------------------------

MODELS = [name.split("/")[1] for name in audit.RUNS]


@pytest.fixture(scope="module")
def recorded():
    return {table: tables.audit(table) for table in tables.AUDIT}


def test_recorded_tables_are_whole(recorded):
    table = recorded["faithfulness"]
    assert list(dict.fromkeys(table["model"])) == MODELS
    for model, of_model in table.groupby("model"):
        has_attention = model in ("vit", "cct")
        expected = {*explain.METHODS, audit.OTHER_LAYER}
        expected -= set() if has_attention else set(explain.OF_ATTENTION)
        assert set(of_model["method"]) == expected
        assert len(of_model) == (2 * len(expected) + len(audit.CONTROLLED)) * 7 * 3
    everything = table[table["predictions"] == "all"]
    assert (everything["images"] + everything["dead"] == 1000).all()
    assert (table["gain"].between(table["low"], table["high"])).all()
    assert set(recorded["curves"]["model"]) == set(recorded["sanity"]["model"]) == set(MODELS)
    for model, of_model in recorded["sanity"].groupby("model"):
        expected = {"layers drawn anew", "another class", "shifted", "another image"}
        expected |= (
            {"another seed"} if any(f"/{model}/" in name for name in audit.OTHER_SEED) else set()
        )
        other_models = of_model["check"].isin(["another seed", "labels permuted"])
        assert (of_model.loc[other_models, "mean"] < 0.99).all()
        expected |= {"labels permuted"} if any(f"/{model}/" in n for n in audit.PERMUTED) else set()
        assert set(of_model["check"]) == expected


def test_recorded_curves_are_those_of_the_table(recorded):
    curves = recorded["curves"].set_index(["model", "method", "score"])
    table = recorded["faithfulness"].query("predictions == 'all' and reference == 'centre'")
    for row in table[table["score"].str.contains(",")].itertuples():
        curve = curves.loc[(row.model, row.method, row.score), "probability"].to_numpy()
        assert faithfulness.area_under(curve[None])[0] == pytest.approx(row.mean, abs=1e-4)
