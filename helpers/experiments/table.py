"""The study's experiments: a data variant, a model and a recipe, each with a name.

`<data>/<model>/<recipe>`, e.g. `cifar10/vit/short`, names an experiment everywhere: on the
command line, in notebooks and as the folder of its recorded runs.
"""

import difflib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatch

from helpers.data import VARIANTS
from helpers.experiments import recipes as r
from helpers.experiments import search
from helpers.experiments.recipe import Recipe


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


FAMILIES = " ".join(r.SEARCHED)
TOKEN_PAIR = "cnn_baseline hybrid_token"  # system C's hybrid, and the same without tokens

# Data, models that share a row, recipe, settings.
ROWS = (
    # The three systems, by their authors' code.
    ("cifar10", "resnet18", "published", r.RESNET18_PUBLISHED),
    ("cifar10", "vit_128", "published", r.VIT_128_PUBLISHED),
    ("cifar10", "vit_128", "dropout_everywhere", r.VIT_128_DROPOUT),
    ("cifar10", "hybrid_dual", "published", r.DUAL_PUBLISHED),
    ("cifar10", "hybrid_dual", "corrected", r.DUAL_CORRECTED),
    ("cifar100", "hybrid_dual", "published", r.DUAL_PUBLISHED),
    ("cifar100", "hybrid_dual", "corrected", r.DUAL_CORRECTED),
    ("cifar100", "hybrid_dual", "no_l2", r.DUAL_NO_L2),
    ("cifar100", "hybrid_dual", "no_dropout", r.DUAL_NO_DROPOUT),
    # System C by its text; on imbalanced data, with what is done for scarce classes.
    ("cifar10", TOKEN_PAIR, "described", r.TOKEN_DESCRIBED),
    *(
        (data, TOKEN_PAIR, recipe, replace(r.TOKEN_DESCRIBED, **r.BY_RECALL, **changes))
        for data in ("cifar10-imbalanced", "cifar10-imbalanced_easy")
        for recipe, changes in {"described": {}, "described_weighted": r.WEIGHTED}.items()
    ),
    *(
        ("cifar10-imbalanced", TOKEN_PAIR, recipe, replace(r.TOKEN_DESCRIBED, **r.BY_RECALL, **own))
        for recipe, own in r.RIVALS.items()
    ),
    # One schedule for all.
    ("cifar10", FAMILIES, "short", r.SHORT),
    ("cifar10", "vit_stem vit_seqpool", "short", r.SHORT),  # what makes the ViT a CCT
    ("cifar10", "resnet20", "short_l1", r.SHORT_L1),
    ("cifar10", "resnet20", "short_l2", r.SHORT_L2),
    ("cifar10", "vit", "equal_compute", r.EQUAL_COMPUTE),
    *((data, FAMILIES, "few", settings) for data, settings in r.FEW.items()),
    ("cifar10-imbalanced", "vit cct", "short", replace(r.SHORT, **r.BY_RECALL)),
    (
        "cifar10-imbalanced",
        "vit cct",
        "short_weighted",
        replace(r.SHORT, **r.BY_RECALL, **r.WEIGHTED),
    ),
    ("cifar100", "resnet20 vit cct", "short", r.SHORT),
    # Long enough.
    ("cifar10", "resnet18", "long", r.RESNET18_LONG),
    ("cifar10", "resnet20", "long", r.RESNET20_LONG),
    ("cifar10", "vit cct", "long", r.SMALL_TRANSFORMER_LONG),
    ("cifar10", "vit_lite cct_7", "long", r.TRANSFORMER_LONG),
    # Chosen by a search.
    *(("cifar10", model, "matched", settings) for model, settings in search.matched().items()),
    *(("cifar10", model, "searched_6", settings) for model, settings in r.SEARCHED_6.items()),
    # For speed.
    ("cifar10", "fast_cnn", "airbench94", r.AIRBENCH94),
    ("cifar10", "fast_cnn", "fast_4", r.FAST_4),
    ("cifar10", "fast_cnn", "fast_11", r.FAST_11),
    ("cifar10", "fast_cnn", "fast_20", r.FAST_20),
    ("cifar10", "fast_cnn", "fast_34", r.FAST_34),
    ("cifar10", "fast_hybrid", "fast_9", r.FAST_9),
    # A control: labels that mean nothing.
    ("cifar10-permuted", "cnn_baseline", "plain", r.PLAIN),
)


def _by_code() -> Iterator[tuple[str, str, str, Recipe]]:
    """Rows of system C by its code, with the controls that it lacks: the CNN alone, no weights."""
    for epochs in (8, 40, 80):  # as the code has it; the least and the most of the text
        plain = replace(r.TOKEN_PUBLISHED, epochs=epochs)
        relu = replace(plain, model_options=r.RELU)
        recipe = f"published_{epochs}"
        for model, settings in (("cnn_baseline", plain), ("hybrid_token", relu)):
            yield "cifar10", model, recipe, settings
            if epochs == 80:
                continue
            weighted = replace(settings, **r.WEIGHTED)
            yield "cifar10-thinned", model, recipe, settings
            yield "cifar10-thinned", model, f"{recipe}_weighted", weighted
            if model == "hybrid_token":
                yield "cifar10", model, f"linear_{epochs}", plain


def _all() -> list[Experiment]:
    return [
        Experiment(data, model, recipe, settings)
        for data, models, recipe, settings in (*ROWS, *_by_code())
        for model in models.split()
    ]


EXPERIMENTS = {experiment.name: experiment for experiment in _all()}


def find(pattern: str) -> list[Experiment]:
    """The experiments whose name fits a shell pattern, e.g. `cifar10/*/short`.

    Raises:
        ValueError: none fits; the text has names that are near, or says what chooses the recipe.
    """
    found = [e for name, e in EXPERIMENTS.items() if fnmatch(name, pattern)]
    if not found and pattern.endswith("/matched"):
        raise ValueError(f"no recipe is chosen yet for {pattern}: python -m helpers search MODEL")
    if not found:
        near = _near(pattern)
        nearest = f"near it are {', '.join(near)}; " if near else ""
        raise ValueError(
            f"no experiment fits {pattern!r}: {nearest}python -m helpers list names all"
        )
    return found


def _near(pattern: str, most: int = 5) -> list[str]:
    """Names that somebody may have meant: those that have it in them, then those spelt alike."""
    meant = pattern.strip(" /").lower()
    if not meant:
        return []
    within = [name for name in EXPERIMENTS if meant in name]
    alike = difflib.get_close_matches(meant, EXPERIMENTS, most, cutoff=0.5)
    return list(dict.fromkeys([*within, *alike]))[:most]


assert all(experiment.data in VARIANTS for experiment in EXPERIMENTS.values())
