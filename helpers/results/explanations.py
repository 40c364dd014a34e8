"""What the audit of explanations found, as notebook 6 shows it; knows nothing of Keras.

The audit's recorded tables are read by `helpers.results.tables`: `tables.audit`, `tables.gains`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from helpers import data
from helpers.records import runs
from helpers.results import metrics, plots, tables

CAM = "Grad-CAM"
OTHER_LAYER = "Grad-CAM, other layer"  # a row of the audit, compared with `CAM` alone
MAIN = "deletion, blur"  # where one test is shown, it is this one
REFERENCES = {  # of the audit, as they are written
    "random": "random maps",
    "centre": "the centre",
    "other image": "other images' maps",
}
TESTS = (
    "deletion, mean",
    "deletion, blur",
    "insertion, mean",
    "insertion, blur",
    "ROAD",
    "average drop",
    "average increase",
)
CHECKS = {  # of the table `sanity`, in the order they are told in
    "another image": "another image",
    "layers drawn anew": "all drawn anew",
    "another class": "another class",
    "another seed": "another seed",
    "shifted": "shifted",
}


def gains() -> pd.DataFrame:
    """`tables.gains` of all methods, each at its usual layer, in the order of `TESTS`."""
    rows = tables.gains().query("method != @OTHER_LAYER")
    return rows.sort_values("score", key=lambda names: names.map(TESTS.index), kind="stable")


def counts(frame: pd.DataFrame) -> pd.DataFrame:
    """In how many pairs of a model and a test a method is better or worse than blind maps.

    A row a method and reference of `gains`: `over`, `better`, `worse`, `pairs`, and `interval`, the
    widest half of an interval.
    """
    rows = []
    for (method, reference), own in frame.groupby(["method", "reference"], sort=False):
        rows.append(
            {
                "method": method,
                "over": REFERENCES[reference],
                "better": (own["better"] > 0).sum(),
                "worse": (own["better"] < 0).sum(),
                "pairs": len(own),
                "interval": (own["high"] - own["low"]).max() / 2,
            }
        )
    return pd.DataFrame(rows).set_index("method")


def tally(counted: pd.DataFrame) -> pd.DataFrame:
    """`counts` as text, a row a method, a column a reference: "34 better, 1 worse of 42"."""
    text = "{better} better, {worse} worse of {pairs}"
    texts = [text.format(**row) for row in counted.to_dict("records")]
    wide = counted.assign(text=texts).pivot(columns="over", values="text").fillna("not tested")
    wide = wide.loc[counted.index.unique(), list(REFERENCES.values())]
    return wide.rename_axis(columns=None)


def standing(methods: Sequence[str]) -> pd.DataFrame:
    """`tables.standing` of several methods, side by side, a row a model by its display name.

    "-" is where a method does not exist.
    """
    columns = {}
    for method in methods:
        of_method = tables.standing(method)
        columns[f"{method} won"], columns[f"{method} lost"] = of_method["won"], of_method["lost"]
    wide = pd.DataFrame(columns).loc[tables.audit("faithfulness")["model"].unique()]
    wide = wide.astype("Int64").astype(object)
    return wide.where(wide.notna(), "-").rename(plots.label)


def noise_over_centre(curves: pd.DataFrame) -> pd.DataFrame:
    """What noise gains over the centre by `MAIN`, a row a model.

    Noise as coarse as the model's Grad-CAM, which is the first one in its rows, and noise strewn
    over single pixels.
    """
    rows = {}
    for model, own in curves[curves["score"] == MAIN].groupby("model", sort=False):
        area = {
            method: np.trapezoid(curve["probability"], curve["share"])
            for method, curve in own.groupby("method", sort=False)
        }
        noise = [method for method in area if method.startswith("Random map")]
        rows[plots.label(model)] = {
            "as coarse as Grad-CAM": area["Centre Gaussian"] - area[noise[0]],
            "single pixels": area["Centre Gaussian"] - area["Random map, 32 x 32"],
        }
    return pd.DataFrame(rows).T.rename_axis("model")


def drawn_curves(curves: pd.DataFrame, score: str, methods: Sequence[str]) -> pd.DataFrame:
    """The rows of a score and of `methods`, and of noise as coarse as each model's Grad-CAM.

    Their method is named "Random map" in every model.
    """
    own = curves[curves["score"] == score]
    is_noise = own["method"].str.startswith("Random map")
    first = own[is_noise].groupby("model")["method"].first()
    is_own = own["method"] == own["model"].map(first)
    named = own.assign(method=own["method"].mask(is_own, "Random map"))
    return named[named["method"].isin([*methods, "Random map"])]


def best(frame: pd.DataFrame) -> pd.DataFrame:
    """How often each method is the best of a model by a test, over noise and over the centre.

    A row a method of `gains`, in pairs of a model and a test.  Where a method equals Grad-CAM, as
    HiResCAM does if the logits read the layer only through its average, it is left out.  In the
    last row, the pairs in which no method gains.
    """
    columns = {}
    for reference in ("random", "centre"):
        by_model = _by_test(frame, reference).groupby("model")
        first = by_model.idxmax().map(lambda place: place[1])
        first = first.where(by_model.max() > 0, "none gains")
        columns[f"over {REFERENCES[reference]}"] = first.stack().value_counts()
    order = [*frame["method"].unique(), "none gains"]
    return pd.DataFrame(columns).reindex(order).fillna(0).astype(int).rename_axis("method")


def agreement_of_tests(frame: pd.DataFrame) -> pd.DataFrame:
    """How alike two tests rank a model's methods: Spearman's correlation, mean over models.

    A row a reference of `gains`: the number of pairs of tests, how many are `below zero`, the
    `least` and the `greatest`, and of which tests.
    """
    rows = {}
    for reference in ("random", "centre"):
        by_model = _by_test(frame, reference).groupby("model")
        alike = by_model.corr(method="spearman").groupby(level=1, sort=False).mean()
        upper = np.triu(np.ones(alike.shape, bool), 1)
        pairs = alike.where(upper).rename_axis("one").rename_axis("other", axis=1).stack().dropna()
        rows[REFERENCES[reference]] = {
            "pairs of tests": len(pairs),
            "below zero": (pairs < 0).sum(),
            "least": pairs.min(),
            "of": " and ".join(pairs.idxmin()),
            "greatest": pairs.max(),
            "of these": " and ".join(pairs.idxmax()),
        }
    return pd.DataFrame(rows).T.infer_objects().rename_axis("gain over")


def relative_gains(chosen: Sequence[runs.Run]) -> pd.DataFrame:
    """Gains of Grad-CAM by `MAIN` as a share of the mean confidence in the same images.

    Who is less sure has less to lose.  A row a model, method (`CAM`, `OTHER_LAYER`), `predictions`
    (`all`, `correct`, `wrong`) and reference of the audit: `gain`, `low`, `high`.

    Args:
        chosen: the runs whose explanations were audited, one a model.
    """
    sample, confidence = data.load_sample(), {}
    for run in chosen:
        logits = run.test_logits[sample.test_index]
        highest = metrics.softmax(logits).max(axis=1)
        right = logits.argmax(axis=1) == sample.y_test
        for subset, wanted in (("all", slice(None)), ("correct", right), ("wrong", ~right)):
            confidence[run.info["model"], subset] = highest[wanted].mean()
    rows = tables.audit("faithfulness").query("score == @MAIN and method in [@CAM, @OTHER_LAYER]")
    rows = rows[["model", "method", "predictions", "reference", "gain", "low", "high"]].copy()
    scale = [confidence[key] for key in zip(rows["model"], rows["predictions"], strict=True)]
    rows[["gain", "low", "high"]] = rows[["gain", "low", "high"]].div(scale, axis=0)
    return rows


def over_centre(relative: pd.DataFrame) -> pd.DataFrame:
    """`relative_gains` over the centre as text, with intervals, a row a model."""
    columns = {
        "right predictions": (CAM, "correct"),
        "wrong predictions": (CAM, "wrong"),
        "all, usual layer": (CAM, "all"),
        "all, other layer": (OTHER_LAYER, "all"),
    }
    texts = {
        title: _one_each(relative, method, predictions, "centre").apply(
            lambda row: "{gain:+.2f} [{low:+.2f}, {high:+.2f}]".format(**row), axis=1
        )
        for title, (method, predictions) in columns.items()
    }
    return pd.DataFrame(texts).rename(plots.label)


def right_or_wrong(relative: pd.DataFrame) -> pd.DataFrame:
    """For how many models `relative_gains` are larger where the model is right.

    A row a reference: `models`; `larger where right`; `clear`, those whose intervals lie apart.
    """
    rows = {}
    for reference, title in REFERENCES.items():
        right, wrong = (
            _one_each(relative, CAM, predictions, reference) for predictions in ("correct", "wrong")
        )
        clear = (right["low"] > wrong["high"]) | (wrong["low"] > right["high"])
        larger = (right["gain"] > wrong["gain"]).sum()
        rows[title] = {"models": len(right), "larger where right": larger, "clear": clear.sum()}
    return pd.DataFrame(rows).T.rename_axis("gain over")


def other_layer(relative: pd.DataFrame) -> pd.DataFrame:
    """For how many models the other layer's `relative_gains` over the centre are better; one row.

    `models`; `better`, those where it is above the usual layer; `above`, above the centre.
    """
    usual, other = (
        _one_each(relative, method, "all", "centre")["gain"] for method in (CAM, OTHER_LAYER)
    )
    row = {"models": len(other), "better": (other > usual).sum(), "above": (other > 0).sum()}
    return pd.DataFrame(row, index=pd.Index(["the centre"], name="gain over"))


def forgetting(sanity: pd.DataFrame) -> pd.DataFrame:
    """Correlations with the trained model's maps over the share of its layers drawn anew.

    The rows of the audit, and 1 at a share of 0.
    """
    rows = sanity[sanity["check"] == "layers drawn anew"]
    trained = rows.drop_duplicates(["model", "method"]).assign(step=0.0, mean=1.0)
    lines = pd.concat([trained, rows]).sort_values("step", kind="stable")
    order = list(rows["model"].unique())
    return lines.sort_values("model", key=lambda names: names.map(order.index), kind="stable")


def forgotten(sanity: pd.DataFrame) -> pd.DataFrame:
    """The ends of `forgetting`, a row a method: over models, and the share of dead maps."""
    end = sanity.query("check == 'layers drawn anew' and step == 1")
    share = end["dead"] / (end["dead"] + end["images"])
    by_method = end.assign(share=share).groupby("method", sort=False)
    return by_method.agg(
        lowest=("mean", "min"),
        highest=("mean", "max"),
        dead=("share", "mean"),
        **{"most dead": ("share", "max")},
    )


def checks(sanity: pd.DataFrame) -> pd.DataFrame:
    """`CHECKS` as text, a row a method: the mean over models, and the ends if there are several."""
    last = sanity[(sanity["check"] != "layers drawn anew") | (sanity["step"] == 1)]
    wide = last.groupby(["method", "check"], sort=False)["mean"].apply(_ranged).unstack()
    wide = wide.loc[last["method"].unique(), list(CHECKS)].rename(columns=CHECKS)
    return wide.fillna("not tested").rename_axis(columns=None)


def _ranged(values):
    ends = f" [{values.min():.2f}, {values.max():.2f}]" if values.count() > 1 else ""
    return f"{values.mean():.2f}{ends}"


def _one_each(relative, method, predictions, reference):
    rows = relative.query(
        "method == @method and predictions == @predictions and reference == @reference"
    )
    return rows.set_index("model")[["gain", "low", "high"]]


def _by_test(frame, reference):
    """A row a model and method, a column a test; without what equals Grad-CAM."""
    rows = frame[frame["reference"] == reference]
    wide = rows.pivot(index=["model", "method"], columns="score", values="gain")
    wide = wide.reindex(pd.MultiIndex.from_frame(rows[["model", "method"]].drop_duplicates()))
    areas = [score for score in wide if "," in score]
    twins = [
        (model, method)
        for model, method in wide.index
        if method == "HiResCAM"
        and np.allclose(wide.loc[(model, method), areas], wide.loc[(model, CAM), areas], atol=1e-4)
    ]
    return wide.drop(index=twins)
