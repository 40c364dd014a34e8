"""The recipes of the study, and the trials that some of them were chosen by."""

from dataclasses import replace

import numpy as np

from helpers.data.augmentation import Augmentation
from helpers.experiments.recipe import Recipe as Recipe
from helpers.experiments.recipe import with_defaults as with_defaults

FLIP_AND_CROP = Augmentation(flip=True, crop=4)

# One schedule for all, untuned: what each architecture gives without any search.
SHORT = Recipe(
    epochs=30,
    weight_decay=0.05,
    warmup_epochs=3,
    schedule="cosine",
    augmentation=FLIP_AND_CROP,
)

# As many operations as ResNet-20 spends on `short`.
EQUAL_COMPUTE = replace(SHORT, epochs=63)

# Few images for as many steps as `short` has, of a twentieth for half as many.
FEW = {"cifar10-5pct": replace(SHORT, epochs=300), "cifar10-20pct": replace(SHORT, epochs=150)}

# The same with the penalties that system A names and gives no strength of.
SHORT_L1 = replace(SHORT, model_options=(("l1", 1e-5),))
SHORT_L2 = replace(SHORT, model_options=(("l2", 1e-4),))

# System A, `resnet18` and `vit_128`; mixed precision is its ViT's own.
RESNET18_PUBLISHED = Recipe(
    epochs=20, weight_decay=1e-2, augmentation=FLIP_AND_CROP, precision="mixed_bfloat16"
)
VIT_128_PUBLISHED = Recipe(
    epochs=20,
    learning_rate=1e-4,
    weight_decay=1e-2,
    warmup_epochs=5,
    schedule="cosine",
    augmentation=FLIP_AND_CROP,
    precision="mixed_bfloat16",
)
# What this study trained before it had the code of the system's authors.
VIT_128_DROPOUT = replace(VIT_128_PUBLISHED, model_options=(("dropout_everywhere", True),))

# System B, `hybrid_dual`: early stopping, which restores the weights of the lowest validation loss.
DUAL_CORRECTED = Recipe(
    epochs=20,
    batch_size=32,
    optimizer="adam",
    augmentation=Augmentation(flip=True, brightness=0.1, contrast=(0.8, 1.2)),
    patience=4,
    min_delta=1e-3,
    select="loss",
)
DUAL_PUBLISHED = replace(DUAL_CORRECTED, model_options=(("as_published", True),))
# Each without one of the two things that hold it back.
DUAL_NO_L2 = replace(DUAL_PUBLISHED, model_options=(*DUAL_PUBLISHED.model_options, ("l2", 0.0)))
DUAL_NO_DROPOUT = replace(
    DUAL_PUBLISHED, model_options=(*DUAL_PUBLISHED.model_options, ("dropout", False))
)

# System C, `cnn_baseline` and `hybrid_token`, by its text: the hybrid's tokens are linear.
TOKEN_DESCRIBED = Recipe(epochs=40, optimizer="adam", augmentation=FLIP_AND_CROP)
# And by its code: the crop, of 32 pixels out of 32, does nothing; 8 epochs of its text's 40 to 80.
TOKEN_PUBLISHED = Recipe(epochs=8, optimizer="adam", augmentation=Augmentation(flip=True))
RELU = (("token_activation", "relu"),)  # of the code's tokens

# On imbalanced data: the metric that an epoch is chosen by, and what is done for scarce classes.
BY_RECALL = {"select": "macro_recall"}
WEIGHTED = {"class_weights": "inverse_frequency"}
RIVALS = {
    "balanced_softmax": {"loss": "balanced_softmax"},
    "deferred_weights": {"class_weights": "deferred"},
    "oversampled": {"sampling": "balanced"},
}

# Long enough for a network's own best.  He et al. (2015), section 4.2: theirs is L2 of 1e-4, with
# this momentum as strong as a decoupled decay of ten times that, and the rate falls in two steps.
RESNET20_LONG = Recipe(
    epochs=200,
    optimizer="sgd",
    learning_rate=0.1,
    weight_decay=1e-3,
    schedule="cosine",
    augmentation=FLIP_AND_CROP,
)
RESNET18_LONG = replace(
    RESNET20_LONG,
    epochs=100,
    weight_decay=5e-3,
    warmup_epochs=5,
    augmentation=replace(FLIP_AND_CROP, cutout=8),
    precision="mixed_bfloat16",
)
# Hassani et al. (2021), appendix.  Theirs augment by learned policies, and mix half of the
# batches; ours by RandAugment, one operation for the small networks, and mix all batches of the
# large ones.
SMALL_TRANSFORMER_LONG = Recipe(
    epochs=200,
    learning_rate=6e-4,
    weight_decay=6e-2,
    warmup_epochs=10,
    schedule="cosine",
    augmentation=replace(FLIP_AND_CROP, randaugment=(1, 9)),
    label_smoothing=0.1,
)
TRANSFORMER_LONG = replace(
    SMALL_TRANSFORMER_LONG,
    augmentation=replace(FLIP_AND_CROP, randaugment=(2, 9), cutmix=1.0),
    precision="mixed_bfloat16",
)

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
