"""The study's experiments: a data variant, a model and a recipe, each with a name.

`<data>/<model>/<recipe>`, e.g. `cifar10/vit/short`, names an experiment everywhere: on the
command line, in notebooks and as the folder of its recorded runs.
"""

from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch

from helpers.augmentation import Augmentation
from helpers.data import VARIANTS

FLIP_AND_CROP = Augmentation(flip=True, crop=4)

CHOICES = {  # of a recipe's settings
    "optimizer": ("adam", "adamw"),
    "schedule": ("constant", "cosine"),
    "class_weights": ("none", "inverse_frequency"),
    "select": ("accuracy", "macro_recall", "loss"),
}


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        epochs: passes over the training images, at most.
        batch_size: images a step.
        optimizer: `adam` or `adamw`.
        learning_rate: its peak.
        weight_decay: decoupled, for `adamw`.
        warmup_epochs: linear from zero, before the schedule.
        schedule: `constant`, or `cosine` to zero at the last step.
        augmentation: of the training images.
        class_weights: `none` or `inverse_frequency`, n / (C x n_c), on the loss.
        patience: epochs without a validation loss lower by `min_delta` before it stops; 0 never.
        min_delta: see `patience`.
        select: the validation metric whose best epoch is kept: `accuracy`, `macro_recall` or
            `loss`.
        model_options: passed to the model's builder, e.g. `(("l2", 1e-4),)`.
    """

    epochs: int
    batch_size: int = 128
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    warmup_epochs: int = 0
    schedule: str = "constant"
    augmentation: Augmentation = field(default_factory=Augmentation)
    class_weights: str = "none"
    patience: int = 0
    min_delta: float = 0.0
    select: str = "accuracy"
    model_options: tuple[tuple[str, float], ...] = ()

    def __post_init__(self):
        for field_name, choices in CHOICES.items():
            value = getattr(self, field_name)
            if value not in choices:
                raise ValueError(
                    f"unknown {field_name} {value!r}: choose from {', '.join(choices)}"
                )
        if self.class_weights != "none" and self.augmentation.mixup:
            raise ValueError("class weights need one class per image: leave out mixup, or weights")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"{self.warmup_epochs} epochs of warm-up leave none of {self.epochs} to train"
            )
        if self.warmup_epochs and self.schedule != "cosine":
            raise ValueError("warm-up is part of the cosine schedule: choose that, or no warm-up")


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


# One schedule for all, untuned: what each architecture gives without any search.
SHORT = Recipe(
    epochs=30,
    weight_decay=0.05,
    warmup_epochs=3,
    schedule="cosine",
    augmentation=FLIP_AND_CROP,
)

# System A, `resnet18` and `vit_128`.
RESNET18_PUBLISHED = Recipe(epochs=20, weight_decay=1e-2, augmentation=FLIP_AND_CROP)
VIT_128_PUBLISHED = Recipe(
    epochs=20,
    learning_rate=1e-4,
    weight_decay=1e-2,
    warmup_epochs=5,
    schedule="cosine",
    augmentation=FLIP_AND_CROP,
)

# System B, `hybrid_dual`: best weights by validation loss, as early stopping restores them.
DUAL_PUBLISHED = Recipe(
    epochs=20,
    batch_size=32,
    optimizer="adam",
    augmentation=Augmentation(flip=True, brightness=0.1, contrast=(0.8, 1.2)),
    patience=4,
    min_delta=1e-3,
    select="loss",
)

# System C, `cnn_baseline` and `hybrid_token`.
TOKEN_PUBLISHED = Recipe(epochs=40, optimizer="adam", augmentation=FLIP_AND_CROP)


def _table() -> dict[str, Experiment]:
    rows = [
        ("cifar10", "resnet18", "published", RESNET18_PUBLISHED),
        ("cifar10", "vit_128", "published", VIT_128_PUBLISHED),
        ("cifar10", "hybrid_dual", "published", DUAL_PUBLISHED),
        ("cifar100", "hybrid_dual", "published", DUAL_PUBLISHED),
    ]
    for model in ("cnn_baseline", "hybrid_token"):
        rows.append(("cifar10", model, "published", TOKEN_PUBLISHED))
        for weights, recipe in (("none", "published"), ("inverse_frequency", "published_weighted")):
            settings = Recipe(
                epochs=TOKEN_PUBLISHED.epochs,
                optimizer=TOKEN_PUBLISHED.optimizer,
                augmentation=TOKEN_PUBLISHED.augmentation,
                class_weights=weights,
                select="macro_recall",
            )
            rows.append(("cifar10-imbalanced", model, recipe, settings))
    for model in ("cnn_baseline", "resnet20", "vit", "hybrid_token", "cct"):
        rows.append(("cifar10", model, "short", SHORT))
    return {experiment.name: experiment for experiment in (Experiment(*row) for row in rows)}


EXPERIMENTS = _table()


def find(pattern: str) -> list[Experiment]:
    """The experiments whose name fits a shell pattern, e.g. `cifar10/*/short`.

    Raises:
        ValueError: none fits; the text lists all names.
    """
    found = [e for name, e in EXPERIMENTS.items() if fnmatch(name, pattern)]
    if not found:
        raise ValueError(f"no experiment fits {pattern!r}; there are:\n" + "\n".join(EXPERIMENTS))
    return found


assert all(experiment.data in VARIANTS for experiment in EXPERIMENTS.values())
