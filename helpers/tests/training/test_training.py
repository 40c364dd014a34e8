"""Training a tiny model: reproducible, also when killed; records whole runs."""

import errno
import io
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import IPython
import numpy as np
import pandas as pd
import pytest
import tiny
from filelock import FileLock
from sklearn.metrics import balanced_accuracy_score

from helpers import data, files, training
from helpers.backend import keras
from helpers.data.augmentation import Augmentation
from helpers.experiments import Experiment
from helpers.experiments.recipes import Recipe
from helpers.models import adapt_whitening, build
from helpers.records import contents, kept, provenance, runs
from helpers.results import metrics
from helpers.training import fitting, progress, recorded, recording
from helpers.training import resume as resuming
from helpers.training.batches import Batches, one_hot


def fit(settings=tiny.RECIPE, seed=0, name="tiny", resume=None):
    return training.fit(tiny.new_model(name), settings, tiny.split(), seed, resume=resume)


def assert_same(first, second):
    """Two fits have the same history, seconds aside, and the same weights, bit for bit."""
    pd.testing.assert_frame_equal(
        first.history.drop(columns="seconds"),
        second.history.drop(columns="seconds"),
        check_exact=True,
    )
    assert first.best_epoch == second.best_epoch
    for one, other in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def resume_file(tmp_path_factory):
    return tmp_path_factory.mktemp("fit") / "seed0.resume.npz"


@pytest.fixture(scope="module")
def through(resume_file):
    """A fit that ran through."""
    return fit(resume=resume_file)


@pytest.fixture
def left_over(through, resume_file, tmp_path):
    """A copy of the resume file that it left."""
    return Path(shutil.copy(resume_file, tmp_path))


# ---- going on after a kill


