"""What the study planned and has not recorded, and what it would cost."""

from pathlib import Path

import pandas as pd

from helpers import data
from helpers.experiments import EXPERIMENTS, search
from helpers.experiments.recipes import SEARCHED
from helpers.experiments.table import FAMILIES, TOKEN_PAIR
from helpers.records import runs
from helpers.results import costs, searching

# What, then data, models and recipes (all of them with one another), and how many seeds.
PLANNED = (
    ("C by its text", "cifar10", TOKEN_PAIR, "described", 6),
    ("C by its text", "cifar10-imbalanced", TOKEN_PAIR, "described described_weighted", 6),
    ("C by its code", "cifar10", TOKEN_PAIR, "published_8 published_40", 3),
    (
        "C by its code",
        "cifar10-thinned",
        TOKEN_PAIR,
        "published_8 published_8_weighted published_40 published_40_weighted",
        3,
    ),
    ("C by its code", "cifar10", "hybrid_token", "linear_8 linear_40", 3),
    ("five families, one recipe", "cifar10", FAMILIES, "short", 3),
    ("five families, one recipe", "cifar10", "vit", "equal_compute", 3),
    ("few images", "cifar10-5pct cifar10-20pct", FAMILIES, "few", 3),
    ("transformers on imbalanced data", "cifar10-imbalanced", "vit cct", "short short_weighted", 3),
    (
        "rivals of class weights",
        "cifar10-imbalanced",
        TOKEN_PAIR,
        "balanced_softmax deferred_weights oversampled",
        3,
    ),
    (
        "other classes scarce",
        "cifar10-imbalanced_easy",
        TOKEN_PAIR,
        "described described_weighted",
        3,
    ),
    ("five families, each its own recipe", "cifar10", FAMILIES, "matched", 3),
    ("B by its code", "cifar100", "hybrid_dual", "published", 3),
    ("B by its code", "cifar10", "hybrid_dual", "published", 1),
    ("B, its residual mended", "cifar100", "hybrid_dual", "corrected", 1),
    ("A's ResNet-18", "cifar10", "resnet18", "published", 3),
    ("A's ViT by its code", "cifar10", "vit_128", "published", 3),
)
SEARCH = "the search in rungs"


def table(root: Path | None = None, searched: Path | None = None) -> pd.DataFrame:
    """A row for all of `PLANNED` that goes together and is not whole, in its order.

    Columns: `experiments` with missing runs, `runs` missing (of `SEARCH`: trials) and their
    `PFLOP`, an upper bound where training may stop early. MACs are those of the model's recorded
    runs, with however many classes: its last layer is a small part.

    Args:
        root: of all runs (default: `figures/runs`).
        searched: of all trials (default: `figures/search`).
    """
    recorded, macs = set(), {}
    for run in runs.recorded("*", root):
        recorded.add((run.name, run.seed))
        macs.setdefault(run.info["model"], run.info["macs"])
    rows = {}
    for what, variants, models, recipes, seeds in PLANNED:
        for variant in variants.split():
            for model in models.split():
                for recipe in recipes.split():
                    name = f"{variant}/{model}/{recipe}"
                    absent = sum((name, seed) not in recorded for seed in range(seeds))
                    if absent:
                        images = absent * _epochs(name) * data.training_images(variant)
                        _enter(rows, what, 1, absent, costs.training_flops(macs[model], images))
    images = data.training_images("cifar10")
    for model in SEARCHED:
        todo = _trials(searching.accuracies(model, searched))
        if todo:
            flops = costs.training_flops(macs[model], sum(todo) * images)
            _enter(rows, SEARCH, 1, len(todo), flops)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("planned")


def _enter(rows, what, experiments, missing, flops):
    row = rows.setdefault(what, {"experiments": 0, "runs": 0, "PFLOP": 0.0})
    row["experiments"] += experiments
    row["runs"] += missing
    row["PFLOP"] += flops / 1e15


def _epochs(name):
    """Of a recipe; one that a search has still to choose trains as long as its last rung."""
    return EXPERIMENTS[name].settings.epochs if name in EXPERIMENTS else search.RUNGS[-1][0]


def _trials(accuracies):
    """The epochs of each trial of a search that is missing, whichever draws go on."""
    return [
        epochs
        for epochs, draws in search.RUNGS
        for _ in range(draws + 1 - sum(of == epochs for _, of in accuracies))
    ]
