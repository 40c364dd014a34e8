"""Train one experiment: reproducible, resumable, recorded."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from helpers import data
from helpers.backend import keras, on_gpu
from helpers.experiments.recipes import Recipe
from helpers.models import adapt_whitening
from helpers.records import provenance
from helpers.training import arithmetic, chunks, devices, losses
from helpers.training.batches import Batches, one_hot
from helpers.training.optimizers import LinearDecay, Lookahead, Muon
from helpers.training.progress import Progress
from helpers.training.resume import Keeper, best_epoch

# Convolutions run at half speed under XLA on a CPU, the ViT's dense layers a third faster.
XLA_ON_CPU = ("vit",)

WHITENED = 1000  # training images that a whitening layer is computed from
VALIDATED = 500  # images at a time
STEPS_IN_A_CALL = 50  # of TensorFlow on a GPU
SECONDS_BETWEEN_SAVES = 20  # where an epoch takes less


@dataclass(frozen=True)
class Fitted:
    """A trained model with the weights of its best epoch, and how it got there."""

    model: keras.Model
    history: pd.DataFrame
    best_epoch: int
    made_with: dict  # as `provenance.joined` has it; empty without a file to resume from


class MacroRecall(keras.metrics.Metric):
    """Mean over classes of the share of their images that are classified right."""

    def __init__(self, number_of_classes, name="macro_recall", **kwargs):
        super().__init__(name=name, **kwargs)
        self.hits = self.add_weight(shape=(number_of_classes,), initializer="zeros", name="hits")
        self.images = self.add_weight(
            shape=(number_of_classes,), initializer="zeros", name="images"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        ops = keras.ops
        y_true = ops.cast(y_true, self.dtype)
        right = ops.argmax(y_true, axis=-1) == ops.argmax(y_pred, axis=-1)
        self.images.assign_add(ops.sum(y_true, axis=0))
        self.hits.assign_add(ops.sum(y_true * ops.cast(right, self.dtype)[:, None], axis=0))

    def result(self):
        ops = keras.ops
        seen = ops.cast(self.images > 0, self.dtype)
        recall = self.hits / ops.maximum(self.images, 1.0)
        return ops.sum(recall) / ops.maximum(ops.sum(seen), 1.0)


def fit(
    model: keras.Model,
    settings: Recipe,
    split: data.Split,
    seed: int,
    title: str = "training",
    resume: Path | None = None,
) -> Fitted:
    """Train a model by a recipe and give it the weights of its best epoch on validation.

    Args:
        model: uncompiled; changed in place.
        settings: the recipe.
        split: what to train and validate on.
        seed: of order, augmentation and dropout (`keras.utils.set_random_seed` before building
            the model makes its first weights follow from the seed too).
        title: of the line that shows the progress.
        resume: file to go on from if it exists, written after each epoch, or every 20 s where
            epochs take a moment (`helpers.training.chunks`).

    Raises:
        FloatingPointError: the loss is not finite.
        ValueError: the resume file is damaged, or belongs to another training; the devices of
            this context (`helpers.training.devices`) do not divide every batch.
    """
    classes = len(split.data.classes)
    devices.require_equal_parts(len(split.train_index), settings.batch_size, len(split.x_val))
    weights, weighted_from = losses.weighting(settings, split.y_train, classes)
    batches = Batches(
        split.data.x_train,
        split.data.y_train,
        classes,
        split.train_index,
        settings.batch_size,
        settings.augmentation,
        seed,
        weights,
        settings.label_smoothing,
        weighted_from,
        settings.sampling,
    )
    adapt_whitening(model, split.data.x_train[split.train_index[:WHITENED]])
    in_chunks = chunks.pay()
    _compile(model, settings, len(batches), classes, in_chunks)
    if settings.loss == "balanced_softmax":
        losses.balance_softmax(model, data.class_counts(split.y_train, classes))
    keeper = Keeper(
        settings,
        batches,
        resume,
        SECONDS_BETWEEN_SAVES if in_chunks else 0,
        split.data.sha256["images"] if isinstance(split.data, data.FolderData) else "",
    )
    keeper.set_model(model)
    keeper.restore()
    if not keeper.is_finished():
        progress = Progress(title, settings.epochs)
        progress.done = len(keeper.history)
        validation = split.x_val, one_hot(split.y_val, classes)
        fit_all = chunks.fit if in_chunks else _fit_step_by_step
        # Validation, which chooses the epoch, is in the arithmetic of training.
        with arithmetic.training(settings.precision), closing(keeper):
            fit_all(model, settings, batches, validation, [keeper, progress], len(keeper.history))
    model.set_weights(keeper.best)
    history = pd.DataFrame(keeper.history)
    made_with = provenance.joined(keeper.made_with) if keeper.made_with else {}
    return Fitted(model, history, best_epoch(history, settings), made_with)


def _fit_step_by_step(model, settings, batches, validation, callbacks, initial_epoch):
    keeper, *others = callbacks
    parts = devices.number()
    # Behind the keeper, which has to see the averages before they are swapped out again.
    averaging = [keras.callbacks.SwapEMAWeights()] if settings.average else []
    if settings.lookahead:
        averaging.append(Lookahead(settings.epochs * len(batches)))
    model.steps_per_execution = _steps_in_a_call(settings)
    model.fit(
        batches,
        validation_data=validation,
        validation_batch_size=min(VALIDATED, len(validation[0])) // parts * parts,
        epochs=settings.epochs,
        initial_epoch=initial_epoch,
        shuffle=False,
        verbose=0,
        callbacks=[keeper, *averaging, *others],
    )
    model.steps_per_execution = 1  # `predict` would unroll its batches


def _steps_in_a_call(settings):
    """How many steps go without Python between them, which Lookahead needs after each."""
    on_one_gpu = on_gpu() and devices.number() == 1
    if keras.backend.backend() == "tensorflow" and on_one_gpu and not settings.lookahead:
        return STEPS_IN_A_CALL
    return 1


def _compile(model, settings, steps, classes, in_chunks=False):
    rate = _learning_rate(settings, steps)
    if in_chunks and not isinstance(rate, float):
        rate = chunks.Given(rate)
    optimizer = _optimizer(settings, rate)
    optimizer.build(model.trainable_variables)
    model.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy", MacroRecall(classes)],
        jit_compile=_use_xla(model),
    )


def _optimizer(settings, rate):
    options = {"learning_rate": rate}
    if settings.average:
        options |= {"use_ema": True, "ema_momentum": settings.average}
    if settings.optimizer == "adam":
        return keras.optimizers.Adam(**options)
    options["weight_decay"] = settings.weight_decay
    if settings.optimizer == "adamw":
        return keras.optimizers.AdamW(**options)
    options["momentum"] = settings.momentum
    if settings.optimizer == "muon":
        return Muon(kernel_rate=settings.kernel_rate, **options)
    return keras.optimizers.SGD(nesterov=True, **options)


def _learning_rate(settings, steps):
    """The recipe's peak, or its schedule over all epochs of so many steps."""
    peak = settings.learning_rate
    total, warmup = settings.epochs * steps, settings.warmup_epochs * steps
    if settings.schedule == "linear":
        return LinearDecay(peak, total, warmup)
    if settings.schedule == "cosine" and warmup:
        return keras.optimizers.schedules.CosineDecay(
            0.0, total - warmup, warmup_target=peak, warmup_steps=warmup
        )
    if settings.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(peak, total)
    return peak


def _use_xla(model):
    backend = keras.backend.backend()
    if backend == "tensorflow" and devices.number() > 1:  # for which it cannot compile
        return False
    return backend == "jax" or (backend == "tensorflow" and (on_gpu() or model.name in XLA_ON_CPU))