def train_until_killed(when, name, resume):
    """Train, and be killed in the midst of the third epoch, or of saving after the third."""

    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    if when == "training":
        batch = Batches.__getitem__
        Batches.__getitem__ = lambda self, step: (
            kill() if (self.epoch, step) == (2, 1) else batch(self, step)
        )
    else:
        savez, calls = np.savez, []

        def half(path, **arrays):
            calls.append(path)
            if len(calls) < 3:
                return savez(path, **arrays)
            whole = io.BytesIO()
            savez(whole, **arrays)
            path.write_bytes(whole.getvalue()[: whole.tell() // 2])
            return kill()

        np.savez = half
    fit(name=name, resume=resume)


@pytest.mark.parametrize(("when", "name"), [("saving", "tiny"), ("training", "vit")])
def test_killed_run_ends_as_one_that_ran_through(
    when, name, through, tmp_path, fresh_python, capsys
):
    resume = tmp_path / "seed0.resume.npz"
    code = f"""
from pathlib import Path
import sys
sys.path.insert(0, "training")
import test_training
test_training.train_until_killed({when!r}, {name!r}, Path({str(resume)!r}))
"""
    killed = fresh_python(code, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    resumed = fit(name=name, resume=resume)
    assert capsys.readouterr().out.startswith("training: epoch 3/4")
    # A model named "vit" is compiled as the ViT is: with XLA.
    assert_same(resumed, through if name == "tiny" else fit(name=name))


@pytest.mark.parametrize("other", [{"seed": 1}, {"name": "another"}])
def test_resume_file_of_another_training_is_refused(left_over, other):
    with pytest.raises(ValueError, match=r"seed, backend, precision or other .*: delete it"):
        fit(resume=left_over, **other)


def test_resume_file_of_other_images_is_refused(left_over, monkeypatch):
    whole = tiny.split()
    fewer = replace(whole, train_index=whole.train_index[:-1])
    monkeypatch.setattr(tiny, "split", lambda: fewer)
    with pytest.raises(ValueError, match="other training images: delete it"):
        fit(resume=left_over)


def test_finished_resume_file_gives_the_result_without_training(left_over, through, capsys):
    assert_same(fit(resume=left_over), through)
    assert capsys.readouterr().out == ""


def test_resume_file_of_other_settings_is_refused(left_over):
    with pytest.raises(ValueError, match=r"seed, backend, precision or other .*: delete it"):
        fit(replace(tiny.RECIPE, epochs=5), resume=left_over)


def without(prefix):
    def spoil(path):
        arrays = files.arrays(path, "")
        np.savez(path, **{k: v for k, v in arrays.items() if not k.startswith(prefix)})

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("not an archive"),
        lambda path: np.savez(path, weights_0000=np.zeros(3)),
        without("best"),
        without("weights"),
        without("optimizer"),
        without("optimizer_0003"),
        lambda path: np.savez(path, **files.arrays(path, "") | {"best_0000": np.zeros(3)}),
        lambda path: np.savez(path, **files.arrays(path, "") | {"state": np.array("[]")}),
        lambda path: np.savez(path, **files.arrays(path, "") | {"state": np.array("{")}),
    ],
    ids=[
        *("half", "empty", "text", "another archive", "no best", "no weights", "no optimizer"),
        *("lacks one", "other shape", "no state", "half a state"),
    ],
)
def test_damaged_resume_file_is_refused(left_over, spoil):
    spoil(left_over)
    with pytest.raises(ValueError, match=r"seed0\.resume\.npz is damaged.*delete it to start over"):
        fit(resume=left_over)


# ---- what follows from the seed


def test_same_seed_same_result(through):
    assert_same(fit(), through)


def test_other_seed_other_result(through):
    assert fit(seed=1).history["loss"][0] != through.history["loss"][0]


def test_each_epoch_gets_its_own_batches_and_validation_is_not_augmented(monkeypatch):
    asked, validated = [], []
    batch = Batches.__getitem__
    monkeypatch.setattr(
        Batches, "__getitem__", lambda self, i: asked.append((self.epoch, i)) or batch(self, i)
    )
    model_fit = keras.Model.fit

    def spy(self, batches, validation_data, **settings):
        validated.append(validation_data)
        return model_fit(self, batches, validation_data=validation_data, **settings)

    monkeypatch.setattr(keras.Model, "fit", spy)
    split = tiny.split()
    settings = Recipe(epochs=3, augmentation=Augmentation(flip=True, crop=4, cutout=8))
    training.fit(tiny.new_model(), settings, split, 0)

    assert set(asked) == {(epoch, step) for epoch in range(3) for step in range(3)}
    ((images, labels),) = validated
    np.testing.assert_array_equal(images, split.data.x_train[split.val_index])
    np.testing.assert_array_equal(labels.argmax(1), split.data.y_train[split.val_index])


# ---- the loop's decisions


def history(**columns):
    return pd.DataFrame({f"val_{key}": values for key, values in columns.items()})


@pytest.mark.parametrize(
    ("select", "values", "best"),
    [
        ("accuracy", [0.1, 0.5, 0.4], 2),
        ("accuracy", [0.1, 0.5, 0.5], 2),  # the earlier one
        ("macro_recall", [0.3, 0.2, 0.4], 3),
        ("loss", [0.9, 0.2, 0.2], 2),
    ],
)
def test_best_epoch(select, values, best):
    last = Recipe(epochs=3, select="last")
    assert training.best_epoch(history(**{select: values}), last) == 3
    assert training.best_epoch(history(**{select: values}), Recipe(epochs=3, select=select)) == best


@pytest.mark.parametrize(
    ("losses", "finished"),
    [
        ([1.0, 0.9, 0.8, 0.7], False),
        ([1.0, 0.9, 0.95, 0.95], False),
        ([1.0, 0.9, 0.95, 0.95, 0.95], True),
        ([1.0, 0.999, 0.998, 0.997], True),  # less than min_delta does not count
        ([1.0, 0.999, 0.985, 0.99, 0.99], False),
    ],
)
def test_patience(losses, finished):
    keeper = resuming.Keeper(Recipe(epochs=9, patience=3, min_delta=0.01), None, None)
    keeper.history = [{"val_loss": loss} for loss in losses]
    assert keeper.is_finished() == finished


@pytest.fixture(scope="module")
def stopped():
    """A fit whose validation loss never falls far enough."""
    settings = Recipe(
        epochs=9, batch_size=32, learning_rate=0.1, patience=3, min_delta=100.0, select="loss"
    )
    return fit(settings)


def test_training_stops_where_the_loss_stalls(stopped):
    assert len(stopped.history) == 4  # the first epoch sets the mark


def test_fit_gives_the_weights_of_the_best_epoch(stopped):
    split = tiny.split()
    logits = training.predict_logits(stopped.model, split.x_val)
    losses = stopped.history["val_loss"]
    assert stopped.best_epoch == losses.argmin() + 1
    assert metrics.scores(logits, split.y_val)["nll"] == pytest.approx(losses.min(), rel=1e-4)


def test_diverging_training_names_the_fix():
    settings = Recipe(epochs=3, batch_size=64, learning_rate=1e30)
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        fit(settings)


def test_cosine_schedule_by_hand(through):
    # 5 steps an epoch: one epoch of warm-up, then 15 steps of cosine.
    optimizer = through.model.optimizer

    def rate(step):
        optimizer.iterations.assign(step)
        return float(keras.ops.convert_to_numpy(optimizer.learning_rate))

    peak = tiny.RECIPE.learning_rate
    assert rate(0) == 0
    assert rate(2) == pytest.approx(peak * 2 / 5)
    assert rate(5) == pytest.approx(peak)
    assert rate(10) == pytest.approx(peak * (1 + np.cos(np.pi / 3)) / 2)
    assert rate(20) == pytest.approx(0, abs=1e-9)
    at_ends = [rate(step) for step in (5, 10, 15, 20)]
    assert through.history["learning_rate"].tolist() == pytest.approx(at_ends, abs=1e-9)


def test_cosine_schedule_without_warm_up_starts_at_its_peak():
    settings = Recipe(epochs=4, learning_rate=0.5, schedule="cosine")
    schedule = fitting._learning_rate(settings, steps=5)
    given = [float(schedule(step)) for step in (0, 10, 20)]
    assert given == pytest.approx([0.5, 0.25, 0], abs=1e-6)


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    """A fit that keeps the moving average of its weights, stopped in between."""
    resume = tmp_path_factory.mktemp("averaged") / "seed0.resume.npz"
    settings = replace(tiny.RECIPE, average=0.8, label_smoothing=0.1, select="loss")
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: exit_after(epoch))

    seed_everything = resuming.seed_everything

    def exit_after(epoch):
        if epoch == 1:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "Progress", lambda *a: stop)
        with pytest.raises(KeyboardInterrupt):
            fit(settings, resume=resume)
        seeds = []
        patch.setattr(
            resuming, "seed_everything", lambda *a: seeds.append(a[2]) or seed_everything(*a)
        )
        resumed = fit(settings, resume=resume)
    assert seeds == [2, 3]  # the epochs that were left
    return fit(settings), resumed


