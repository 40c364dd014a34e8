"""Keep the best weights of a training, and what going on with it needs."""

import hashlib
import json
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import files
from helpers.backend import keras
from helpers.experiments.recipes import Recipe
from helpers.records import provenance
from helpers.training import arithmetic, devices
from helpers.training.batches import Batches

SMALL = 2_000_000  # weights: a copy of them is taken after each epoch


class Keeper(keras.callbacks.Callback):
    """Seeds each epoch, keeps the best weights, stops early, and saves what resuming needs.

    Keras's own `BackupAndRestore` forgets the best value and the state of dropout, and a kill
    between its two files tears it: here one file, renamed into place, holds everything.

    Args:
        every: 0: the file is written after each epoch, and training waits for it.  Else it is
            written beside training, this many seconds after the last one or later, and in
            `close`, which a training that ends or is interrupted has to call.
        pictures: digest of a user's own images, on which alone the file may go on; CIFAR's don't
            change.
    """

    def __init__(
        self,
        settings: Recipe,
        batches: Batches,
        resume: Path | None,
        every: float = 0,
        pictures: str = "",
    ):
        super().__init__()
        self.every, self.pictures = every, pictures
        self._writing, self._unsaved, self._failed = None, {}, None
        self._saved_at = time.perf_counter()
        self.settings, self.batches, self.resume = settings, batches, resume
        self.history = []
        self.best = None
        # Of what is not resumed nothing is recorded, and asking takes processes of git.
        self.made_with = (
            [provenance.record(arithmetic.trained_in(settings.precision), devices.number())]
            if resume
            else []
        )
        self._since = provenance.computed()

    def restore(self) -> None:
        """Go on from the resume file, if there is one; the model must be compiled."""
        if self.resume is None or not self.resume.exists():
            return
        remedy = "delete it to start over"
        saved = files.arrays(self.resume, remedy)
        try:
            state = json.loads(str(saved["state"]))
            missing = {"of", "history", "made_with"} - set(state)
        except (KeyError, TypeError, ValueError):
            missing = {"state"}
        if missing:
            raise ValueError(f"{self.resume} is damaged (it lacks the {min(missing)}): {remedy}")
        if state["of"] != self._of():
            raise ValueError(
                f"{self.resume} was left by other settings of this recipe, another model, seed, "
                "backend, precision or other training images: delete it to start over, or go back "
                "to those"
            )
        optimizer = self.model.optimizer.variables
        for key, own in (
            ("best", self.model.weights),
            ("weights", self.model.weights),
            ("optimizer", optimizer),
        ):
            if [array.shape for array in _numbered(saved, key)] != [tuple(v.shape) for v in own]:
                reason = f"its {key} arrays are not the model's"
                raise ValueError(f"{self.resume} is damaged ({reason}): {remedy}")
        self.history = state["history"]
        self._warn(provenance.differences(state["made_with"][-1], self.made_with[0]))
        self.made_with = state["made_with"] + self.made_with
        self.best = _numbered(saved, "best")
        self.model.set_weights(_numbered(saved, "weights"))
        for variable, value in zip(optimizer, _numbered(saved, "optimizer"), strict=True):
            variable.assign(value)

    def _warn(self, differences):
        if differences:
            print(
                f"warning: {self.resume} was left by other {', '.join(differences)}: the record "
                "will name both; delete it to start over",
                file=sys.stderr,
            )

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.epoch = epoch
        seed_everything(self.model, self.batches.seed, epoch)
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
            self.made_with[-1]["alone"] = provenance.alone(self._since)
            self._save_if_due()
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
        of = repr((self.settings, self.model.name, self.batches.seed, backend, images))
        return of + self.pictures

    def _save_if_due(self):
        if not self.every:
            self._save()
            return
        self._raise_what_failed()
        is_writing = self._writing is not None and self._writing.is_alive()
        if not is_writing and time.perf_counter() - self._saved_at >= self.every:
            self._writing = threading.Thread(target=self._write_beside, args=[self._arrays()])
            self._writing.start()
            self._saved_at, self._unsaved = time.perf_counter(), {}
        elif self.model.count_params() < SMALL:
            self._unsaved = self._arrays()

    def close(self) -> None:
        """Wait for what is being written; of an unfinished training write the last epoch, too."""
        if self._writing is not None:
            self._writing.join()
            self._raise_what_failed()
        if self._unsaved and not self.is_finished():
            _write(self.resume, self._unsaved)

    def _write_beside(self, arrays):
        try:
            _write(self.resume, arrays)
        except OSError as error:  # which would end the thread alone
            self._failed = error

    def _raise_what_failed(self):
        if self._failed is not None:
            raise self._failed

    def _save(self):
        _write(self.resume, self._arrays())

    def _arrays(self):
        """What the resume file holds."""
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
        return arrays


def _write(path, arrays):
    with files.whole(path, sum(array.nbytes for array in arrays.values())) as beside:
        np.savez(beside, **arrays)


def best_epoch(history: list[dict] | pd.DataFrame, settings: Recipe) -> int:
    """The epoch, from 1, that `settings.select` prefers; the earlier one on a tie."""
    if settings.select == "last":
        return len(history)
    values = pd.DataFrame(history)[f"val_{settings.select}"]
    best = values.idxmin() if settings.select == "loss" else values.idxmax()
    return int(best) + 1


def seed_everything(model, seed, epoch):
    """Random states of Python, NumPy, the backend and every dropout layer, from (seed, epoch)."""
    states = [v for v in model.variables if v.path.endswith("seed_generator_state")]
    words = np.random.SeedSequence((seed, epoch)).generate_state(1 + 2 * len(states))
    keras.utils.set_random_seed(int(words[0]))
    for state, pair in zip(states, words[1:].reshape(-1, 2), strict=True):
        state.assign((pair >> 1).astype(state.dtype))  # 31 bits: PyTorch's dtype is signed


def _numbered(arrays, prefix):
    return [arrays[key] for key in sorted(arrays) if key.startswith(f"{prefix}_")]
