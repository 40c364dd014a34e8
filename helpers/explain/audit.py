"""The audit of the study's explanations: every recorded model, method and test of notebook 6.

`python -m helpers faithfulness` computes it from recorded weights and the embedded sample of test
images, in about an hour on two cores, and writes its three tables.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
from scipy import stats

from helpers import data, explain, files, records, training
from helpers.backend import keras
from helpers.experiments import EXPERIMENTS
from helpers.explain import faithfulness, places
from helpers.models.fast import Whitening
from helpers.records import runs
from helpers.results import tables
from helpers.results.explanations import OTHER_LAYER

SEED = 0
RUNS = (
    "cifar10/cnn_baseline/described",
    "cifar10/resnet20/short",
    "cifar10/fast_cnn/fast_4",
    "cifar10/vit/short",
    "cifar10/hybrid_token/described",
    "cifar10/cct/short",
)
OTHER_SEED = ("cifar10/cnn_baseline/described", "cifar10/hybrid_token/described")
# Of another seed, too, so that its first weights are not those of the model it is compared with.
PERMUTED = {"cifar10/cnn_baseline/described": "cifar10-permuted/cnn_baseline/plain"}
OTHER_LAYERS = {  # a finer map than the default layer's; of transformers, what attention reads
    "cnn_baseline": "conv2",
    "resnet20": "stage2_block3_relu2",
    "fast_cnn": "group2_norm2_gelu",
    "vit": "block2_norm1",
    "hybrid_token": "conv2",
    "cct": "block2_norm1",
}
CONTROLLED = ("Grad-CAM", "Occlusion")  # also compared with their own maps of other images
RESAMPLES = 2000
CHECKED = 200  # images of the sanity checks
DEPTHS = 6  # steps from the last layer to all of them
SHIFT = 2  # pixels


@dataclass(frozen=True, eq=False)
class Subject:
    """A recorded model, and test images of the sample on which its explanations are tested.

    Explained is the class that the model predicts, right or wrong.
    """

    run: runs.Run
    model: keras.Model
    images: np.ndarray  # uint8 (N, 32, 32, 3)
    logits: np.ndarray  # (N, C), as recorded
    labels: np.ndarray  # (N,), predicted
    is_correct: np.ndarray  # (N,)

    @property
    def name(self) -> str:
        return self.run.info["model"]


def run() -> None:
    """Audit the recorded runs of `RUNS`, and write the tables that `tables.audit` reads.

    Beside each table stands whose weights it comes from.

    Raises:
        FileNotFoundError: one of them, or a run that they are compared with, is not recorded, or
            without its weights.
    """
    for run in sources("sanity"):
        run.require_weights()  # or they are missed after an hour
    found = {table: [] for table in tables.AUDIT}
    for name in RUNS:
        subject = subject_of(runs.read(name, SEED))
        scores, curves = faithfulness_of(subject)
        found["faithfulness"] += scores
        found["curves"] += curves
        found["sanity"] += sanity_of(subject_of(subject.run, CHECKED))
        print(f"{name}: audited", flush=True)
    for table, rows in found.items():
        path = tables.audit_file(table)
        text = pd.DataFrame(rows).to_csv(index=False, float_format="%.5g", lineterminator="\n")
        with files.whole(path, len(text)) as beside:
            beside.write_text(text, encoding="utf-8", newline="\n")
        records.write_sources(path, sources(table))


def sources(table: str) -> list[runs.Run]:
    """The recorded runs whose weights one of `tables.AUDIT` is computed from."""
    needed = [(name, SEED) for name in RUNS]
    if table == "sanity":
        needed += [(name, SEED + 1) for name in (*OTHER_SEED, *PERMUTED.values())]
    return [runs.read(name, seed) for name, seed in needed]


def subject_of(run: runs.Run, count: int | None = None) -> Subject:
    """A recorded run with its weights, and `count` (default: all) of the sample's test images."""
    sample = data.load_sample()
    total = len(sample.x_test)
    chosen = np.linspace(0, total, count or total, endpoint=False).astype(int)
    logits = run.test_logits[sample.test_index[chosen]]
    labels = logits.argmax(axis=1)
    return Subject(
        run,
        training.load_model(run),
        sample.x_test[chosen],
        logits,
        labels,
        labels == sample.y_test[chosen],
    )


