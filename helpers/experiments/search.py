"""The search for a family's `matched` recipe: the same draws, rungs and epochs for each of them.

Beside eight points of a space, drawn once (`draw`), `short` is a candidate.  In each rung a
candidate's whole schedule fits into the rung's epochs; validation accuracy of seed 0 says who goes
on.  What was drawn and what was chosen are files beside this one.

Optuna keeps the study (`helpers.results.searching`), and searching needs none of it.  Its samplers
did not draw the points: of eight by its Sobol sequence, two settings went together nearly wholly
(correlation 0.82 and more, 100 seeds); of eight drawn at random, the best of 4,000 seeds had a
correlation of 0.60 and no rate in the upper sixth of the range.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from filelock import FileLock

from helpers import files
from helpers.data.augmentation import Augmentation
from helpers.experiments.recipes import SEARCHED, SHORT, Recipe
from helpers.experiments.recipes import trial as numbered

DRAWS = Path(__file__).with_name("draws.json")
CHOSEN = Path(__file__).with_name("matched.json")

# Ranges are drawn from evenly in the logarithm, choices evenly; each for itself, so that strong
# augmentation comes with low rates as with high ones.
RANGES = {"learning_rate": (3e-4, 1e-2), "weight_decay": (1e-2, 3e-1)}
CHOICES = {
    "crop": (2, 4),
    "cutout": (0, 8),
    "randaugment": (None, (1, 5), (1, 9), (2, 9)),  # mild: the networks are small
    "mixing": (None, "mixup", "cutmix"),
    "label_smoothing": (0.0, 0.1),
    "schedule": ("cosine", "linear"),
    "warmup": (0.0, 1 / 6),  # of the epochs
    "average": (0.0, 0.995),
}

SEED = 4353  # of the draws: of the first 20,000, that with the least correlated settings
RUNGS = ((6, 8), (12, 3), (30, 1))  # epochs, and how many draws go in; `short` does in each
UNTUNED = "short"


def draw(seed: int) -> list[dict]:
    """Eight points of a Latin hypercube: the middle of each eighth of a range is drawn once.

    Each choice is drawn as often as any other, or once more.
    """
    rng = np.random.default_rng(seed)
    count = RUNGS[0][1]
    columns = {}
    for key, (least, greatest) in RANGES.items():
        places = (rng.permutation(count) + 0.5) / count
        # Two digits: readable, and enough.
        columns[key] = [float(f"{least * (greatest / least) ** u:.2g}") for u in places]
    for key, choices in CHOICES.items():
        places = (rng.permutation(count) + 0.5) / count
        columns[key] = [choices[int(u * len(choices))] for u in places]
    return [dict(zip(columns, point, strict=True)) for point in zip(*columns.values(), strict=True)]


@cache
def draws() -> dict[str, dict]:
    """The drawn points, values of `RANGES` and `CHOICES`, by the names of their candidates."""
    points = json.loads(DRAWS.read_text(encoding="utf-8"))
    return {f"draw{i}": point for i, point in enumerate(points)}


def candidates() -> tuple[str, ...]:
    """All of them, `short` first."""
    return UNTUNED, *draws()


def recipe(candidate: str, epochs: int) -> Recipe:
    """A candidate's recipe with its schedule over so many epochs; 30 are those of `matched`.

    Raises:
        ValueError: there is no such candidate.
    """
    if candidate == UNTUNED:
        warmup = SHORT.warmup_epochs / SHORT.epochs
        return replace(SHORT, epochs=epochs, warmup_epochs=_rounded(warmup * epochs))
    if candidate not in draws():
        raise ValueError(f"no candidate {candidate!r}: choose from {', '.join(candidates())}")
    point = draws()[candidate]
    operations = point["randaugment"]
    return Recipe(
        epochs=epochs,
        learning_rate=point["learning_rate"],
        weight_decay=point["weight_decay"],
        warmup_epochs=_rounded(point["warmup"] * epochs),
        schedule=point["schedule"],
        label_smoothing=point["label_smoothing"],
        average=point["average"],
        augmentation=Augmentation(
            flip=True,
            crop=point["crop"],
            cutout=point["cutout"],
            randaugment=tuple(operations) if operations else None,
            mixup=0.2 if point["mixing"] == "mixup" else 0.0,
            cutmix=1.0 if point["mixing"] == "cutmix" else 0.0,
        ),
    )


def _rounded(epochs):
    """Of warm-up: none, or at least one."""
    return max(1, round(epochs)) if epochs else 0


def name(candidate: str, epochs: int) -> str:
    """Of a trial, e.g. `draw3_12`."""
    return f"{candidate}_{epochs}"


def of_name(trial: str) -> tuple[str, int]:
    """A trial's candidate and epochs.

    Raises:
        ValueError: no trial has that name.
    """
    candidate, _, epochs = trial.rpartition("_")
    if candidate not in candidates() or epochs not in {str(rung) for rung, _ in RUNGS}:
        rungs = ", ".join(str(rung) for rung, _ in RUNGS)
        raise ValueError(
            f"no trial {trial!r}: choose a candidate of {', '.join(candidates())} and its epochs "
            f"of {rungs}, e.g. draw3_12"
        )
    return candidate, int(epochs)


def settings(model: str, trial: int | str) -> Recipe:
    """The recipe of a trial: a name belongs to this search, a number to `recipes.trials`.

    Raises:
        ValueError: nothing is searched for this model, or there is no such trial.
    """
    if isinstance(trial, int):
        return numbered(model, trial)
    if model not in SEARCHED:
        raise ValueError(f"no search in rungs for {model}: choose from {', '.join(SEARCHED)}")
    return recipe(*of_name(trial))


def missing(accuracies: Mapping[tuple[str, int], float]) -> list[tuple[str, int]]:
    """The trials of the first rung that is not complete, without those that are done.

    Args:
        accuracies: on validation, by candidate and epochs; 0 where training diverged.
    """
    going = list(draws())
    before = None
    for epochs, places in RUNGS:
        if before is not None:  # the earlier draw on a tie
            going = sorted(going, key=lambda draw: -accuracies[draw, before])[:places]
        todo = [(c, epochs) for c in (UNTUNED, *going) if (c, epochs) not in accuracies]
        if todo:
            return todo
        before = epochs
    return []


def best(accuracies: Mapping[tuple[str, int], float]) -> str:
    """The candidate that is best at the last rung; `short` on a tie.

    Raises:
        ValueError: the search is not complete.
    """
    if todo := missing(accuracies):
        raise ValueError(f"trials are missing: {', '.join(name(*trial) for trial in todo)}")
    last = RUNGS[-1][0]
    return max(
        (c for c in candidates() if (c, last) in accuracies), key=lambda c: accuracies[c, last]
    )


def chosen() -> dict[str, str]:
    """The candidate of each family that was searched, as `choose` wrote it.

    Raises:
        ValueError: the file is damaged.
    """
    if not CHOSEN.exists():
        return {}
    try:
        found = json.loads(CHOSEN.read_text(encoding="utf-8"))
        is_known = set(found.values()) <= set(candidates())
    except (AttributeError, TypeError, ValueError):  # no JSON, no mapping, not to candidates
        is_known = False
    if not is_known:
        raise ValueError(
            f"{CHOSEN} is damaged: restore it, or delete it and run python -m helpers search"
        )
    return found


def choose(model: str, candidate: str) -> None:
    """From now on, in new processes, `cifar10/<model>/matched` is this candidate's recipe."""
    with FileLock(CHOSEN.with_suffix(".lock")):
        known = chosen() | {model: candidate}
        known = {family: known[family] for family in SEARCHED if family in known}
        text = json.dumps(known, indent=2) + "\n"
        with files.whole(CHOSEN, len(text)) as beside:
            beside.write_text(text, encoding="utf-8", newline="\n")


def matched() -> dict[str, Recipe]:
    """The recipes called `matched`, by family; a family that was not searched has none."""
    epochs = RUNGS[-1][0]
    return {model: recipe(candidate, epochs) for model, candidate in chosen().items()}
