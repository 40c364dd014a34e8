"""How a model is trained: the settings that make a recipe."""

import json
from dataclasses import asdict, dataclass, field

from helpers.data.augmentation import Augmentation

CHOICES = {  # of a recipe's settings
    "optimizer": ("adam", "adamw", "sgd", "muon"),
    "precision": ("float32", "mixed_bfloat16"),
    "schedule": ("constant", "cosine", "linear"),
    "loss": ("cross_entropy", "balanced_softmax"),
    "class_weights": ("none", "inverse_frequency", "deferred"),
    "sampling": ("all", "balanced"),
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
        loss: `cross_entropy`, or `balanced_softmax`, which is that of logits plus the logarithms
            of the classes' frequencies (Ren et al. 2020, section 3.1), of training alone.
        class_weights: on the loss: `none`; `inverse_frequency`, n / (C x n_c); or `deferred`, by
            `data.effective_number` and none in the first 80 % of the epochs (Cao et al. 2019).
            Their rate falls a hundredfold at that point; here it follows `schedule`.
        sampling: `all` images, once an epoch, or as many of each class as of any other
            (`balanced`), as many in all.
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
    loss: str = "cross_entropy"
    class_weights: str = "none"
    sampling: str = "all"
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


def with_defaults(recorded: dict) -> dict:
    """A record's settings, as plain values; one that came after the record has its default.

    Every setting's default is what training did before there was the setting.
    """
    defaults = json.loads(json.dumps(asdict(Recipe(epochs=1))))
    augmentation = defaults["augmentation"] | recorded["augmentation"]
    return defaults | recorded | {"augmentation": augmentation}
