"""What others report of the systems that the study rebuilds, beside what was recorded here.

The three earlier projects are A (ResNet-18 against a ViT), B (dual-branch hybrid) and C (CNN-token
hybrid). A reproduction is judged by their curves, epoch by epoch, not by one last number, in which
luck has a larger part. B reports no figure, so nothing of it can be compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.records import runs

WITHIN = 2.0  # points: the means of the last epochs of a reproduction are no farther apart

_AUGMENTED = (
    "theirs on the test images, flipped and cropped at random like those of training, after 50,000 "
    "training images; ours on 5,000 validation images as they are, after 45,000"
)
_SPLIT = "both on 5,000 whole validation images, of another split"


@dataclass(frozen=True)
class Curve:
    """Accuracy after each epoch, in percent, as a project's log has it, and our experiment.

    `last` epochs are averaged for the verdict; `ablations` are experiments of ours, and the one
    thing in which they differ from the reproduction, that are drawn beside it.
    """

    system: str
    experiment: str
    accuracy: tuple[float, ...]
    why: str  # what differs in how the two are measured
    last: int = 5
    loss: tuple[float, ...] = ()  # of training, in nats, where the log has it
    ablations: tuple[tuple[str, str], ...] = ()


def _log(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split()))


CURVES = (
    Curve(
        "A: ResNet-18",
        "cifar10/resnet18/published",
        _log(
            "62.45 65.38 77.09 70.06 82.18 82.30 83.18 84.41 84.93 85.77 "
            "85.62 86.56 86.84 86.54 87.87 88.56 86.76 88.41 89.14 89.64"
        ),
        _AUGMENTED,
    ),
    Curve(
        "A: ViT at 128 px",
        "cifar10/vit_128/published",
        _log(
            "42.08 48.32 50.42 53.44 57.01 59.11 61.45 62.33 64.23 65.07 "
            "66.26 68.73 69.92 70.70 73.62 73.50 75.04 75.87 75.93 75.66"
        ),
        _AUGMENTED,
        loss=_log(
            "1.787 1.538 1.397 1.307 1.234 1.157 1.099 1.036 0.983 0.937 "
            "0.883 0.834 0.772 0.708 0.652 0.599 0.542 0.496 0.462 0.444"
        ),
        ablations=(("cifar10/vit_128/dropout_everywhere", "dropout everywhere"),),
    ),
    Curve(
        "C: hybrid, balanced",
        "cifar10/hybrid_token/published_8",
        _log("37.06 48.84 54.92 54.26 60.16 60.80 65.26 63.72"),
        _SPLIT,
        last=3,
        ablations=(("cifar10/hybrid_token/linear_8", "linear tokens"),),
    ),
    Curve(
        "C: hybrid, imbalanced, weighted",
        "cifar10-thinned/hybrid_token/published_8_weighted",
        _log("33.50 44.48 48.30 53.30 55.78 58.06 59.82 60.88"),
        _SPLIT,
        last=3,
        ablations=(("cifar10-thinned/hybrid_token/published_8", "no class weights"),),
    ),
)


@dataclass(frozen=True)
class Figure:
    """One published number, in percent, and the experiment of ours that it is set beside.

    `part` of our record has the score: `test`, or `test_tta` where views were averaged.
    """

    system: str
    experiment: str
    value: float
    why: str  # what may explain a gap
    score: str = "accuracy"
    part: str = "test"


_LAST = "theirs the final evaluation, on augmented test images, which also validated; 50,000 images"
_TEST = "theirs 50,000 images, chosen on the test set or the best of several runs"
_DEMO = (
    "their seed 42 alone, another split; 8 epochs at a constant rate, so epochs differ by points"
)

FIGURES = (
    Figure("A: ResNet-18", "cifar10/resnet18/published", 89.00, _LAST),
    Figure("A: ResNet-18", "cifar10/resnet18/published", 89.02, _LAST, "macro_f1"),
    Figure("A: ViT at 128 px", "cifar10/vit_128/published", 76.48, _LAST),
    Figure("A: ViT at 128 px", "cifar10/vit_128/published", 77.02, _LAST, "macro_f1"),
    Figure("C: hybrid, balanced", "cifar10/hybrid_token/published_8", 63.67, _DEMO),
    Figure("C: hybrid, balanced", "cifar10/hybrid_token/published_8", 63.25, _DEMO, "macro_f1"),
    Figure(
        "C: hybrid, imbalanced, weighted",
        "cifar10-thinned/hybrid_token/published_8_weighted",
        59.98,
        _DEMO,
    ),
    Figure(
        "C: hybrid, imbalanced, weighted",
        "cifar10-thinned/hybrid_token/published_8_weighted",
        60.25,
        _DEMO,
        "macro_f1",
    ),
    Figure(
        "airbench94 (Jordan 2024)",
        "cifar10/fast_cnn/airbench94",
        94.01,
        "theirs 50,000 images, the mean of 1,000 seeds; both average views",
        part="test_tta",
    ),
    Figure(
        "ResNet-20 (Lippe, UvA tutorial 5)",
        "cifar10/resnet20/long",
        91.06,
        "theirs 180 epochs, the same number of images, chosen on validation like ours",
    ),
    Figure(
        "CCT-2/3x2 (Hassani et al. 2021)",
        "cifar10/cct/long",
        89.17,
        f"{_TEST}; 200 epochs",
    ),
    Figure(
        "ResNet-18 (Liu, pytorch-cifar)",
        "cifar10/resnet18/long",
        93.0,
        f"{_TEST}; 200 epochs, ours 100; users report up to 95.7",
    ),
    Figure(
        "ViT-Lite-7/4 (Hassani et al. 2021)",
        "cifar10/vit_lite/long",
        91.38,
        f"{_TEST}; 200 epochs",
    ),
    Figure(
        "CCT-7/3x1 (Hassani et al. 2021)",
        "cifar10/cct_7/long",
        94.78,
        f"{_TEST}; 200 epochs",
    ),
)


def value(experiment: str, score: str = "accuracy") -> float:
    """The published figure that an experiment of ours is set beside, in percent."""
    return next(one.value for one in FIGURES if (one.experiment, one.score) == (experiment, score))


def figures(root: Path | None = None) -> pd.DataFrame:
    """A row a published figure: ours, theirs, the gap, and what may explain it.

    Columns: `system`, `experiment`, `score`, `seeds` recorded, `ours` (their mean, in percent),
    `± ours` (standard deviation), `published`, `gap` (ours minus published, in points) and `why`.
    What is not recorded is NaN, with 0 seeds.
    """
    rows = []
    for figure in FIGURES:
        found = [
            100 * run.info[figure.part][figure.score]
            for run in runs.recorded(figure.experiment, root)
            if figure.part in run.info
        ]
        ours = np.mean(found) if found else np.nan
        rows.append(
            {
                "system": figure.system,
                "experiment": figure.experiment,
                "score": figure.score.replace("_", " "),
                "seeds": len(found),
                "ours": ours,
                "± ours": np.std(found, ddof=1) if len(found) > 1 else np.nan,
                "published": figure.value,
                "gap": ours - figure.value,
                "why": figure.why,
            }
        )
    return pd.DataFrame(rows)


def curves(root: Path | None = None) -> pd.DataFrame:
    """Accuracy after each epoch, in percent: the logs' and that of our runs.

    Columns: `system`; `run` (`published`, `ours`, or in what an ablation differs), `model`, `seed`
    (-1 for what is published), `epoch`, `accuracy`.
    """
    rows = []
    for curve in CURVES:
        _, model, _ = curve.experiment.split("/")
        rows.append(_points(curve.system, "published", model, -1, curve.accuracy))
        for name, label in ((curve.experiment, "ours"), *curve.ablations):
            for run in runs.recorded(name, root):
                accuracy = 100 * run.history["val_accuracy"]
                rows.append(_points(curve.system, label, model, run.seed, accuracy))
    return pd.concat(rows, ignore_index=True)


def reproductions(root: Path | None = None) -> pd.DataFrame:
    """A row a curve: the means of the last epochs, ours and theirs, and the verdict.

    Columns: `system`, `experiment`, `seeds` recorded, `epochs` (the last ones, of how many),
    `ours` and `published` (accuracy in percent, mean over these epochs and seeds), `gap`, `our
    loss` and `their loss` in training over the same epochs where theirs is known, `verdict`, and
    `measured`: what differs in how the two are measured.
    """
    rows = []
    for curve in CURVES:
        last = slice(-curve.last, None)
        # A run of other length, or one without its whole history, is no reproduction.
        found = [
            run
            for run in runs.recorded(curve.experiment, root)
            if len(run.history) == len(curve.accuracy)
        ]
        theirs = np.mean(curve.accuracy[last])
        ours = _mean([100 * run.history["val_accuracy"].iloc[last] for run in found])
        gap = ours - theirs
        if not found:
            verdict = "not recorded"
        elif abs(gap) <= WITHIN:
            verdict = f"reproduced, within {WITHIN:.0f} points"
        else:
            verdict = f"not reproduced, {gap:+.1f} points"
        rows.append(
            {
                "system": curve.system,
                "experiment": curve.experiment,
                "seeds": len(found),
                "epochs": f"last {curve.last} of {len(curve.accuracy)}",
                "ours": ours,
                "published": theirs,
                "gap": gap,
                "our loss": _mean([run.history["loss"].iloc[last] for run in found])
                if curve.loss
                else np.nan,
                "their loss": np.mean(curve.loss[last]) if curve.loss else np.nan,
                "verdict": verdict,
                "measured": curve.why,
            }
        )
    return pd.DataFrame(rows)


def _mean(series: Sequence[Sequence[float]]) -> float:
    return float(np.mean([np.mean(values) for values in series])) if series else float("nan")


def _points(system: str, run: str, model: str, seed: int, accuracy: Sequence[float]):
    return pd.DataFrame(
        {
            "system": system,
            "run": run,
            "model": model,
            "seed": seed,
            "epoch": np.arange(1, len(accuracy) + 1),
            "accuracy": np.asarray(accuracy, dtype=float),
        }
    )