def maps_of(subject: Subject) -> dict[str, tuple[np.ndarray, places.Centres]]:
    """By method: maps (N, 32, 32) of the predicted classes, and the grid that they are made on."""
    model, images, labels = subject.model, subject.images, subject.labels
    other = OTHER_LAYERS[subject.name]
    attention = places.attention_layers(model)
    methods = explain.methods(model)
    shape = images.shape[1:3]
    grids = dict.fromkeys(methods, places.centres(model)) | {
        "SmoothGrad": places.even_centres(shape, shape),
        "Occlusion": places.even_centres((8, 8), shape),  # squares start at every fourth pixel
    }
    if attention:
        tokens = places.centres_of(model, attention[-1].input)
        grids |= dict.fromkeys(explain.OF_ATTENTION, tokens)
    found = {
        name: (explain.maps_or_dead(method, model, images, labels), grids[name])
        for name, method in methods.items()
    }
    finer = partial(explain.grad_cam, layer=other)
    found[OTHER_LAYER] = (
        explain.maps_or_dead(finer, model, images, labels),
        places.centres(model, other),
    )
    return found


def faithfulness_of(subject: Subject) -> tuple[list[dict], list[dict]]:
    """How much better the maps of each method are than maps that know nothing of the model.

    Scores of methods on different grids cannot be compared, as noise strewn over single pixels
    already harms a prediction more than coarse noise: gains over noise on the own grid can.

    Returns:
        Rows by method, score, subset of the images (`all`, `correct` or `wrong` predictions) and
        reference (`random` noise on the method's own grid, the `centre`, or, of `CONTROLLED`, the
        method's map of some `other image`, as rough, as bright and as central): the number of
        images and of dead maps, which are left out; the mean score; the mean gain over the
        reference on the same images, with the 95 % percentile interval of a bootstrap over them
        and the p-value of a t-test.
        And rows of the mean curves of deletion and insertion, over the images with a map, by
        method, score and share of the pixels.
    """
    maps = maps_of(subject)
    everywhere = np.ones(len(subject.images), bool)
    shape, count = subject.images.shape[1:3], len(subject.images)
    references = {
        grid: explain.random_maps(count, shape, SEED, _size(grid), grid)
        for grid in dict.fromkeys(grid for _, grid in maps.values())
    } | {"centre": np.broadcast_to(explain.centre_gaussian(shape), (count, *shape))}
    of_reference = {key: _scored(subject, values, everywhere) for key, values in references.items()}
    subsets = {
        "all": everywhere,
        "correct": subject.is_correct,
        "wrong": ~subject.is_correct,
    }
    rows, curves = [], []
    for method, (values, grid) in maps.items():
        alive = ~explain.is_dead(values)
        scores, followed = _scored(subject, values, alive)
        curves += _curve_rows(subject.name, method, followed)
        blind = {
            name: {score: found[alive] for score, found in of_reference[key][0].items()}
            for name, key in (("random", grid), ("centre", "centre"))
        }
        if method in CONTROLLED:
            blind["other image"], _ = _scored(subject, of_other_images(values), alive)
        for (score, found), (subset, wanted), (name, of_blind) in product(
            scores.items(), subsets.items(), blind.items()
        ):
            within = wanted[alive]
            gains = faithfulness.gain(score, found, of_blind[score])[within]
            rows.append(
                {
                    "model": subject.name,
                    "method": method,
                    "score": score,
                    "predictions": subset,
                    "reference": name,
                    "images": len(gains),
                    "dead": int((wanted & ~alive).sum()),
                    "mean": _mean(found[within]),
                    "gain": _mean(gains),
                }
                | dict(zip(("low", "high"), _interval(gains), strict=True))
                | {"p": _p_value(gains)}
            )
    titles = {}
    for key, (_, followed) in of_reference.items():
        title = "Centre Gaussian" if key == "centre" else "Random map, {} x {}".format(*_size(key))
        if title in titles:  # the default layer's grid, the first one, has the same size
            title += ", evenly spaced"
        titles[title] = _curve_rows(subject.name, title, followed)
    return rows, [row for of_title in (curves, *titles.values()) for row in of_title]


