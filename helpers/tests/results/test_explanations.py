"""The audit's tables as notebook 6 reads them, on tables made by hand."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from helpers import data
from helpers.explain import faithfulness
from helpers.results import explanations, tables


def gain_rows(methods: dict[str, list[float]], model: str = "vit") -> list[dict]:
    """A row a method, reference and test: of both references the same gain, all decided."""
    return [
        {"model": model, "method": method, "score": score, "reference": reference}
        | {"gain": gain, "low": gain - 0.5, "high": gain + 0.5, "better": int(np.sign(gain))}
        for method, gains in methods.items()
        for reference in ("random", "centre")
        for score, gain in zip(("deletion, blur", "ROAD", "average drop"), gains, strict=True)
    ]


def test_the_tests_are_those_of_the_audit():
    assert set(explanations.TESTS) == {*faithfulness.LOWERED, *faithfulness.RAISED}


def test_gains_are_of_the_usual_layers_and_in_the_order_of_the_tests(monkeypatch):
    rows = gain_rows({"Grad-CAM": [1, 2, 3], explanations.OTHER_LAYER: [4, 5, 6]})[::-1]
    monkeypatch.setattr(tables, "gains", lambda: pd.DataFrame(rows))
    found = explanations.gains()
    assert found["score"].tolist() == sorted(found["score"], key=explanations.TESTS.index)
    assert set(found["gain"]) == {1, 2, 3}


def test_counts_and_their_text():
    frame = pd.DataFrame(gain_rows({"Grad-CAM": [1, 2, -3], "Occlusion": [1, 0, 0]}))
    other = {"reference": "other image", "high": 3.5}
    frame = pd.concat([frame, frame.iloc[:1].assign(**other)])
    counted = explanations.counts(frame)
    of_centre = counted[counted["over"] == "the centre"]
    assert of_centre.loc["Grad-CAM", ["better", "worse", "pairs"]].tolist() == [2, 1, 3]
    assert of_centre.loc["Occlusion", ["better", "worse", "pairs"]].tolist() == [1, 0, 3]
    assert counted["interval"].tolist() == [0.5, 0.5, 0.5, 0.5, 1.5]
    text = explanations.tally(counted)
    assert list(text.columns) == ["random maps", "the centre", "other images' maps"]
    assert text.loc["Grad-CAM", "the centre"] == "2 better, 1 worse of 3"
    assert text["other images' maps"].tolist() == ["1 better, 0 worse of 1", "not tested"]


def test_standing_has_the_models_in_order_and_a_dash_for_what_does_not_exist(monkeypatch):
    found = {
        "Grad-CAM": pd.DataFrame({"won": [3, 0], "lost": [0, 2]}, index=["cct", "resnet20"]),
        "Attention": pd.DataFrame({"won": [1], "lost": [1]}, index=["cct"]),
    }
    monkeypatch.setattr(tables, "standing", found.get)
    order = pd.DataFrame({"model": ["resnet20", "resnet20", "cct"]})
    monkeypatch.setattr(tables, "audit", lambda table: order)
    wide = explanations.standing(["Grad-CAM", "Attention"])
    assert wide.index.tolist() == ["ResNet-20", "CCT-2/3x2"]
    assert wide["Grad-CAM won"].tolist() == [0, 3]
    assert wide["Attention lost"].tolist() == ["-", 1]


@pytest.fixture
def curves() -> pd.DataFrame:
    """Two models whose Grad-CAM is 8 x 8 and 3 x 3; straight lines to half of the start."""
    start = {
        "vit": {"Grad-CAM": 0.2, "Random map, 8 x 8": 0.8, "Random map, 32 x 32": 0.6},
        "fast_cnn": {"Grad-CAM": 0.4, "Random map, 3 x 3": 0.7, "Random map, 8 x 8": 0.5},
    }
    start["fast_cnn"]["Random map, 32 x 32"] = 0.2
    rows = [
        {"model": model, "method": method, "score": score, "share": share}
        | {"probability": value * (1 - share / 2)}
        for model, of_model in start.items()
        for method, value in (of_model | {"Centre Gaussian": 0.4}).items()
        for score in ("deletion, blur", "deletion, mean")
        for share in (0.0, 0.5, 1.0)
    ]
    return pd.DataFrame(rows)


def test_noise_over_the_centre_is_as_coarse_as_each_model_s_map(curves):
    found = explanations.noise_over_centre(curves)
    assert found.index.tolist() == ["ViT", "Fast CNN"]
    np.testing.assert_allclose(found["as coarse as Grad-CAM"], [-0.3, -0.225])
    np.testing.assert_allclose(found["single pixels"], [-0.15, 0.15])


def test_drawn_curves_have_one_random_map_a_model(curves):
    drawn = explanations.drawn_curves(curves, "deletion, blur", ["Grad-CAM"])
    assert len(drawn) == 2 * 2 * 3
    first = drawn[(drawn["method"] == "Random map") & (drawn["share"] == 0)]
    assert first.set_index("model")["probability"].to_dict() == {"vit": 0.8, "fast_cnn": 0.7}


def test_the_best_method_of_a_test_without_twins_of_grad_cam():
    methods = {
        "Grad-CAM": [0.2, 0.2, -0.2],
        "HiResCAM": [0.2, 0.9, -0.1],
        "Occlusion": [0.3, 0, -1],
    }
    other = {"Grad-CAM": [0.2, 0.2, 0.2], "HiResCAM": [0.4, 0, 0]}
    frame = pd.DataFrame(gain_rows(methods) + gain_rows(other, "cct"))
    found = explanations.best(frame)
    # Of the ViT, HiResCAM has Grad-CAM's gains by deletion, and is its twin.
    assert found["over the centre"].to_dict() == {
        "Grad-CAM": 3,
        "HiResCAM": 1,
        "Occlusion": 1,
        "none gains": 1,
    }


def test_tests_that_rank_in_reverse_are_below_zero():
    methods = {"A": [1, 10, 3], "B": [2, 20, 2], "C": [3, 30, 1]}
    methods["Grad-CAM"] = [4, 40, 0]
    found = explanations.agreement_of_tests(pd.DataFrame(gain_rows(methods))).loc["the centre"]
    assert found[["pairs of tests", "below zero", "least", "greatest"]].tolist() == [3, 2, -1, 1]
    assert set(found["of these"].split(" and ")) == {"ROAD", "deletion, blur"}
    assert "average drop" in found["of"]


@dataclass
class Predicted:
    """As much of a run as its confidence needs."""

    test_logits: np.ndarray
    info: dict


@pytest.fixture
def relative(monkeypatch) -> pd.DataFrame:
    """A model that is right with probability 0.8, and wrong, of the first 100 images, with 0.5."""
    sample = data.load_sample()
    p = np.full((10_000, 10), 0.2 / 9)
    p[sample.test_index, sample.y_test] = 0.8
    for place in range(100):
        wrong = p[sample.test_index[place]]
        wrong[:] = 0.5 / 9
        wrong[(sample.y_test[place] + 1) % 10] = 0.5
    gain = {"all": 0.077, "correct": 0.08, "wrong": 0.1}
    rows = [
        {"model": "vit", "method": method, "score": score, "predictions": subset}
        | {"reference": reference, "gain": value, "low": value - 0.01, "high": value + 0.01}
        for method in ("Grad-CAM", explanations.OTHER_LAYER, "Occlusion")
        for score in (explanations.MAIN, "ROAD")
        for subset, value in gain.items()
        for reference in explanations.REFERENCES
    ]
    frame = pd.DataFrame(rows)
    frame.loc[frame["method"] == explanations.OTHER_LAYER, ["gain", "low", "high"]] += 0.1
    monkeypatch.setattr(tables, "audit", lambda table: frame)
    return explanations.relative_gains([Predicted(np.log(p), {"model": "vit"})])


def test_gains_are_shares_of_the_confidence_in_the_same_images(relative):
    assert set(relative["method"]) == {"Grad-CAM", explanations.OTHER_LAYER}
    of_cam = relative.query("method == 'Grad-CAM' and reference == 'random'")
    gains = of_cam.set_index("predictions")["gain"]
    np.testing.assert_allclose(gains[["all", "correct", "wrong"]], [0.1, 0.1, 0.2])
    assert explanations.over_centre(relative).loc["ViT"].tolist() == [
        "+0.10 [+0.09, +0.11]",
        "+0.20 [+0.18, +0.22]",
        "+0.10 [+0.09, +0.11]",
        "+0.23 [+0.22, +0.24]",
    ]


def test_right_and_wrong_predictions_and_layers_are_counted(relative):
    found = explanations.right_or_wrong(relative)
    assert found.loc["the centre"].tolist() == [1, 0, 1]
    assert explanations.other_layer(relative).loc["the centre"].tolist() == [1, 1, 1]
    relative.loc[relative["predictions"] == "wrong", ["gain", "low", "high"]] -= 0.11
    relative.loc[relative["method"] == explanations.OTHER_LAYER, "gain"] = -1
    found = explanations.right_or_wrong(relative)
    assert found.loc["the centre"].tolist() == [1, 1, 0]
    assert explanations.other_layer(relative).loc["the centre"].tolist() == [1, 0, 0]


@pytest.fixture
def sanity() -> pd.DataFrame:
    rows = [
        ("vit", "A", "layers drawn anew", 0.5, 0.6, 10, 0),
        ("vit", "A", "layers drawn anew", 1.0, 0.2, 8, 2),
        ("cct", "A", "layers drawn anew", 1.0, 0.4, 6, 4),
        ("cct", "A", "layers drawn anew", 0.5, 0.5, 10, 0),
        ("vit", "A", "another image", 1.0, 0.1, 10, 0),
        ("cct", "A", "another image", 1.0, 0.3, 10, 0),
        ("vit", "A", "shifted", 1.0, 0.9, 10, 0),
        ("cct", "A", "another class", 1.0, -0.1, 10, 0),
        ("vit", "B", "another seed", 1.0, 0.7, 10, 0),
    ]
    return pd.DataFrame(
        rows, columns=["model", "method", "check", "step", "mean", "images", "dead"]
    )


def test_forgetting_starts_at_one_and_goes_on_by_share(sanity):
    lines = explanations.forgetting(sanity)
    points = lines[["model", "step", "mean"]].to_numpy().tolist()
    assert points == [
        ["vit", 0, 1],
        ["vit", 0.5, 0.6],
        ["vit", 1, 0.2],
        ["cct", 0, 1],
        ["cct", 0.5, 0.5],
        ["cct", 1, 0.4],
    ]


def test_forgotten_counts_the_dead(sanity):
    found = explanations.forgotten(sanity).loc["A"]
    np.testing.assert_allclose(found[["lowest", "highest"]], [0.2, 0.4])
    np.testing.assert_allclose(found[["dead", "most dead"]], [0.3, 0.4])


def test_checks_show_the_ends_where_there_are_several(sanity):
    found = explanations.checks(sanity)
    assert list(found.columns) == list(explanations.CHECKS.values())
    assert found.loc["A"].tolist() == [
        "0.20 [0.10, 0.30]",
        "0.30 [0.20, 0.40]",
        "-0.10",
        "not tested",
        "0.90",
    ]
    assert found.loc["B", "another seed"] == "0.70"