def test_averaging_goes_on_where_it_was_stopped(averaged):
    assert_same(*averaged)


def test_averaged_weights_are_the_ones_that_were_validated(averaged):
    split = tiny.split()
    logits = training.predict_logits(averaged[0].model, split.x_val)
    lowest = averaged[0].history["val_loss"].min()
    # The loss of validation is that of the plain labels: smoothing is for training.
    assert metrics.scores(logits, split.y_val)["nll"] == pytest.approx(lowest, rel=1e-4)


def test_average_by_hand(monkeypatch):
    seen = []
    # By way of the callback: in the midst of an epoch JAX's weights are not in the model itself.
    batch_end = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: seen.append(batch_end.model.get_weights()[0])
    )
    monkeypatch.setattr(fitting, "Progress", lambda *a: batch_end)
    model = tiny.new_model()
    training.fit(model, Recipe(epochs=1, batch_size=90, average=0.75), tiny.split(), 0)
    expected = seen[0]
    for weights in seen[1:]:
        expected = 0.75 * expected + 0.25 * weights
    assert len(seen) == 3
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("optimizer", "decay"), [("adam", None), ("adamw", 0.05), ("sgd", 0.05), ("muon", 0.05)]
)
def test_optimizer_with_a_constant_rate(optimizer, decay):
    model = tiny.new_model()
    settings = Recipe(
        epochs=2,
        optimizer=optimizer,
        learning_rate=0.01,
        kernel_rate=0.2 if optimizer == "muon" else 0.0,
        weight_decay=decay or 0.0,
    )
    fitting._compile(model, settings, steps=5, classes=10)
    assert type(model.optimizer).__name__.lower() == optimizer
    assert model.optimizer.weight_decay == decay
    model.optimizer.iterations.assign(7)
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == pytest.approx(0.01)


