"""Train one experiment: reproducible, resumable, recorded."""

import hashlib
import json
import os
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import costs, data, files, metrics, provenance, runs
from helpers.backend import keras, on_gpu
from helpers.batches import Batches, one_hot
from helpers.experiments import Experiment
from helpers.models import adapt_whitening, build, macs, trainable_parameters
from helpers.optimizers import LinearDecay, Lookahead, Muon
from helpers.progress import Progress
from helpers.recipes import Recipe

# Convolutions run at half speed under XLA on a CPU, the ViT's dense layers a third faster.
XLA_ON_CPU = ("vit",)
PREDICTED = 500  # images at a time
WHITENED = 1000  # training images that a whitening layer is computed from


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


class Keeper(keras.callbacks.Callback):
    """Seeds each epoch, keeps the best weights, stops early, and saves what resuming needs.

    Keras's own `BackupAndRestore` forgets the best value and the state of dropout, and a kill
    between its two files tears it: here one file, renamed into place, holds everything.
    """

    def __init__(self, settings: Recipe, batches: Batches, resume: Path | None):
        super().__init__()
        self.settings, self.batches, self.resume = settings, batches, resume
        self.history = []
        self.best = None
        # Of what is not resumed nothing is recorded, and asking takes processes of git.
        self.made_with = [provenance.record()] if resume else []

    def restore(self) -> None:
        """Go on from the resume file, if there is one; the model must be compiled."""
        if self.resume is None or not self.resume.exists():
            return
        remedy = "delete it to start over"
        saved = files.arrays(self.resume, remedy)
        if "state" not in saved:
            raise ValueError(f"{self.resume} is damaged (it lacks the state): {remedy}")
        state = json.loads(str(saved["state"]))
        if state["of"] != self._of():
            raise ValueError(
                f"{self.resume} was left by other settings of this recipe, another model, seed, "
                "backend, precision or other training images: delete it to start over, or go back "
                "to those"
            )
        self.history = state["history"]
        self.made_with = state["made_with"] + self.made_with
        self.best = _numbered(saved, "best")
        self.model.set_weights(_numbered(saved, "weights"))
        for variable, value in zip(
            self.model.optimizer.variables, _numbered(saved, "optimizer"), strict=True
        ):
            variable.assign(value)

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.epoch = epoch
        _seed_everything(self.model, self.batches.seed, epoch)
        self._started = time.perf_counter()

    def on_test_begin(self, logs=None):
        self._seconds = time.perf_counter() - self._started  # of training alone

    def on_test_end(self, logs=None):
        self._validated = self.model.get_weights()  # their average, where the recipe has one

    def on_epoch_end(self, epoch, logs=None):
        for loss in ("loss", "val_loss"):
            if not np.isfinite(logs[loss]):
                raise FloatingPointError(
                    f"{loss} became {logs[loss]} in epoch {epoch + 1}: lower the learning rate"
                )
        row = {
            "epoch": epoch + 1,
            "loss": logs["loss"],
            "accuracy": logs["accuracy"],
            "val_loss": logs["val_loss"],
            "val_accuracy": logs["val_accuracy"],
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "seconds": round(self._seconds, 3),
            "val_macro_recall": logs["val_macro_recall"],
        }
        self.history.append(
            {key: float(value) for key, value in row.items()} | {"epoch": epoch + 1}
        )
        if best_epoch(self.history, self.settings) == epoch + 1:
            self.best = self._validated
        if self.resume is not None:
            self._save()
        if self.is_finished():
            self.model.stop_training = True

    def is_finished(self) -> bool:
        """Whether all epochs are done, or the validation loss has stalled for `patience` epochs."""
        if len(self.history) >= self.settings.epochs:
            return True
        if not self.settings.patience:
            return False
        lowest, since = np.inf, 0
        for row in self.history:
            if row["val_loss"] < lowest - self.settings.min_delta:
                lowest, since = row["val_loss"], 0
            else:
                since += 1
        return since >= self.settings.patience

    def _of(self):
        """What a resume file belongs to."""
        index, labels = self.batches.index, self.batches.labels
        images = hashlib.sha256(np.stack([index, labels[index]]).astype(np.int64)).hexdigest()
        backend = keras.backend.backend()
        return repr((self.settings, self.model.name, self.batches.seed, backend, images))

    def _save(self):
        state = {
            "of": self._of(),
            "history": self.history,
            "made_with": self.made_with,
        }
        arrays = {"state": np.array(json.dumps(state))}
        optimizer = [keras.ops.convert_to_numpy(v) for v in self.model.optimizer.variables]
        for key, values in (
            ("weights", self.model.get_weights()),
            ("best", self.best),
            ("optimizer", optimizer),
        ):
            arrays |= {f"{key}_{i:04}": value for i, value in enumerate(values)}
        self.resume.parent.mkdir(parents=True, exist_ok=True)
        beside = self.resume.with_suffix(".writing.npz")
        np.savez(beside, **arrays)
        os.replace(beside, self.resume)


