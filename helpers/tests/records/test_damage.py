"""Damaged, swapped and misplaced records: one line that names the file and the fix, everywhere."""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
import tiny

from helpers import __main__ as command_line
from helpers import config, files, models, records, training
from helpers.records import runs
from helpers.results import tables

NAME = tiny.EXPERIMENT.name


@pytest.fixture
def folder(monkeypatch, tmp_path, recorded_root):
    """The folder of a run in a study of its own, to be damaged."""
    root = shutil.copytree(recorded_root, tmp_path / "runs")
    tiny.use(monkeypatch, root)
    return runs.folder(NAME, 0)


def changed_json(**changes):
    def damage(path):
        info = json.loads(path.read_text()) | changes
        gone = {key for key, value in changes.items() if value is None}
        path.write_text(json.dumps({k: v for k, v in info.items() if k not in gone}))

    return damage


def changed_settings(**changes):
    def damage(path):
        settings = json.loads(path.read_text())["config"] | changes
        changed_json(config=settings)(path)

    return damage


def changed_arrays(change):
    def damage(path):
        arrays = files.arrays(path, "")
        change(arrays)
        np.savez_compressed(path, **arrays)

    return damage


def shuffle(arrays):
    arrays["test_logits"] = arrays["test_logits"][::-1]


def of_another_run(arrays):
    arrays["test_logits"] = arrays["test_logits"] + np.float16(1)


def out_of_range(arrays):
    arrays["val_index"] = arrays["val_index"] + np.int32(50_000)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def weights_of(build):
    def damage(path):
        build().save_weights(path)

    return damage


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def written(text):
    return lambda path: path.write_text(text)


def another_model():
    return models.build("cnn_baseline", 10)


DAMAGES = {
    "no test": ("run.json", changed_json(test=None), "is damaged (no test): restore it"),
    "no scores": ("run.json", changed_json(test={}), "is damaged (no accuracy on test)"),
    "other seed": ("run.json", changed_json(seed=1), "is the record of cifar10/tiny/fast/seed1"),
    "other model": ("run.json", changed_json(model="vit"), "is the record of cifar10/vit/fast"),
    "{}": ("run.json", written("{}"), "is damaged (no data): restore it"),
    "[]": ("run.json", written("[]"), "is damaged (no mapping): restore it"),
    "null": ("run.json", written("null"), "is damaged (no mapping): restore it"),
    "NaN": ("run.json", changed_json(seconds_training=np.nan), "is damaged (NaN is no number)"),
    "deep": ("run.json", written("[" * 100_000), "is damaged (maximum recursion depth"),
    "no such epoch": ("run.json", changed_json(best_epoch=3), "is damaged (best_epoch is 3 of 2)"),
    "no settings": ("run.json", changed_json(config={}), "is damaged (no augmentation in config)"),
    "options": ("run.json", changed_settings(model_options=["size"]), "are no pairs): restore it"),
    "run.json truncated": ("run.json", truncate, "is damaged ("),
    "no run.json": ("run.json", os.remove, "is incomplete (it has no run.json): restore it"),
    "no digests": ("run.json", changed_json(files=None), "python -m helpers vouch"),
    "predictions truncated": ("predictions.npz", truncate, ""),
    "predictions of another": ("predictions.npz", changed_arrays(of_another_run), ""),
    "predictions shuffled": ("predictions.npz", changed_arrays(shuffle), ""),
    "no test_logits": ("predictions.npz", changed_arrays(lambda a: a.pop("test_logits")), ""),
    "val_index": ("predictions.npz", changed_arrays(out_of_range), ""),
    "no predictions": ("predictions.npz", os.remove, "is missing: restore it"),
    "history cut": ("history.csv", truncate, ""),
    "history empty": ("history.csv", written(""), ""),
    "no history": ("history.csv", os.remove, "is missing: restore it"),
    "weights truncated": ("model.weights.h5", truncate, ""),
    "weights flipped": ("model.weights.h5", flip, ""),
    "weights of another": ("model.weights.h5", weights_of(tiny.new_model), ""),
    "weights of a CNN": ("model.weights.h5", weights_of(another_model), ""),
    "no weights": ("model.weights.h5", os.remove, "is missing: restore it"),
}
each_damage = pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
COMMANDS = (
    ["list"],
    ["train", NAME],
    ["evaluate", NAME],
    ["export", NAME, "model.keras"],
    ["explain", "picture.png", "--model", NAME],
    ["prose"],
)