@pytest.mark.parametrize(("optimizer", "kernel_rate"), [("sgd", 0.0), ("muon", 0.2)])
def test_sgd_has_nesterov_s_momentum(optimizer, kernel_rate):
    settings = Recipe(epochs=2, optimizer=optimizer, kernel_rate=kernel_rate, momentum=0.85)
    made = fitting._optimizer(settings, 0.1)
    assert (made.momentum, made.nesterov) == (0.85, True)
    assert getattr(made, "kernel_rate", 0.0) == kernel_rate


def test_lookahead_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    settings = replace(tiny.RECIPE, lookahead=True, batch_size=40)
    resume = tmp_path / "seed0.resume.npz"
    with tiny.interrupted_after_each_epoch(monkeypatch):
        for _ in range(settings.epochs):
            with pytest.raises(KeyboardInterrupt):
                fit(settings, resume=resume)
    assert_same(fit(settings, resume=resume), fit(settings))


def test_layers_compute_in_the_recipe_s_precision_and_weights_are_float32():
    usual = keras.config.dtype_policy().name
    experiment = Experiment("cifar10", "cnn_baseline", "x", Recipe(1, precision="mixed_bfloat16"))
    layer = training.new_model(experiment, 0).get_layer("conv2")
    assert (layer.compute_dtype, layer.kernel.dtype) == ("bfloat16", "float32")
    assert keras.config.dtype_policy().name == usual


def test_a_model_that_cannot_be_built_leaves_the_precision_as_it_was():
    usual = keras.config.dtype_policy().name
    experiment = Experiment("cifar10", "nonesuch", "x", Recipe(1, precision="mixed_bfloat16"))
    with pytest.raises(ValueError, match="nonesuch"):
        training.new_model(experiment, 0)
    assert keras.config.dtype_policy().name == usual


def test_few_images_are_predicted_as_many(sample):
    model = tiny.new_model()
    many = training.predict_logits(model, sample.x_test[: recorded.PREDICTED + 1])
    few = training.predict_logits(model, sample.x_test[:3])
    assert few.dtype == many.dtype == np.float32
    np.testing.assert_allclose(few, many[:3], atol=1e-6)


def test_test_time_augmentation_by_hand():
    class Corner:
        """Gives the pixels of the image's upper left corner."""

        def predict_on_batch(self, images):
            return images[:, 0, 0].astype(np.float32)

    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    # Shifted down and right, reflection brings in row and column 1; up and left, row and column
    # 1 move to the corner.  A mirrored view has the right end of the row there.
    expected = (
        0.25 * (images[:, 0, 0] * 1.0 + images[:, 0, 31])
        + 0.125 * (images[:, 1, 1] * 1.0 + images[:, 1, 30])
        + 0.125 * (images[:, 1, 1] * 1.0 + images[:, 1, 30])
    )
    np.testing.assert_allclose(training.predict_tta(Corner(), images), expected, rtol=1e-6)


def test_whitening_is_computed_from_training_images():
    split = tiny.split()
    settings = Recipe(epochs=1, optimizer="sgd", learning_rate=0.0)
    model = build("fast_cnn")
    training.fit(model, settings, replace(split, train_index=split.train_index[:20]), 0)
    expected = build("fast_cnn")
    adapt_whitening(expected, split.data.x_train[split.train_index[:20]])
    kernels = (m.get_layer("whitening").get_weights()[0] for m in (model, expected))
    np.testing.assert_array_equal(*kernels)


def test_class_weights_are_the_inverse_frequencies_of_the_training_part(monkeypatch):
    given = []
    monkeypatch.setattr(fitting, "Batches", lambda *a: given.append(a[7]) or Batches(*a))
    split = tiny.split()
    settings = Recipe(epochs=1, class_weights="inverse_frequency")
    training.fit(tiny.new_model(), settings, split, 0)
    counts = np.bincount(split.y_train)
    np.testing.assert_allclose(given[0], len(split.y_train) / (10 * counts))


