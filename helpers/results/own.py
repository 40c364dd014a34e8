"""What runs on a user's own pictures say, and how far a small test set can be trusted."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from helpers import experiments
from helpers.data.pictures import PictureFiles
from helpers.records import runs
from helpers.results import metrics, notebook, plots
from helpers.results.plots.layout import MOST_CLASSES

GUESSING = "guessing {}"
SUMMARY = ["accuracy", "macro F1", "macro recall"]


def by_model(chosen: Sequence[runs.Run]) -> dict[str, list[runs.Run]]:
    """Runs by the label of their model, which says where the loss weighs classes; seeds in order.

    They are the labels of all tables here, e.g. "EfficientNet-Lite0 (pre-trained, weighted)".
    """
    found = {}
    for run in sorted(chosen, key=lambda run: run.seed):
        found.setdefault(label(run), []).append(run)
    return found


def label(run: runs.Run) -> str:
    """The model's name, and what tells the run from others of it."""
    notes = ["pre-trained"] if _is_pretrained(run) else []
    notes += ["weighted"] if _is_weighted(run) else []
    name = plots.label(run.info["model"])
    return f"{name} ({', '.join(notes)})" if notes else name


def _weighted(label):
    """The label of the same model with class weights."""
    return f"{label[:-1]}, weighted)" if label.endswith(")") else f"{label} (weighted)"


def _is_pretrained(run):
    return run.info["recipe"].startswith("linear")


def _model(run):
    return run.info["model"], _is_pretrained(run)


def _is_weighted(run):
    return run.info["recipe"].endswith("_weighted")


def unweighted(chosen: Sequence[runs.Run]) -> list[runs.Run]:
    """Those that were trained without class weights, which each model was."""
    return [run for run in chosen if not _is_weighted(run)]


def size(run: runs.Run) -> int:
    """Side in pixels of the images that a run's model takes."""
    return dict(run.config["model_options"]).get("size", experiments.own.SIZE)


def scores(chosen: Sequence[runs.Run], guess: int) -> pd.DataFrame:
    """A row a model, the best first: means over seeds, and, of several, each one's accuracy.

    The last row is guessing class number `guess` each time, the largest of the training images.
    """
    seeds = sorted({run.seed for run in chosen})
    rows = {}
    for label, own in by_model(chosen).items():
        tests = {run.seed: run.info["test"] for run in own}
        rows[label] = _row([[test[k] for test in tests.values()] for k in _KEYS])
        rows[label] |= {f"seed {k}": tests[k]["accuracy"] for k in tests}
    table = pd.DataFrame(rows).T.sort_values("accuracy", ascending=False, kind="stable")
    first = {run.seed: run for run in chosen}
    guessed = {seed: _guessed(first[seed], guess) for seed in seeds}
    row = _row(list(zip(*guessed.values(), strict=True)))
    row |= {f"seed {seed}": guessed[seed][0] for seed in seeds}
    name = GUESSING.format(chosen[0].info["classes"][guess])
    table = pd.concat([table, pd.DataFrame({name: row}).T])
    columns = [f"seed {seed}" for seed in seeds] if len(seeds) > 1 else []
    return _titled(table[SUMMARY + columns].astype(float), "model")


_KEYS = ("accuracy", "macro_f1", "macro_recall")


def _row(values):
    return dict(zip(SUMMARY, map(np.mean, values), strict=True))


def _titled(table, title):
    """The table, its rows' title in the line of its columns' names, as pages have it."""
    return table.rename_axis(index=None, columns=title)


def _guessed(run, guess):
    """Accuracy, macro F1 and macro recall of one class each time."""
    labels = run.test_labels
    share, classes = float((labels == guess).mean()), run.test_logits.shape[1]
    return share, 2 * share / (1 + share) / classes, 1 / classes


def gained_by_weights(table: pd.DataFrame) -> pd.DataFrame:
    """What class weights add to the means of `scores`, in points: a row a model that has both."""
    labels = [label for label in table.index if _weighted(label) in table.index]
    rows = {
        label: 100 * (table.loc[_weighted(label), SUMMARY] - table.loc[label, SUMMARY])
        for label in labels
    }
    frame = pd.DataFrame(rows, index=SUMMARY).T
    return _titled(frame.astype(float).round(1), "points")


def recalls(chosen: Sequence[runs.Run]) -> pd.DataFrame:
    """Mean over seeds of each class's recall: a row a model, a column a class."""
    classes = chosen[0].info["classes"]
    return pd.DataFrame(
        {
            label: np.mean(
                [
                    metrics.per_class(run.test_logits.argmax(1), run.test_labels, classes)["recall"]
                    for run in own
                ],
                axis=0,
            )
            for label, own in by_model(chosen).items()
        },
        index=classes,
    ).T


def outermost(values: pd.Series) -> list[str]:
    """The classes to draw, in their order: those with the lowest and the highest values, 20 in all.

    Args:
        values: a number by class.
    """
    ranks = values.rank(method="first")
    half = MOST_CLASSES / 2
    return list(values.index[(ranks <= half) | (ranks > len(values) - half)])


def costs(chosen: Sequence[runs.Run], milliseconds: dict[str, float]) -> pd.DataFrame:
    """What a model takes: parameters, megabytes of float32, milliseconds an image, training."""
    rows = {}
    for label, own in by_model(chosen).items():
        info = own[0].info
        rows[label] = {
            "pixels": size(own[0]),
            "epochs": "-" if _is_pretrained(own[0]) else info["epochs_run"],
            "weights": f"{info['parameters']:,}",
            "MB": round(4 * info["parameters"] / 1e6, 1),
            "million MACs": round(info["macs"] / 1e6, 1),
            "ms an image": round(milliseconds[label], 1),
            "seconds to train": round(np.mean([run.info["seconds_training"] for run in own]), 1),
        }
    return _titled(pd.DataFrame(rows).T, "model")


