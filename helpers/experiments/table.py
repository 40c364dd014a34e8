"""The study's experiments: a data variant, a model and a recipe, each with a name.

`<data>/<model>/<recipe>`, e.g. `cifar10/vit/short`, names an experiment everywhere: on the
command line, in notebooks and as the folder of its recorded runs.
"""

from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatch

from helpers.data import VARIANTS
from helpers.experiments.recipes import (
    AIRBENCH94,
    DUAL,
    FAST_4,
    FAST_9,
    FAST_11,
    FAST_20,
    FAST_34,
    PLAIN,
    RESNET18_PUBLISHED,
    SEARCHED_6,
    SHORT,
    SHORT_L1,
    SHORT_L2,
    TOKEN_DESCRIBED,
    VIT_128_PUBLISHED,
    Recipe,
)


@dataclass(frozen=True)
class Experiment:
    """One cell of the study."""

    data: str
    model: str
    recipe: str
    settings: Recipe

    @property
    def name(self) -> str:
        return f"{self.data}/{self.model}/{self.recipe}"

    @property
    def config(self) -> dict:
        """All settings as plain values, for the record."""
        return asdict(self.settings)


def _all() -> list[Experiment]:
    rows = [
        ("cifar10", "resnet18", "published", RESNET18_PUBLISHED),
        ("cifar10", "vit_128", "published", VIT_128_PUBLISHED),
        ("cifar10", "hybrid_dual", "corrected", DUAL),
        ("cifar100", "hybrid_dual", "corrected", DUAL),
    ]
    for model in ("cnn_baseline", "hybrid_token"):
        rows.append(("cifar10", model, "described", TOKEN_DESCRIBED))
        for weights, recipe in (("none", "described"), ("inverse_frequency", "described_weighted")):
            settings = replace(TOKEN_DESCRIBED, class_weights=weights, select="macro_recall")
            rows.append(("cifar10-imbalanced", model, recipe, settings))
    for model in ("cnn_baseline", "resnet20", "vit", "hybrid_token", "cct"):
        rows.append(("cifar10", model, "short", SHORT))
    rows += [("cifar10", model, "searched_6", recipe) for model, recipe in SEARCHED_6.items()]
    rows += [
        ("cifar10-permuted", "cnn_baseline", "plain", PLAIN),
        ("cifar10", "resnet20", "short_l1", SHORT_L1),
        ("cifar10", "resnet20", "short_l2", SHORT_L2),
        ("cifar10", "fast_cnn", "airbench94", AIRBENCH94),
        ("cifar10", "fast_cnn", "fast_4", FAST_4),
        ("cifar10", "fast_cnn", "fast_11", FAST_11),
        ("cifar10", "fast_cnn", "fast_34", FAST_34),
        ("cifar10", "fast_cnn", "fast_20", FAST_20),
        ("cifar10", "fast_hybrid", "fast_9", FAST_9),
    ]
    return [Experiment(*row) for row in rows]


EXPERIMENTS = {experiment.name: experiment for experiment in _all()}


def find(pattern: str) -> list[Experiment]:
    """The experiments whose name fits a shell pattern, e.g. `cifar10/*/short`.

    Raises:
        ValueError: none fits; the text lists all names.
    """
    found = [e for name, e in EXPERIMENTS.items() if fnmatch(name, pattern)]
    if not found:
        raise ValueError(f"no experiment fits {pattern!r}: choose from {', '.join(EXPERIMENTS)}")
    return found


assert all(experiment.data in VARIANTS for experiment in EXPERIMENTS.values())