def best_epoch(history: list[dict] | pd.DataFrame, settings: Recipe) -> int:
    """The epoch, from 1, that `settings.select` prefers; the earlier one on a tie."""
    if settings.select == "last":
        return len(history)
    values = pd.DataFrame(history)[f"val_{settings.select}"]
    best = values.idxmin() if settings.select == "loss" else values.idxmax()
    return int(best) + 1


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
        resume: file to go on from if it exists, written after each epoch.

    Raises:
        FloatingPointError: the loss is not finite.
        ValueError: the resume file is damaged, or belongs to another training.
    """
    classes = len(split.data.classes)
    weights = None
    if settings.class_weights == "inverse_frequency":
        weights = data.inverse_frequency(split.y_train, classes)
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
    )
    adapt_whitening(model, split.data.x_train[split.train_index[:WHITENED]])
    _compile(model, settings, len(batches), classes)
    keeper = Keeper(settings, batches, resume)
    keeper.set_model(model)
    keeper.restore()
    if not keeper.is_finished():
        progress = Progress(title, settings.epochs)
        progress.done = len(keeper.history)
        # Behind the keeper, which has to see the averages before they are swapped out again.
        averaging = [keras.callbacks.SwapEMAWeights()] if settings.average else []
        if settings.lookahead:
            averaging.append(Lookahead(settings.epochs * len(batches)))
        model.fit(
            batches,
            validation_data=(split.x_val, one_hot(split.y_val, classes)),
            validation_batch_size=500,
            epochs=settings.epochs,
            initial_epoch=len(keeper.history),
            shuffle=False,
            verbose=0,
            callbacks=[keeper, *averaging, progress],
        )
    model.set_weights(keeper.best)
    history = pd.DataFrame(keeper.history)
    made_with = provenance.joined(keeper.made_with) if keeper.made_with else {}
    return Fitted(model, history, best_epoch(history, settings), made_with)


def train(experiment: Experiment, seed: int, root: Path | None = None) -> runs.Run:
    """Train an experiment on the whole data set and record the run; goes on if interrupted.

    Raises:
        FileExistsError: the run is recorded already.
        RuntimeError: another process is training it.
        helpers.data.DataError: the whole data set is not to be had.
    """
    target = runs.folder(experiment.name, seed, root)
    with runs.sole_writer(target):
        return _train_and_record(here(experiment), seed, target, root)


def here(experiment: Experiment) -> Experiment:
    """The experiment as this machine trains it: in float32 where bfloat16 would be emulated.

    Emulation can make it a hundred times slower than float32.
    """
    if provenance.has_bfloat16():
        return experiment
    return _in_float32(experiment)


def _in_float32(experiment):
    return replace(experiment, settings=replace(experiment.settings, precision="float32"))


def _train_and_record(experiment, seed, target, root):
    split = data.prepare(experiment.data, seed)
    model = new_model(experiment, seed, len(split.data.classes))
    resume = runs.resume_file(target)
    title = f"{experiment.name} seed {seed}, {experiment.settings.precision}"
    fitted = fit(model, experiment.settings, split, seed, title, resume)

    # Without optimizer state, and in the precision that every machine has.
    plain = new_float32_model(experiment, seed, len(split.data.classes))
    plain.set_weights(model.get_weights())

    # The test set is opened once, with the weights chosen on validation.
    ways = {"": predict_logits}
    if experiment.settings.tta:
        ways["_tta"] = predict_tta
    predictions, scores = {"val_index": split.val_index.astype(np.int32)}, {}
    for way, predict in ways.items():
        for part, key, images, labels in (
            ("validation", "val", split.x_val, split.y_val),
            ("test", "test", split.data.x_test, split.data.y_test),
        ):
            logits = predict(plain, images).astype(np.float16)
            predictions[f"{key}{way}_logits"] = logits
            scores[f"{part}{way}"] = metrics.scores(logits, labels)
    seconds = float(fitted.history["seconds"].sum())
    images = len(split.train_index) * len(fitted.history)
    info = {
        "data": experiment.data,
        "model": experiment.model,
        "recipe": experiment.recipe,
        "seed": seed,
        "backend": fitted.made_with["backend"],
        "config": experiment.config,
        "parameters": trainable_parameters(model),
        "macs": macs(model),
        "epochs_run": len(fitted.history),
        "best_epoch": fitted.best_epoch,
        "seconds_training": round(seconds, 1),
        "images_per_second": round(images / seconds, 1),
        "versions": fitted.made_with["versions"],
        "hardware": fitted.made_with["hardware"],
        "data_sha256": dict(split.data.sha256),
        "code_version": fitted.made_with["code_version"],
        **scores,
    }
    run = runs.write(info, fitted.history, predictions, plain.save_weights, root)
    resume.unlink(missing_ok=True)
    return run


def estimate_seconds(experiment: Experiment) -> float:
    """About how long a run would take here: its FLOPs at half the rate of a matrix product."""
    model = new_model(experiment, 0, 100 if experiment.data == "cifar100" else 10)
    images = data.training_images(experiment.data) * experiment.settings.epochs
    return costs.training_flops(macs(model), images) / (0.5 * _matrix_product_rate())


@cache
def _matrix_product_rate():
    """FLOP/s of this machine's single-precision matrix product, the best of three."""
    size = 1500
    matrix = np.ones((size, size), np.float32)
    fastest = np.inf
    for _ in range(3):
        started = time.perf_counter()
        matrix @ matrix
        fastest = min(fastest, time.perf_counter() - started)
    return 2 * size**3 / fastest