def sanity_of(subject: Subject) -> list[dict]:
    """How alike maps stay that should differ, or should not: rank correlations.

    Checks, each against the maps of the trained model for the class that it predicts:

    - `layers drawn anew` (Adebayo et al. 2018, section 3.1, cascading): `step` is the share of
      layers with weights, norms and their statistics among them, that got those of a fresh start,
      from the logits down; should fall.
    - `labels permuted` (section 4): the same model, trained on permuted labels; should be low.
    - `another class`: the one that the model holds second likeliest; the lower, the better a map
      tells classes apart.
    - `another seed`: the same recipe from other weights and on another split; should be high.
    - `shifted`: the image moved by `SHIFT` pixels to the right and down; should be high.
    - `another image`: the map of some other image, of the class predicted there: what maps have
      in common whatever they show, to compare the others with.

    Returns:
        Rows by method, check and step: mean and quartiles of Spearman's correlation over the
        pixels, the number of images, and of those left out because one of their maps is dead.
    """
    model, images, labels = subject.model, subject.images, subject.labels
    methods = explain.methods(model)
    trained = {
        name: explain.maps_or_dead(method, model, images, labels)
        for name, method in methods.items()
    }
    rows = []

    def enter(name, check, step, original, maps):
        rows.append(
            {"model": subject.name, "method": name, "check": check, "step": step}
            | _summary(faithfulness.rank_correlation(original, maps))
        )

    def compare(check, step, changed, images=images, labels=labels, cut=np.s_[:]):
        for name, method in methods.items():
            maps = explain.maps_or_dead(method, changed, images, labels)
            original = _moved(trained[name]) if check == "shifted" else trained[name]
            enter(name, check, step, original[cut], maps[cut])

    for share, changed in drawn_anew(subject):
        compare("layers drawn anew", share, changed)
    others = subject.logits.copy()
    others[np.arange(len(others)), labels] = -np.inf
    compare("another class", 1.0, model, labels=others.argmax(axis=1))
    inside = np.s_[:, SHIFT:, SHIFT:]
    compare("shifted", 1.0, model, images=_moved(images), cut=inside)
    if subject.run.name in PERMUTED:
        other = runs.read(PERMUTED[subject.run.name], SEED + 1)
        compare("labels permuted", 1.0, training.load_model(other))
    if subject.run.name in OTHER_SEED:
        other = runs.read(subject.run.name, SEED + 1)
        compare("another seed", 1.0, training.load_model(other))
    for name, maps in trained.items():
        enter(name, "another image", 1.0, maps, of_other_images(maps))
    return rows


def of_other_images(maps: np.ndarray) -> np.ndarray:
    """The same maps (N, H, W), each in the place of another one; dead ones stay."""
    order = np.random.default_rng(SEED).permutation(np.flatnonzero(~explain.is_dead(maps)))
    swapped = maps.copy()
    swapped[order] = maps[np.roll(order, 1)]
    return swapped


def drawn_anew(subject: Subject) -> Iterator[tuple[float, keras.Model]]:
    """The model with more and more of its layers, from the last, as before any training.

    Yields:
        The share of layers with weights that are drawn anew, and the model, always the same one.
    """
    fresh = training.new_float32_model(EXPERIMENTS[subject.run.name], SEED + 1)
    # The whitening of fast_cnn, which is computed and never trained, stays.
    weighted = [
        layer for layer in fresh.layers if layer.weights and not isinstance(layer, Whitening)
    ][::-1]
    initial = [layer.get_weights() for layer in weighted]
    fresh.set_weights(subject.model.get_weights())
    done = 0
    for depth in np.unique(np.rint(np.geomspace(1, len(weighted), DEPTHS)).astype(int)):
        for layer, weights in zip(weighted[done:depth], initial[done:depth], strict=True):
            layer.set_weights(weights)
        done = depth
        yield depth / len(weighted), fresh


def _size(grid):
    """Rows and columns of a grid that is known by its centres."""
    return tuple(map(len, grid))


def _scored(subject, maps, alive):
    """Scores of the images that have a map, and the mean curves: none, if no image has one."""
    if not alive.any():
        return dict.fromkeys((*faithfulness.LOWERED, *faithfulness.RAISED), np.empty(0)), {}
    return faithfulness.scores(
        subject.model, subject.images[alive], subject.labels[alive], maps[alive], SEED
    )


def _curve_rows(model, method, curves):
    return [
        {"model": model, "method": method, "score": score, "share": share, "probability": value}
        for score, values in curves.items()
        for share, value in zip(np.linspace(0, 1, len(values)), values, strict=True)
    ]


def _mean(values):
    return values.mean() if len(values) else np.nan


def _interval(gains):
    if len(gains) < 2:
        return np.nan, np.nan
    return stats.bootstrap(
        (gains,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=SEED
    ).confidence_interval


def _p_value(gains):
    if len(gains) < 2 or not gains.any():
        return 1.0
    return stats.ttest_1samp(gains, 0).pvalue


def _summary(correlations):
    found = correlations[np.isfinite(correlations)]
    quartiles = np.quantile(found, (0.25, 0.75)) if len(found) else (np.nan, np.nan)
    return {
        "mean": _mean(found),
        "lower quartile": quartiles[0],
        "upper quartile": quartiles[1],
        "images": len(found),
        "dead": len(correlations) - len(found),
    }


def _moved(images):
    """Moved to the right and down by `SHIFT` pixels, the first rows and columns repeated."""
    rest = ((0, 0),) * (images.ndim - 3)
    padded = np.pad(images, ((0, 0), (SHIFT, 0), (SHIFT, 0), *rest), mode="edge")
    return padded[:, : images.shape[1], : images.shape[2]]
