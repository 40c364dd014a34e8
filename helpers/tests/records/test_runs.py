"""Recorded runs: whole or not at all, read back as written."""

import numpy as np
import pandas as pd
import pytest

from helpers.records import contents, digests, kept, runs

NAME = "cifar10/tiny/fast"
HISTORY = pd.DataFrame({"epoch": [1, 2], **{key: [0.1, 0.25] for key in contents.COLUMNS[1:]}})
PREDICTIONS = {
    "test_logits": np.array([[0.5, -1.25], [3.0, 0.0]], np.float16),
    "val_logits": np.array([[1.0, 2.0]], np.float16),
    "val_index": np.array([7], np.int32),
}


def info(name=NAME, seed=0):
    data, model, recipe = name.split("/")
    scores = dict.fromkeys(contents.SCORES, 0.5)
    return {
        "data": data,
        "model": model,
        "recipe": recipe,
        "seed": seed,
        "backend": "none",
        "config": {"augmentation": {}},
        "parameters": 7,
        "macs": 5,
        "epochs_run": 2,
        "best_epoch": 2,
        "seconds_training": 3.0,
        "images_per_second": 9.5,
        "versions": {},
        "hardware": {},
        "code_version": "abc",
        "validation": scores,
        "test": scores,
    }


@pytest.fixture(autouse=True)
def weights_of_seed_0_are_kept(monkeypatch):
    monkeypatch.setattr(kept, "KEPT", {"*": (0,)})


def save_weights(path, size=10):
    path.write_bytes(bytes(size))


def write(root, name=NAME, seed=0, save=save_weights):
    return runs.write(info(name, seed), HISTORY, PREDICTIONS, save, root)


def test_what_is_written_is_read(tmp_path):
    write(tmp_path)
    run = runs.read(NAME, 0, tmp_path)
    names = ("history.csv", "predictions.npz", "model.weights.h5")
    assert run.info == info() | {"files": {name: digests.of(run.folder / name) for name in names}}
    assert (run.name, run.seed) == (NAME, 0)
    pd.testing.assert_frame_equal(run.history, HISTORY)
    assert run.test_logits.tolist() == [[0.5, -1.25], [3.0, 0.0]]
    assert run.val_logits.tolist() == [[1.0, 2.0]]
    assert run.val_index.tolist() == [7]
    assert run.test_logits.dtype == np.float32
    assert run.weights.read_bytes() == bytes(10)


def test_files_lie_where_the_design_says(tmp_path):
    write(tmp_path)
    folder = tmp_path / "cifar10" / "tiny" / "fast" / "seed0"
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.csv",
        "model.weights.h5",
        "predictions.npz",
        "run.json",
    ]


def test_failed_record_leaves_no_run(tmp_path):
    def disk_full(path):
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        write(tmp_path, save=disk_full)
    assert not runs.folder(NAME, 0, tmp_path).exists()
    assert runs.recorded(root=tmp_path) == []
    with pytest.raises(FileNotFoundError):
        runs.read(NAME, 0, tmp_path)

    write(tmp_path)  # and it can be recorded after all
    assert [run.seed for run in runs.recorded(root=tmp_path)] == [0]


def test_a_recorded_run_is_not_overwritten(tmp_path):
    write(tmp_path)
    with pytest.raises(FileExistsError, match="delete it to record it anew"):
        write(tmp_path)


def test_missing_run_says_how_to_record_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"python -m helpers train {NAME} --seeds 3"):
        runs.read(NAME, 3, tmp_path)


def test_weights_are_kept_where_the_table_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "KEPT", {"cifar10/tiny/f*": (0, 2), "*/vit/*": (1,)})
    found = [write(tmp_path, seed=seed).weights is not None for seed in range(4)]
    assert found == [True, False, True, False]
    assert write(tmp_path, "cifar100/vit/short", 1).weights is not None
    without = write(tmp_path, "cifar100/vit/short", 0)
    with pytest.raises(FileNotFoundError, match="cifar100/vit/short seed 0 keeps no weights: use"):
        without.require_weights()


def test_recorded_runs_are_found_by_pattern_and_sorted(tmp_path):
    for name, seed in (
        ("cifar10/vit/short", 10),
        ("cifar10/vit/short", 2),
        ("cifar10/cct/short", 0),
        ("cifar100/cct/published", 0),
    ):
        write(tmp_path, name, seed)
    found = [(run.name, run.seed) for run in runs.recorded("*/short", tmp_path)]
    assert found == [
        ("cifar10/cct/short", 0),
        ("cifar10/vit/short", 2),
        ("cifar10/vit/short", 10),
    ]
    assert len(runs.recorded(root=tmp_path)) == 4
    assert runs.recorded("cifar10/resnet18/*", tmp_path) == []


def test_no_folder_of_runs_is_no_error(tmp_path):
    assert runs.recorded(root=tmp_path / "nothing") == []


def test_training_in_progress_is_no_run(tmp_path):
    folder = runs.folder(NAME, 0, tmp_path).parent
    folder.mkdir(parents=True)
    (folder / "seed0.lock").touch()
    (folder / "seed0.resume.npz").touch()
    assert runs.recorded(root=tmp_path) == []


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("run.json", lambda run: run.info),
        ("predictions.npz", lambda run: run.test_logits),
        ("history.csv", lambda run: run.history),
        ("model.weights.h5", lambda run: run.weights),
    ],
)
def test_a_damaged_record_is_named(tmp_path, name, read):
    run = write(tmp_path)
    (run.folder / name).write_bytes((run.folder / name).read_bytes()[:5])
    with pytest.raises(ValueError, match=rf"{name} is damaged.*restore it, or delete .*seed0"):
        read(runs.read(NAME, 0, tmp_path))