def new_model(experiment: Experiment, seed: int, classes: int = 10) -> keras.Model:
    """The experiment's model with the first weights that the seed gives."""
    keras.utils.set_random_seed(seed)
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy(experiment.settings.precision)
    try:
        return build(experiment.model, classes, **dict(experiment.settings.model_options))
    finally:
        keras.config.set_dtype_policy(usual)


def new_float32_model(experiment: Experiment, seed: int, classes: int = 10) -> keras.Model:
    """As `new_model`, but computing in float32 whatever the recipe trains in."""
    return new_model(_in_float32(experiment), seed, classes)


def load_model(run: runs.Run) -> keras.Model:
    """The model of a recorded run with its chosen weights.

    Raises:
        FileNotFoundError: the run keeps predictions only.
    """
    require_weights(run)
    options = dict(run.info["config"]["model_options"])
    model = build(run.info["model"], run.test_logits.shape[1], **options)
    model.load_weights(run.weights)
    return model


def require_weights(run: runs.Run) -> None:
    """Raise FileNotFoundError if a recorded run keeps predictions only."""
    if run.weights is None:
        seeds = " and ".join(map(str, runs.SEEDS_WITH_WEIGHTS))
        raise FileNotFoundError(
            f"{run.name} seed {run.seed} keeps no weights, which only seeds {seeds} do, up to "
            f"{runs.WEIGHTS_LIMIT >> 20} MiB: use one of those, or raise the limit in "
            f"{runs.__name__}, delete {run.folder} and train it again"
        )


def reproduce(run: runs.Run) -> pd.Series:
    """Evaluate a run's weights on the sample's 1,000 test images, beside what was recorded.

    Gives `accuracy_recorded` and `accuracy_live` on these images, `largest_difference` of the
    logits and `labels_changed`.

    Raises:
        FileNotFoundError: the run keeps predictions only.
        ValueError: the run is on CIFAR-100, of which there is no sample.
    """
    if data.VARIANTS[run.info["data"]].source != "cifar10":
        raise ValueError(f"the sample has no images of {run.info['data']}: choose a run on cifar10")
    sample = data.load_sample()
    live = predict_logits(load_model(run), sample.x_test)
    recorded = run.test_logits[sample.test_index]
    return pd.Series(
        {
            "accuracy_recorded": (recorded.argmax(1) == sample.y_test).mean(),
            "accuracy_live": (live.argmax(1) == sample.y_test).mean(),
            "largest_difference": np.abs(live - recorded).max(),
            "labels_changed": int((live.argmax(1) != recorded.argmax(1)).sum()),
        }
    )


def predict_logits(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Logits (N, C) float32 of uint8 images (N, 32, 32, 3)."""
    if len(images) <= PREDICTED:  # `predict` would take longer to start than to compute
        return model.predict_on_batch(images)
    return model.predict(images, batch_size=PREDICTED, verbose=0)


def predict_tta(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Logits (N, C) float32 of uint8 images (N, 32, 32, 3), averaged over six views of each.

    Half the weight has the image itself, a quarter each the image shifted by one pixel up and
    left, and down and right, with its edge reflected; all of them also mirrored (Jordan 2024,
    section 3.5).
    """
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    logits = 0.0
    for weight, shift in ((0.5, 1), (0.25, 0), (0.25, 2)):
        view = padded[:, shift : shift + images.shape[1], shift : shift + images.shape[2]]
        for seen in (view, view[:, :, ::-1]):
            logits += weight / 2 * predict_logits(model, np.ascontiguousarray(seen))
    return logits


def _compile(model, settings, steps, classes):
    optimizer = _optimizer(settings, _learning_rate(settings, steps))
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
    return backend == "jax" or (backend == "tensorflow" and (on_gpu() or model.name in XLA_ON_CPU))


def _seed_everything(model, seed, epoch):
    """Random states of Python, NumPy, the backend and every dropout layer, from (seed, epoch)."""
    states = [v for v in model.variables if v.path.endswith("seed_generator_state")]
    words = np.random.SeedSequence((seed, epoch)).generate_state(1 + 2 * len(states))
    keras.utils.set_random_seed(int(words[0]))
    for state, pair in zip(states, words[1:].reshape(-1, 2), strict=True):
        state.assign((pair >> 1).astype(state.dtype))  # 31 bits: PyTorch's dtype is signed


def _numbered(arrays, prefix):
    return [arrays[key] for key in sorted(arrays) if key.startswith(f"{prefix}_")]