def test_macro_recall_is_scikit_learn_s_balanced_accuracy():
    rng = np.random.default_rng(0)
    labels = rng.choice(4, 60, p=[0.6, 0.3, 0.1, 0.0])  # class 3 never comes
    logits = rng.standard_normal((60, 4)) + 1.5 * np.eye(4)[labels]
    logits[:, 3] = -9
    metric = fitting.MacroRecall(4)
    for part in (slice(0, 40), slice(40, 60)):
        metric.update_state(one_hot(labels[part], 4), logits[part])
    expected = balanced_accuracy_score(labels, logits.argmax(1))
    assert float(metric.result()) == pytest.approx(expected, rel=1e-6)


def test_progress_does_not_take_a_plain_process_for_a_notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", IPython)  # as pytest's notebook plugin loads it
    assert not progress._in_notebook()


def test_estimate_by_hand(study, monkeypatch):
    monkeypatch.setattr(recording, "_matrix_product_rate", lambda: 12.0)
    macs = 48 * 32 + 32 * 10
    # Forward and twice as much backward, two operations each, at half the rate: 6 / 6 a MAC.
    assert training.estimate_seconds(tiny.EXPERIMENT) == pytest.approx(macs * 45_000 * 2)


# ---- recorded runs


def test_record_has_the_contract_s_keys(study):
    run = runs.read(tiny.EXPERIMENT.name, 0)
    assert list(run.info) == [*tiny.RECORD_KEYS, "files"]
    assert list(run.info["hardware"]) == ["cpu", "cores", "gpu"]
    assert tuple(run.info["test"]) == tuple(run.info["validation"]) == contents.SCORES
    assert run.history.columns.tolist()[:7] == [
        "epoch",
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
        "seconds",
    ]


def test_record_says_what_was_trained(study):
    info = runs.read(tiny.EXPERIMENT.name, 0).info
    assert (info["data"], info["model"], info["recipe"], info["seed"]) == (
        "cifar10",
        "tiny",
        "fast",
        0,
    )
    assert info["backend"] == keras.backend.backend()
    assert info["config"]["epochs"] == info["epochs_run"] == 2
    assert info["parameters"] == 48 * 32 + 32 + 2 * 32 + 32 * 10 + 10
    assert info["macs"] == 48 * 32 + 32 * 10
    assert info["versions"]["keras"] == keras.__version__
    assert info["data_sha256"] == {"x_train": "of the tiny data set"}


def test_scores_are_those_of_the_stored_logits(study):
    run, split = runs.read(tiny.EXPERIMENT.name, 0), tiny.split()
    assert run.val_index.tolist() == split.val_index.tolist()
    assert run.test_logits.shape == (100, 10)
    assert run.info["test"] == metrics.scores(run.test_logits, split.data.y_test)
    assert run.info["validation"] == metrics.scores(run.val_logits, split.y_val)


def test_recorded_weights_give_the_stored_logits(study):
    run = runs.read(tiny.EXPERIMENT.name, 0)
    logits = training.predict_logits(training.load_model(run), tiny.dataset().x_test)
    np.testing.assert_allclose(logits, run.test_logits, atol=2e-3)  # stored as float16


@pytest.mark.parametrize(("has", "precision"), [(True, "mixed_bfloat16"), (False, "float32")])
def test_bfloat16_is_trained_in_where_the_machine_has_it(has, precision, empty_study, monkeypatch):
    monkeypatch.setattr(provenance, "has_bfloat16", lambda: has)
    settings = replace(tiny.EXPERIMENT.settings, precision="mixed_bfloat16")
    trained = []
    fit = training.fit
    monkeypatch.setattr(recording, "fit", lambda model, *a: trained.append(model) or fit(model, *a))
    run = training.train(replace(tiny.EXPERIMENT, settings=settings), 0)
    assert trained[0].layers[-1].dtype_policy.name == run.config["precision"] == precision


