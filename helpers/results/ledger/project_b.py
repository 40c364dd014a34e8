"""Project B, the dual-branch hybrid: what it claims, and what the evidence says."""

import pandas as pd

from helpers import config
from helpers.results.ledger.judging import (
    FAILS,
    HOLDS,
    UNKNOWN,
    Claim,
    Evidence,
    Judgement,
)

DUAL = "cifar100/hybrid_dual/published"


def _functional(known: Evidence) -> Judgement:
    seeds = known.seeds(DUAL)
    if not seeds:
        return Judgement(UNKNOWN, "its network is not recorded on CIFAR-100 yet", "exploration")
    accuracy = known.mean(DUAL)
    evidence = f"its network and recipe reach {accuracy:.1f} % on CIFAR-100, where chance is 1 %"
    return Judgement(HOLDS if accuracy > 10 else FAILS, evidence, "exploration", seeds)


def _combines(known: Evidence) -> Judgement:
    path = config.FIGURES / "04_hybrid/ablation_hybrid_dual.csv"
    if not path.exists():
        return Judgement(UNKNOWN, "no branch was silenced yet", "exploration")
    accuracy = 100 * pd.read_csv(path, index_col="variant")["accuracy"]
    both = accuracy["both branches"]
    lost = {name: both - accuracy[f"{name} branch silenced"] for name in ("CNN", "ViT")}
    evidence = (
        "their own network is not opened yet. In `corrected` on CIFAR-10 (notebook 4), silencing a "
        "branch costs "
        + ", ".join(f"{points:.1f} points ({name})" for name, points in lost.items())
        + f" of {both:.1f} %, on the sample's test images"
    )
    return Judgement(UNKNOWN, evidence, "exploration", (0,))


def _regularised(known: Evidence) -> Judgement:
    changes = {
        name: known.paired(DUAL, f"cifar100/hybrid_dual/{name}") for name in ("no_l2", "no_dropout")
    }
    evidence = (
        "L2 of 0.001 on its four convolutions; dropout of 0.5 in both branches' heads, 0.3 and 0.1 "
        "in the ViT. Without: " + "; ".join(f"{name} {change}" for name, change in changes.items())
    )
    return Judgement(HOLDS, evidence, "their code", known.seeds(DUAL))


def _hours(known: Evidence) -> Judgement:
    runs = known.found.get(DUAL, {})
    if not runs:
        evidence = "its network is not recorded on CIFAR-100 yet; its code stops at 20 epochs"
        return Judgement(UNKNOWN, evidence, "exploration")
    took = [
        f"{run.info['epochs_run']} epochs in {run.info['seconds_training'] / 3600:.1f} hours on "
        f"{run.info['hardware']['gpu'] or str(run.info['hardware']['cores']) + ' CPU cores'}"
        for run in runs.values()
    ]
    evidence = (
        f"its code allows 20 epochs and stops early. Here: {'; '.join(took)}. What machine theirs "
        "was, we do not know"
    )
    return Judgement(UNKNOWN, evidence, "exploration", tuple(runs))


CLAIMS: tuple[Claim, ...] = (
    (
        "“a fully functional Deep Learning Model that can be used for CIFAR-100 Classification”",
        _functional,
    ),
    (
        "“combines the local and spatial recognition of Convolutional Neural Networks, and the "
        "global context harnessed by Vision Transformers”",
        _combines,
    ),
    ("“Consists of heavy L2 regularization and Dropout”", _regularised),
    ("“training for 20+ epochs last 10+ hours”", _hours),
)
