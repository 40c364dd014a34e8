"""The study's experiments: a data variant, a model and a recipe, each with a name.

`<data>/<model>/<recipe>`, e.g. `cifar10/vit/short`, names an experiment everywhere: on the
command line, in notebooks and as the folder of its recorded runs.
"""

from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatch

from helpers.data import VARIANTS
from helpers.experiments.recipes import (
    AIRBENCH94,
    DUAL_ORIGINAL_RESIDUAL,
    DUAL_PUBLISHED,
    FAST_89,
    FAST_94,
    FAST_ATTENTION,
    FAST_HOUR,
    FAST_WIDE,
    MATCHED,
    PLAIN,
    RESNET18_PUBLISHED,
    SHORT,
    SHORT_L1,
    SHORT_L2,
    TOKEN_PUBLISHED,
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
        ("cifar10", "hybrid_dual", "published", DUAL_PUBLISHED),
        ("cifar10", "hybrid_dual", "original_residual", DUAL_ORIGINAL_RESIDUAL),
        ("cifar100", "hybrid_dual", "published", DUAL_PUBLISHED),
    ]
    for model in ("cnn_baseline", "hybrid_token"):
        rows.append(("cifar10", model, "published", TOKEN_PUBLISHED))
        for weights, recipe in (("none", "published"), ("inverse_frequency", "published_weighted")):
            settings = replace(TOKEN_PUBLISHED, class_weights=weights, select="macro_recall")
            rows.append(("cifar10-imbalanced", model, recipe, settings))
    for model in ("cnn_baseline", "resnet20", "vit", "hybrid_token", "cct"):
        rows.append(("cifar10", model, "short", SHORT))
    rows += [("cifar10", model, "matched", recipe) for model, recipe in MATCHED.items()]
    rows += [
        ("cifar10-permuted", "cnn_baseline", "plain", PLAIN),
        ("cifar10", "resnet20", "short_l1", SHORT_L1),
        ("cifar10", "resnet20", "short_l2", SHORT_L2),
        ("cifar10", "fast_cnn", "airbench94", AIRBENCH94),
        ("cifar10", "fast_cnn", "fast_89", FAST_89),
        ("cifar10", "fast_cnn", "fast_94", FAST_94),
        ("cifar10", "fast_cnn", "fast_hour", FAST_HOUR),
        ("cifar10", "fast_cnn", "fast_wide", FAST_WIDE),
        ("cifar10", "fast_hybrid", "fast_attention", FAST_ATTENTION),
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