def test_run_in_half_precision_is_recorded_in_float32_and_with_its_views(empty_study, monkeypatch):
    monkeypatch.setattr(provenance, "has_bfloat16", lambda: True)
    settings = replace(tiny.EXPERIMENT.settings, precision="mixed_bfloat16", tta=True)
    run = training.train(replace(tiny.EXPERIMENT, settings=settings), 0)
    assert run.config["precision"] == "mixed_bfloat16"
    assert list(run.info) == [*tiny.RECORD_KEYS, "validation_tta", "test_tta", "files"]
    model, split = training.load_model(run), tiny.split()
    assert model.dtype_policy.name == "float32"
    for part, predict, images, labels, logits in (
        ("validation", training.predict_logits, split.x_val, split.y_val, run.val_logits),
        ("validation_tta", training.predict_tta, split.x_val, split.y_val, run.val_tta_logits),
        ("test", training.predict_logits, split.data.x_test, split.data.y_test, run.test_logits),
        (
            "test_tta",
            training.predict_tta,
            split.data.x_test,
            split.data.y_test,
            run.test_tta_logits,
        ),
    ):
        np.testing.assert_allclose(predict(model, images), logits, atol=2e-3)
        assert run.info[part] == metrics.scores(logits, labels)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow on a GPU alone")
def test_many_steps_in_a_call_end_as_single_ones_do(monkeypatch):
    split = tiny.split()
    few = replace(split, train_index=split.train_index[:44], val_index=split.val_index[:20])
    settings = replace(tiny.RECIPE, epochs=2, batch_size=4, average=0.9)  # 11 steps: 4, 4 and 3
    one = training.fit(tiny.new_model(), settings, few, 0)
    monkeypatch.setattr(fitting, "on_gpu", lambda: True)
    monkeypatch.setattr(fitting, "_use_xla", lambda model: False)
    monkeypatch.setattr(fitting, "STEPS_IN_A_CALL", 4)
    calls, fit = [], keras.Model.fit

    def spied(model, *arguments, **settings):
        calls.append(model.steps_per_execution)
        return fit(model, *arguments, **settings)

    monkeypatch.setattr(keras.Model, "fit", spied)
    many = training.fit(tiny.new_model(), settings, few, 0)
    assert calls == [4]
    assert many.model.steps_per_execution == 1
    first, second = (fit.history.drop(columns="seconds").to_numpy() for fit in (one, many))
    np.testing.assert_allclose(second, first, atol=1e-4)


def test_a_run_that_goes_on_with_other_code_names_both(left_over, through, monkeypatch, capsys):
    first = through.made_with
    monkeypatch.setattr(provenance, "code_version", lambda: "later")
    monkeypatch.setattr(provenance, "code_sha256", lambda: "abc")
    monkeypatch.setattr(provenance, "threads", lambda: 77)
    monkeypatch.setattr(provenance, "onednn", lambda: "other")
    both = fit(resume=left_over).made_with
    (warning,) = capsys.readouterr().err.splitlines()
    assert f"{left_over} was left by other code, threads, TF_ENABLE_ONEDNN_OPTS: the" in warning
    assert both["code_version"] == f"{first['code_version']}, then later"
    assert both["code_sha256"] == f"{first['code_sha256']}, then abc"
    assert both["onednn"] == f"{first['onednn']}, then other"
    assert both["hardware"]["cores"] == f"{first['hardware']['cores']}, then 77"
    assert both["hardware"]["cpu"] == first["hardware"]["cpu"]
    assert both["versions"] == first["versions"]


def test_a_run_that_goes_on_as_it_began_warns_of_nothing(left_over, capsys):
    fit(resume=left_over)
    assert capsys.readouterr().err == ""


def test_what_a_kill_left_beside_a_record_is_removed(study):
    target = runs.folder(tiny.EXPERIMENT.name, 0)
    runs.resume_file(target).touch()
    with pytest.raises(FileExistsError):
        training.train(tiny.EXPERIMENT, 0)
    assert not runs.resume_file(target).exists()


def test_recorded_run_leaves_nothing_to_resume(study):
    folder = runs.folder(tiny.EXPERIMENT.name, 0).parent
    assert not list(folder.glob("*.npz"))
    assert not list(folder.glob("*.writing*"))


