"""What the study planned, what of it is not recorded, and what both cost."""

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
    """A row for all of `PLANNED` that goes together, and for the search, in its order.

    Columns: `experiments` with missing runs, `runs` missing (of `SEARCH`: trials) and their
    `PFLOP`; `runs in all` and `PFLOP in all` are those of the whole grid.  Operations are an upper
    bound where training may stop early.  MACs are those of the model's recorded runs, with however
    many classes: its last layer is a small part.

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
                    images = _epochs(name) * data.training_images(variant)
                    each = costs.training_flops(macs[model], images)
                    is_missing = [(name, seed) not in recorded for seed in range(seeds)]
                    _enter(rows, what, [each] * seeds, is_missing)
    images = data.training_images("cifar10")
    for model in SEARCHED:
        known = [epochs for _, epochs in searching.accuracies(model, searched)]
        trials, is_missing = [], []
        for epochs, draws in search.RUNGS:  # whichever draws go on
            trials += [costs.training_flops(macs[model], epochs * images)] * (draws + 1)
            is_missing += [n >= known.count(epochs) for n in range(draws + 1)]
        _enter(rows, SEARCH, trials, is_missing)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("planned")


def _enter(rows, what, flops, is_missing):
    """Add an experiment's runs: the operations of each, and whether it is missing."""
    columns = ("experiments", "runs", "PFLOP", "runs in all", "PFLOP in all")
    row = rows.setdefault(what, dict.fromkeys(columns, 0))
    row["experiments"] += any(is_missing)
    row["runs"] += sum(is_missing)
    row["PFLOP"] += sum(each for each, is_so in zip(flops, is_missing, strict=True) if is_so) / 1e15
    row["runs in all"] += len(flops)
    row["PFLOP in all"] += sum(flops) / 1e15


def _epochs(name):
    """Of a recipe; one that a search has still to choose trains as long as its last rung."""
    return EXPERIMENTS[name].settings.epochs if name in EXPERIMENTS else search.RUNGS[-1][0]