def interval(own: Sequence[runs.Run]) -> tuple[float, float]:
    """The 95 % interval (Wilson) of a model's test accuracy: which images test is chance.

    Args:
        own: its runs.  Of several seeds, whose test sets may share images, the bounds are the
            means of theirs: more seeds make it no narrower.
    """
    bounds = []
    for run in own:
        right = run.test_logits.argmax(1) == run.test_labels
        bounds.append(metrics.wilson_interval(int(right.sum()), len(right)))
    low, high = np.mean(bounds, axis=0).tolist()
    return low, high


def trust(chosen: Sequence[runs.Run]) -> str:
    """How far the accuracy of the best model can be trusted, in one sentence."""
    label, own = _ranked(chosen)[0]
    return (
        f"{_count(own)}: {label} has {_percent(_mean(own))} over {_seeds(own)}; on all the "
        f"pictures that these were drawn from it may have {_anything(own)}."
    )


def advice(chosen: Sequence[runs.Run], guess: int) -> str:
    """Which model to take, and how far that can be trusted, in one sentence.

    Guessing counts as beaten below the first model's `interval`.  A lead over another model decides
    nothing that is no larger than the way down to the lower bound of the first and that up to the
    higher bound of the other together (the root of the sum of their squares: Newcombe 1998, his
    method 10): on the same images it may be known better than that.  Whether the classes of the
    same model are weighted is no other model.
    """
    ranked = _ranked(chosen)
    label, own = ranked[0]
    best, (low, _) = _mean(own), interval(own)
    guessing = float(np.mean([_guessed(run, guess)[0] for run in own]))
    verb = "leaves" if len(own[0].test_labels) == 1 else "leave"
    known = f"{_count(own)} {verb} it {_anything(own)}"
    if guessing >= low:
        return (
            f"Take none of them yet: {label} is best with {_percent(best)}, guessing the largest "
            f"class is right for {_percent(guessing)}, and {known}; more pictures help most."
        )
    seen = {_model(own[0])}
    others = {}  # the better of each
    for name, other in ranked:
        if _model(other[0]) not in seen:
            seen.add(_model(other[0]))
            others[name] = other
    close = [
        name
        for name, other in others.items()
        if best - _mean(other) <= np.hypot(best - low, interval(other)[1] - _mean(other))
    ]
    if close:
        return (
            f"Take {label} for now, with {_percent(best)} over {_seeds(own)}; but {known}, too "
            f"coarse to tell it from {_either(close)}: more pictures have to decide."
        )
    second, its = "guessing the largest class", guessing
    if others:
        second, runner_up = next(iter(others.items()))
        its = _mean(runner_up)
    points = f"{100 * (best - its):.0f} point"
    points += "" if points == "1 point" else "s"
    return (
        f"Take {label}: {_percent(best)} over {_seeds(own)}, {points} more than {second}; {known}; "
        "even so, the lead is no accident of which pictures test, as long as new ones are like "
        "these."
    )


def _count(own):
    images = len(own[0].test_labels)
    return f"{images:,} test image{'s' if images != 1 else ''}"


def _seeds(own):
    return f"{len(own)} seed{'s' if len(own) > 1 else ''}"


def _anything(own):
    low, high = map(_percent, interval(own))
    return f"anything from {low} to {high} (95 % interval, Wilson)"


def _either(names):
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _ranked(chosen):
    """Labels and their runs, the highest mean accuracy first."""
    return sorted(by_model(chosen).items(), key=lambda item: -_mean(item[1]))


def best(chosen: Sequence[runs.Run]) -> runs.Run:
    """The first seed's run of the model with the highest mean accuracy."""
    return _ranked(chosen)[0][1][0]


def _mean(own):
    return float(np.mean([run.info["test"]["accuracy"] for run in own]))


def _percent(share):
    return f"{100 * share:.0f} %"


def against_the_centre(gains: np.ndarray, shown: int) -> str:
    """What a test of maps against a spot in the centre comes to, in one sentence.

    Args:
        gains: (N,), of the images that have a map; above 0 the map is better.
        shown: images that were explained, those without a map among them.
    """
    if len(gains) < 2:
        have = "has" if len(gains) == 1 else "have"
        return f"{len(gains)} of {shown} images {have} a map: too few to test."
    half = float(stats.t.ppf(0.975, len(gains) - 1) * np.std(gains, ddof=1) / len(gains) ** 0.5)
    mean = float(gains.mean())
    if abs(mean) <= half:
        verdict = "it cannot be told from the centre: don't read much into these maps"
    elif mean > 0:
        verdict = "it knows more than the centre"
    else:
        verdict = "the centre is better: these maps mislead"
    return (
        f"Over {len(gains)} of {shown} images that have a map, Grad-CAM gains {mean:+.3f} ± "
        f"{half:.3f} (95 %) on the centre: {verdict}."
    )


def hardest_errors(
    run: runs.Run, images: np.ndarray | PictureFiles, count: int = 12
) -> Figure | None:
    """The test images that a run gets wrong with the highest confidence; None where none is.

    Args:
        run: one on the user's pictures.
        images: those of its test set, in its order: uint8 (N, S, S, 3), or files that give them.
        count: how many at most.
    """
    return notebook.errors_of(run.test_logits, run.test_labels, images, run.info["classes"], count)
