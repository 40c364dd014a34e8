"""How models are trained: the settings of a recipe, and the recipes of the study."""

import json
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from helpers.data.augmentation import Augmentation

FLIP_AND_CROP = Augmentation(flip=True, crop=4)

CHOICES = {  # of a recipe's settings
    "optimizer": ("adam", "adamw", "sgd", "muon"),
    "precision": ("float32", "mixed_bfloat16"),
    "schedule": ("constant", "cosine", "linear"),
    "class_weights": ("none", "inverse_frequency"),
    "select": ("accuracy", "macro_recall", "loss", "last"),
}


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        epochs: passes over the training images, at most.
        batch_size: images a step.
        optimizer: `adam`, `adamw`, `sgd` with Nesterov's momentum, or `training.optimizers.Muon`.
        learning_rate: its peak; with `muon`, of all but the convolutions.
        kernel_rate: with `muon`, that of the convolutions, as a share of `learning_rate`.
        momentum: for `sgd` and `muon`.
        weight_decay: decoupled, for all but `adam`; `muon` undoes it for convolutions.
        warmup_epochs: linear from zero, before the schedule.
        schedule: `constant`, or `cosine` or `linear` to zero at the last step.
        augmentation: of the training images.
        label_smoothing: share of each label that is spread evenly over all classes.
        average: momentum, a step, of the moving average of the trained weights that is validated
            and kept in their place (batch normalisation's statistics stay the latest); 0 is none.
        lookahead: whether `helpers.training.optimizers.Lookahead` pulls the weights back.
        class_weights: `none` or `inverse_frequency`, n / (C x n_c), on the loss.
        patience: training stops after so many epochs in which the validation loss, penalties on
            the weights included, never fell by `min_delta`; 0 is never.
        min_delta: see `patience`.
        select: the validation metric whose best epoch is kept: `accuracy`, `macro_recall`, or
            `loss`, penalties included; or the `last` epoch.
        precision: that the layers compute in while they train; weights are float32, and so is the
            model that the recorded predictions come from.  `mixed_bfloat16` needs a machine
            with instructions for it; others train in `float32` (`helpers.training.here`).
        tta: whether the run is also scored with `helpers.training.predict_tta`.
        model_options: passed to the model's builder, e.g. `(("l2", 1e-4),)`.
    """

    epochs: int
    batch_size: int = 128
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    kernel_rate: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 0.0
    warmup_epochs: int = 0
    schedule: str = "constant"
    augmentation: Augmentation = field(default_factory=Augmentation)
    label_smoothing: float = 0.0
    average: float = 0.0
    lookahead: bool = False
    class_weights: str = "none"
    patience: int = 0
    min_delta: float = 0.0
    select: str = "accuracy"
    precision: str = "float32"
    tta: bool = False
    model_options: tuple[tuple[str, object], ...] = ()

    def __post_init__(self):
        for field_name, choices in CHOICES.items():
            value = getattr(self, field_name)
            if value not in choices:
                raise ValueError(
                    f"unknown {field_name} {value!r}: choose from {', '.join(choices)}"
                )
        if self.average and self.lookahead:
            raise ValueError("average and lookahead both average the weights: choose one")
        if bool(self.kernel_rate) != (self.optimizer == "muon"):
            raise ValueError("a kernel_rate belongs to muon: give both, or neither")
        if self.optimizer == "muon" and not self.momentum:
            raise ValueError("muon makes the momentum orthogonal: give it one")
        if self.weight_decay and self.optimizer == "adam":
            raise ValueError("adam has no weight decay: choose adamw, or leave the decay out")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"{self.warmup_epochs} epochs of warm-up leave none of {self.epochs} to train"
            )
        if self.warmup_epochs and self.schedule == "constant":
            raise ValueError(
                "a constant learning rate has no warm-up: choose cosine or linear, or no warm-up"
            )


# One schedule for all, untuned: what each architecture gives without any search.
SHORT = Recipe(
    epochs=30,
    weight_decay=0.05,
    warmup_epochs=3,
    schedule="cosine",
    augmentation=FLIP_AND_CROP,
)

# The same with the penalties that system A names and gives no strength of.
SHORT_L1 = replace(SHORT, model_options=(("l1", 1e-5),))
SHORT_L2 = replace(SHORT, model_options=(("l2", 1e-4),))

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

# System B, `hybrid_dual`: early stopping, which restores the weights of the lowest validation loss.
DUAL = Recipe(
    epochs=20,
    batch_size=32,
    optimizer="adam",
    augmentation=Augmentation(flip=True, brightness=0.1, contrast=(0.8, 1.2)),
    patience=4,
    min_delta=1e-3,
    select="loss",
)

# System C, `cnn_baseline` and `hybrid_token`, as its text describes it.
TOKEN_DESCRIBED = Recipe(epochs=40, optimizer="adam", augmentation=FLIP_AND_CROP)

# To learn a few images by heart; of permuted labels, validation knows nothing.
PLAIN = Recipe(epochs=600, batch_size=32, optimizer="adam", schedule="cosine", select="last")


# The first search, whose choices are `searched_6`: every family gets the same draws, for six
# epochs.  Too few, as it turned out: the ViT does better with `short`.
SEARCHED = ("cnn_baseline", "resnet20", "vit", "hybrid_token", "cct")
TRIALS, TRIAL_EPOCHS = 8, 6
SPACE = {  # (least, greatest) are drawn evenly in the logarithm, lists of choices evenly
    "learning_rate": (3e-4, 1e-2),
    "weight_decay": (1e-2, 3e-1),
    "crop": [2, 4],
    "cutout": [0, 8],
    "randaugment": [None, (2, 9), (2, 18)],
    "mixing": [None, "mixup", "cutmix"],
    "label_smoothing": [0.0, 0.1],
    "schedule": ["cosine", "linear"],
    "warmup": [0, 1],  # epochs
    "average": [0.0, 0.995],
}

# What it chose: the best trial of each family by validation accuracy, five times as long.
TRIAL_2 = Recipe(
    epochs=30,
    learning_rate=0.00066,
    weight_decay=0.23,
    warmup_epochs=5,
    schedule="linear",
    augmentation=Augmentation(flip=True, crop=2, randaugment=(2, 9), cutout=8, mixup=0.2),
    label_smoothing=0.1,
)
TRIAL_5 = Recipe(
    epochs=30,
    learning_rate=0.0038,
    weight_decay=0.07,
    schedule="linear",
    augmentation=Augmentation(flip=True, crop=2, mixup=0.2),
    average=0.995,
)
TRIAL_6 = Recipe(
    epochs=30,
    learning_rate=0.0099,
    weight_decay=0.012,
    warmup_epochs=5,
    schedule="linear",
    augmentation=FLIP_AND_CROP,
)
SEARCHED_6 = {
    "cnn_baseline": TRIAL_6,
    "resnet20": TRIAL_6,
    "vit": TRIAL_2,
    "hybrid_token": TRIAL_6,
    "cct": TRIAL_5,
}


# Speed, after Jordan 2024 (airbench94 and its Muon variant), the two rates those of the best
# recorded trial of four epochs in `FAST_TRIALS`.  Eleven epochs of 45,000 images are as many images
# as airbench94's 9.9 of 50,000.
FAST = Recipe(
    epochs=11,
    batch_size=500,
    optimizer="muon",
    learning_rate=0.73,
    kernel_rate=0.08,
    momentum=0.85,
    weight_decay=0.01,
    schedule="linear",
    augmentation=Augmentation(flip="alternating", crop=2),
    label_smoothing=0.2,
    precision="mixed_bfloat16",
    tta=True,
)

FAST_4 = replace(FAST, epochs=4)
FAST_11 = FAST
# So long, the network would learn its images by heart.  The augmentation is after Jordan's for
# airbench96, whose squares lie wholly inside the image, and was chosen by no trial.
FAST_34 = replace(FAST, epochs=34, augmentation=replace(FAST.augmentation, crop=4, cutout=12))
# As many operations spent on a wider network instead, which learns in fewer epochs.
FAST_20 = replace(
    FAST,
    epochs=20,
    augmentation=replace(FAST.augmentation, crop=4, cutout=8),
    model_options=(("widths", (96, 320, 320)),),
)

# Jordan's own for airbench94, his rates in Keras's terms.  Here the learning rate rises from and
# falls to zero (his: from 0.2 and to 0.07 of the peak), weight decay is decoupled and 15 % stronger
# at the peak (his goes through the momentum), crops bring in black (his: reflections), batches are
# of 1,000 (1,024), whitening looks at 1,000 images (5,000), the last layer starts as Keras has it
# (PyTorch), arithmetic is bfloat16 (float16).
AIRBENCH94 = replace(
    FAST,
    batch_size=1000,
    optimizer="sgd",
    learning_rate=1.5,
    kernel_rate=0.0,
    warmup_epochs=2,
    lookahead=True,
)

# For transformers, which rates of SGD made for the Fast CNN do not train (`FAST_TRIALS`).
FAST_ADAMW = replace(
    FAST,
    batch_size=250,
    optimizer="adamw",
    learning_rate=2e-3,
    kernel_rate=0.0,
    weight_decay=0.05,
    warmup_epochs=1,
)

# About an hour on two cores without bfloat16.
FAST_9 = replace(FAST_ADAMW, epochs=9)

# What is tried, on validation, before fast recipes are frozen: changes to one of the above, which
# is trained for 4 epochs unless they say otherwise.
FAST_TRIALS = {
    "fast_cnn": (
        (FAST, {"learning_rate": 0.73, "kernel_rate": 0.33}),
        (FAST, {"learning_rate": 0.73, "kernel_rate": 0.16}),
        (FAST, {"learning_rate": 1.46, "kernel_rate": 0.08}),
        (AIRBENCH94, {"warmup_epochs": 1}),
        (FAST, {"learning_rate": 0.36, "kernel_rate": 0.08}),
        (FAST, {"learning_rate": 0.73, "kernel_rate": 0.08}),
        (FAST, {"learning_rate": 0.36, "kernel_rate": 0.16}),
        (FAST, {"epochs": 11, "kernel_rate": 0.16}),
        (FAST, {"epochs": 11, "augmentation": replace(FAST.augmentation, cutout=8)}),
        (FAST, {"epochs": 11, "kernel_rate": 0.04}),
        # Wider, for as many operations as eleven epochs of the paper's widths.
        (FAST, {"epochs": 6, "model_options": (("widths", (64, 384, 384)),)}),
        (FAST, {"epochs": 5, "model_options": (("widths", (96, 384, 384)),)}),
    ),
    "fast_hybrid": (
        (FAST_ADAMW, {"epochs": 2}),
        (FAST, {"epochs": 2, "learning_rate": 0.73, "kernel_rate": 0.08}),
        # The convolutions learn as fast, the transformer a quarter as fast.
        (FAST, {"epochs": 2, "learning_rate": 0.18, "kernel_rate": 0.32}),
    ),
}


def with_defaults(recorded: dict) -> dict:
    """A record's settings, as plain values; one that came after the record has its default.

    Every setting's default is what training did before there was the setting.
    """
    defaults = json.loads(json.dumps(asdict(Recipe(epochs=1))))
    augmentation = defaults["augmentation"] | recorded["augmentation"]
    return defaults | recorded | {"augmentation": augmentation}


def trials(model: str) -> tuple[Recipe, ...]:
    """The recipes that are tried for a model, by their numbers.

    Raises:
        ValueError: nothing is searched for this model.
    """
    if model in FAST_TRIALS:
        return tuple(
            replace(recipe, **{"epochs": 4, **changes}) for recipe, changes in FAST_TRIALS[model]
        )
    if model in SEARCHED:
        return tuple(drawn(trial) for trial in range(TRIALS))
    models = ", ".join((*SEARCHED, *FAST_TRIALS))
    raise ValueError(f"no search for {model}: choose from {models}")


def trial(model: str, number: int) -> Recipe:
    """One of the recipes that are tried for a model.

    Raises:
        ValueError: nothing is searched for this model, or there is no such trial.
    """
    tried = trials(model)
    if not 0 <= number < len(tried):
        raise ValueError(f"{model} has no trial {number}: choose from 0 to {len(tried) - 1}")
    return tried[number]


def drawn(trial: int) -> Recipe:
    """The recipe of a trial: one of `TRIALS` points of a Latin hypercube over `SPACE`.

    With so few draws it matters that each eighth of a range is drawn from exactly once, and
    each choice equally often or nearly so.

    Raises:
        ValueError: there is no such trial.
    """
    if not 0 <= trial < TRIALS:
        raise ValueError(f"there is no trial {trial}: choose from 0 to {TRIALS - 1}")
    from scipy.stats import qmc  # takes a second, and only a search needs it

    point = qmc.LatinHypercube(len(SPACE), rng=np.random.default_rng(0)).random(TRIALS)[trial]
    draw = {key: _pick(values, u) for (key, values), u in zip(SPACE.items(), point, strict=True)}
    mixing = draw.pop("mixing")
    return Recipe(
        epochs=TRIAL_EPOCHS,
        learning_rate=draw["learning_rate"],
        weight_decay=draw["weight_decay"],
        warmup_epochs=draw["warmup"],
        schedule=draw["schedule"],
        label_smoothing=draw["label_smoothing"],
        average=draw["average"],
        augmentation=Augmentation(
            flip=True,
            crop=draw["crop"],
            cutout=draw["cutout"],
            randaugment=draw["randaugment"],
            mixup=0.2 if mixing == "mixup" else 0.0,
            cutmix=1.0 if mixing == "cutmix" else 0.0,
        ),
    )


def _pick(values, u):
    """The value at `u` in [0, 1) of a list of choices, or of a range in its logarithm."""
    if isinstance(values, list):
        return values[int(u * len(values))]
    least, greatest = values
    return float(f"{least * (greatest / least) ** u:.2g}")  # two digits: readable, and enough