@each_damage
def test_every_command_says_so_in_one_line(folder, damage, capsys):
    name, change, words = damage
    change(folder / name)
    for command in COMMANDS:
        assert command_line.main(command) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {folder}")
        assert (words or f"{name} is damaged, or another run's") in line


READERS = {
    "run.json": lambda run: run.info,
    "predictions.npz": lambda run: run.test_logits,
    "history.csv": lambda run: run.history,
    "model.weights.h5": training.load_model,
}


@each_damage
def test_notebooks_are_told_when_they_open_the_file(folder, damage):
    name, change, words = damage
    change(folder / name)
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        READERS[name](runs.read(NAME))
    assert (words or f"{name} is damaged, or another run's") in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("predictions.npz", truncate, "is damaged ("),
        ("predictions.npz", written("no archive"), "is damaged ("),
        ("predictions.npz", changed_arrays(lambda a: a.pop("test_logits")), "no test_logits"),
        ("predictions.npz", changed_arrays(out_of_range), "val_index goes from 500"),
        ("history.csv", written(""), "is damaged (No columns"),
        ("history.csv", written("epoch\n1\n2\n"), "is damaged (no column loss)"),
        ("run.json", changed_json(epochs_run=3), "has 2 rows, but by run.json the run has 3"),
    ],
)
def test_files_that_make_no_sense_are_not_vouched_for(folder, name, change, words):
    changed_json(files=None)(folder / "run.json")
    change(folder / name)
    with pytest.raises(ValueError, match="restore it, or delete") as error:
        records.vouch(runs.Run(folder))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_weights_that_fit_no_model_are_one_line_even_if_vouched_for(folder):
    another_model().save_weights(folder / "model.weights.h5")
    changed_json(files=None)(folder / "run.json")
    assert records.vouch(runs.Run(folder)) == ["digests written"]
    with pytest.raises(ValueError, match=r"weights.h5 does not hold weights of tiny: restore"):
        training.load_model(runs.read(NAME))


def test_a_damaged_archive_is_not_left_open(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez(path, a=np.arange(1000))
    truncate(path)
    with pytest.raises(ValueError, match="is damaged"):
        files.arrays(path, "restore it")
    opened = [os.readlink(f"/proc/self/fd/{fd}") for fd in _descriptors()]
    assert str(path) not in opened


def _descriptors():
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("only Linux lists a process's open files")
    return [fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]


# ---- folders


@pytest.mark.parametrize("copied", ["seed1", "seed0 2", "seed0 copy"])
def test_a_copied_folder_is_refused_by_name(folder, copied, capsys):
    shutil.copytree(folder, folder.with_name(copied))
    for command in (["list"], ["prose"]):
        assert command_line.main(command) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{copied}/run.json is the record of {NAME}/seed0: move its folder" in line
    with pytest.raises(ValueError, match="is the record of"):
        tables.all_runs()


def test_a_copy_under_another_name_is_refused(folder, capsys):
    shutil.copytree(folder, folder.parents[1] / "other" / "seed0")
    assert command_line.main(["prose"]) == 1
    assert "other/seed0/run.json is the record of" in capsys.readouterr().err


def test_list_goes_on_past_a_damaged_run(folder, capsys):
    shutil.copytree(folder, folder.with_name("seed1"))
    assert command_line.main(["list"]) == 1
    assert "seeds 0: test accuracy" in capsys.readouterr().out
    (folder / "run.json").unlink()
    assert command_line.main(["list"]) == 1
    assert capsys.readouterr().out.split() == [NAME, "damaged"]


def test_train_goes_on_past_a_damaged_run(folder, recorded_root, capsys, monkeypatch):
    (folder / "run.json").unlink()
    trained = []

    def train(experiment, seed, *arguments, **settings):
        trained.append(seed)
        return runs.Run(runs.folder(NAME, 0, recorded_root))

    monkeypatch.setattr(training, "train", train)
    assert command_line.main(["train", NAME, "--seeds", "0", "1"]) == 1
    assert trained == [1]


def test_train_removes_what_a_kill_left_beside_a_record(folder, capsys):
    runs.resume_file(folder).touch()
    assert command_line.main(["train", NAME]) == 0
    assert not runs.resume_file(folder).exists()


def test_what_editors_hide_is_no_run(folder):
    (folder.parent / ".ipynb_checkpoints").mkdir()
    (folder.parent / "seed3.writing").mkdir()
    assert [run.seed for run in runs.recorded()] == [0]


# ---- trials


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "is damaged (no mapping): restore it"),
        ("null", "is damaged (no mapping): restore it"),
        ("{", "is damaged (Expecting"),
        ('{"model": "vit"}', "is damaged (no trial)"),
    ],
)
def test_a_damaged_trial_is_named(tmp_path, text, words):
    path = runs.trial_file("vit", 3, tmp_path)
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ValueError, match=r"trial3\.json is") as error:
        runs.trials(tmp_path)
    assert words in str(error.value)