def test_what_a_killed_run_left_half_written_is_removed(tmp_path):
    target = tmp_path / "seed1"
    left = [tmp_path / "seed1.writing", tmp_path / "seed1.resume.writing.npz"]
    others = tmp_path / "seed10.resume.writing.npz"  # it may be under way
    left[0].mkdir()
    for path in (left[0] / "run.json", left[1], others):
        path.write_bytes(b"half")
    with runs.sole_writer(target):
        assert not any(path.exists() for path in left)
    assert others.exists()


def test_a_full_disk_names_the_resume_file_and_leaves_it_whole(left_over, monkeypatch):
    def full(path, **arrays):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    before = left_over.read_bytes()
    monkeypatch.setattr(np, "savez", full)
    text = r"resume\.npz cannot be written \(No space left on device\): it takes 1 MB"
    with pytest.raises(files.NotWritten, match=text):
        resuming._write(left_over, {"x": np.arange(3)})
    assert [path.name for path in left_over.parent.glob("*writing*")] == []
    assert left_over.read_bytes() == before


def test_a_full_disk_ends_a_training_that_writes_beside_itself(tmp_path, monkeypatch):
    keeper = resuming.Keeper.__new__(resuming.Keeper)
    keeper.resume, keeper.every = tmp_path / "file" / "seed0.resume.npz", 60
    keeper._failed = keeper._writing = None
    (tmp_path / "file").touch()
    keeper._write_beside({"x": np.arange(3)})
    with pytest.raises(files.NotWritten):
        keeper._save_if_due()


def test_recorded_run_is_not_trained_again(study):
    with pytest.raises(FileExistsError, match="delete it to train it anew"):
        training.train(tiny.EXPERIMENT, 0)


def test_two_processes_never_train_the_same_run(empty_study):
    target = runs.folder(tiny.EXPERIMENT.name, 0)
    target.parent.mkdir(parents=True)
    with (
        FileLock(target.with_suffix(".lock")),
        pytest.raises(RuntimeError, match=r"another process is training what .*seed0 will record"),
    ):
        training.train(tiny.EXPERIMENT, 0)
    assert not target.exists()


def test_run_that_another_process_just_recorded_is_not_trained_again(
    empty_study, recorded_root, monkeypatch
):
    target = runs.folder(tiny.EXPERIMENT.name, 0)

    class Slow(FileLock):
        def acquire(self, *arguments, **settings):
            # Recorded while this process came to the lock.
            shutil.copytree(recorded_root / tiny.EXPERIMENT.name / "seed0", target)
            return super().acquire(*arguments, **settings)

    monkeypatch.setattr(runs, "FileLock", Slow)
    with pytest.raises(FileExistsError):
        training.train(tiny.EXPERIMENT, 0)


def test_nothing_is_recorded_without_the_whole_data_set(tmp_path, monkeypatch, no_network):
    monkeypatch.setenv("CIFAR_HOME", str(tmp_path / "empty"))
    with pytest.raises(data.DataError, match="connect to the network"):
        training.train(tiny.EXPERIMENT, 0, root=tmp_path / "runs")
    assert runs.recorded(root=tmp_path / "runs") == []


def test_only_runs_on_the_sample_s_data_set_are_reproduced(empty_study, study, monkeypatch):
    monkeypatch.setitem(kept.KEPT, "cifar100/tiny/*", (0,))
    run = runs.Run(runs.folder(tiny.EXPERIMENT.name, 0))
    info = run.info | {"data": "cifar100"}
    other = runs.write(info, run.history, run._predictions, lambda path: path.touch(), empty_study)
    with pytest.raises(ValueError, match="the sample has no images of cifar100"):
        training.reproduce(other)


def test_run_without_weights_cannot_be_loaded(empty_study, study):
    run = runs.Run(runs.folder(tiny.EXPERIMENT.name, 0))
    without = runs.write(run.info | {"seed": 5}, run.history, run._predictions, None, empty_study)
    with pytest.raises(
        FileNotFoundError,
        match=r"seed 5 keeps no weights: use a run whose .* KEPT in helpers.records.kept",
    ):
        training.load_model(without)