def test_a_copied_trial_is_refused(tmp_path):
    source = config.SEARCH / "vit" / "trial0.json"
    path = runs.trial_file("vit", 3, tmp_path)
    path.parent.mkdir()
    shutil.copy(source, path)
    with pytest.raises(ValueError, match=r"trial3\.json is the record of vit's trial 0: move"):
        runs.trials(tmp_path)


# ---- what is taken in from elsewhere


def test_vouch_takes_in_runs_without_digests(folder, capsys):
    before = (folder / "run.json").read_text()
    changed_json(files=None)(folder / "run.json")
    assert command_line.main(["vouch", str(config.RUNS)]) == 0
    assert capsys.readouterr().out == f"{folder}: digests written\n"
    assert (folder / "run.json").read_text() == before
    assert command_line.main(["vouch"]) == 0
    assert capsys.readouterr().out == ""


def test_vouch_does_not_vouch_anew_for_what_has_changed(folder, capsys):
    flip(folder / "predictions.npz")
    assert command_line.main(["vouch"]) == 1
    assert "predictions.npz is damaged, or another run's" in capsys.readouterr().err


def test_vouch_deletes_weights_that_are_not_kept(folder, monkeypatch):
    monkeypatch.setattr(runs.kept, "KEPT", {})
    assert records.vouch(runs.Run(folder)) == ["weights deleted"]
    assert not (folder / "model.weights.h5").exists()
    run = runs.read(NAME)
    run.check()
    assert run.weights is None


def test_weights_that_nobody_vouches_for_are_refused(folder, monkeypatch):
    content = (folder / "model.weights.h5").read_bytes()
    monkeypatch.setattr(runs.kept, "KEPT", {})
    records.vouch(runs.Run(folder))
    (folder / "model.weights.h5").write_bytes(content)
    with pytest.raises(ValueError, match=r"is unknown to the run\.json beside it: delete it"):
        training.load_model(runs.read(NAME))


# ---- tables and the weights that they come from


def test_a_table_is_stale_once_weights_are_others(folder, tmp_path):
    table = tmp_path / "table.csv"
    pd.DataFrame().to_csv(table)
    with pytest.raises(FileNotFoundError, match=r"table\.weights\.json is missing: compute"):
        records.stale(table)
    records.write_sources(table, [runs.read(NAME)])
    assert records.stale(table) == []

    info = runs.read(NAME).info
    tiny.new_model().save_weights(folder / "model.weights.h5")
    runs.write_info(folder, info)
    (reason,) = records.stale(table)
    assert reason == f"{NAME}/seed0 has other weights than those that table.csv tells of"
    shutil.rmtree(folder)
    assert records.stale(table) == [f"{NAME}/seed0 is no longer recorded"]
