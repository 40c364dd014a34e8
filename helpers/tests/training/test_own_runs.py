"""Runs on a user's own pictures: recorded, found by name, read again, refused when they are old."""

import shutil

import numpy as np
import pytest
import tiny
from PIL import Image

from helpers import __main__ as command_line
from helpers import config, data, experiments, models, training
from helpers.backend import keras
from helpers.models import lite
from helpers.records import runs
from helpers.results import own


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A folder of pictures and its recorded runs, two seeds of the tiny model."""
    root = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        use(patch, root)
        folder = data.example_folder(root / "pictures" / "f", {"dog": 8, "frog": 12})
        pictures = data.load_folder(folder)
        (one,) = experiments.own.experiments(pictures, ["tiny"], epochs=2, class_weights="never")
        found = [training.own.run(one, seed, pictures) for seed in (0, 1)]
    return root, folder, pictures, one, found


def use(patch, root):
    patch.setattr(config, "OWN", root / "results")
    patch.setenv("CIFAR_HOME", str(root / "home"))
    patch.setitem(models.BUILDERS, "tiny", tiny.model)


@pytest.fixture
def study(recorded, monkeypatch):
    use(monkeypatch, recorded[0])
    return recorded[1:]


def test_runs_are_recorded_beside_the_study_with_labels_and_weights(study):
    _, pictures, _, (run, _) = study
    assert run.name == "own-f/tiny/few_2_epochs"
    assert run.folder == config.OWN / "f/runs/own-f/tiny/few_2_epochs/seed0"
    split = data.prepare("own-f", 0, pictures)
    assert run.test_labels.tolist() == split.data.y_test.tolist()
    assert run.val_labels.tolist() == split.y_val.tolist()
    assert run.info["classes"] == ["dog", "frog"]
    logits = training.predict_logits(training.load_model(run), split.data.x_test)
    assert np.allclose(logits, run.test_logits, atol=0.01)
    assert run.folder not in [other.folder for other in runs.found("*")]


def test_a_recorded_run_is_read(study, monkeypatch):
    _, pictures, one, (run, _) = study
    monkeypatch.setattr(training.own.recording, "train", None)
    assert training.own.run(one, 0, pictures).folder == run.folder


def test_an_interrupted_run_goes_on(study, monkeypatch, capsys):
    _, pictures, one, _ = study
    with tiny.interrupted_after_each_epoch(monkeypatch), pytest.raises(KeyboardInterrupt):
        training.own.run(one, 5, pictures)
    assert training.own.run(one, 5, pictures).info["epochs_run"] == 2
    assert "epoch 1/2" not in capsys.readouterr().out.partition("epoch 2/2")[2]


def test_other_pictures_are_noticed(study):
    folder, _, one, _ = study
    file = folder / "dog" / "more.png"
    Image.new("RGB", (32, 32)).save(file)
    try:
        changed = data.load_folder(folder)
        for refused in (
            lambda: training.own.run(one, 0, changed),
            lambda: training.own.require_same(changed),
        ):
            with pytest.raises(
                ValueError, match=r"on other pictures than .*; delete .*/results/f "
            ):
                refused()
        training.own.require_same(data.load_folder(folder, 64))  # of which there are no runs
    finally:
        file.unlink()


def test_a_half_trained_run_does_not_go_on_with_other_pictures(study, tmp_path, monkeypatch):
    folder, pictures, one, _ = study
    with tiny.interrupted_after_each_epoch(monkeypatch), pytest.raises(KeyboardInterrupt):
        training.own.run(one, 6, pictures)
    other = shutil.copytree(folder, tmp_path / folder.name)  # of the same name and numbers
    Image.new("RGB", (32, 32)).save(other / "dog" / "000.png")
    with pytest.raises(ValueError, match="or other training images: delete it to start over"):
        training.own.run(one, 6, data.load_folder(other))


def test_commands_know_them_by_name(study, tmp_path, capsys):
    _, _, _, (run, _) = study
    assert command_line.main(["list", "own-f/*"]) == 0
    assert capsys.readouterr().out.startswith("own-f/tiny/few_2_epochs")
    assert command_line.main(["evaluate", "own-f/*/few*"]) == 0
    assert f"accuracy {run.info['test']['accuracy']:.4f}" in capsys.readouterr().out
    file = tmp_path / "model.keras"
    assert command_line.main(["export", run.name, str(file)]) == 0
    assert "gives logits (N, 2), dog, frog" in capsys.readouterr().out
    for command in ("list", "evaluate", "export", "explain"):
        name = {"explain": ["a.png", "--model", "own-none/*"], "export": ["own-none/*", str(file)]}
        assert command_line.main([command, *name.get(command, ["own-none/*"])]) == 1
        assert "study FOLDER records some, and list 'own-*' shows" in capsys.readouterr().err
    assert command_line.main(["export", run.name, str(file), "--seed", "9"]) == 1
    assert "study FOLDER --seeds 9" in capsys.readouterr().err


def test_tables_show_each_seed_and_guessing(study):
    _, _, _, found = study
    table = own.scores(found, guess=1)
    assert table.index.tolist() == ["tiny", "guessing frog"]
    accuracies = [run.info["test"]["accuracy"] for run in found]
    assert table.loc["tiny", ["seed 0", "seed 1"]].tolist() == accuracies
    assert table.loc["tiny", "accuracy"] == pytest.approx(np.mean(accuracies))
    labels = found[0].test_labels
    assert table.loc["guessing frog", "seed 0"] == (labels == 1).mean()
    assert table.loc["guessing frog", "macro recall"] == 0.5
    assert own.recalls(found).loc["tiny"].mean() == pytest.approx(table.loc["tiny", "macro recall"])


def test_the_pretrained_network_is_recorded_and_explained(study, tmp_path, capsys, monkeypatch):
    folder, _, _, _ = study
    monkeypatch.setattr(lite, "_load_imagenet", lambda body: None)
    monkeypatch.setattr(lite, "STAGES", lite.STAGES[:1])  # fast
    run, weighted = training.own.pretrained(folder, [0], (False, True), size=32)
    assert run.name == "own-f/efficientnet_lite0/linear"
    assert weighted.name == "own-f/efficientnet_lite0/linear_weighted"
    test = data.prepare("own-f", 0, data.load_folder(folder, 32)).data.x_test
    logits = training.predict_logits(training.load_model(run), test)
    assert np.allclose(logits, run.test_logits, atol=0.02)
    drawing = tmp_path / "drawing.png"
    arguments = ["--model", run.name, "--label", "frog", "--file", str(drawing)]
    assert command_line.main(["explain", str(folder / "dog" / "000.png"), *arguments]) == 0
    assert "maps for frog" in capsys.readouterr().out
    assert drawing.exists()
    monkeypatch.setattr(models, "build", None)
    assert training.own.pretrained(folder, [0], size=32)[0].folder == run.folder


@pytest.mark.parametrize(("name", "parts"), [("whole", [""]), ("parted", ["train", "val"])])
def test_the_pretrained_network_sees_pictures_in_blocks_as_it_sees_all(
    study, tmp_path, monkeypatch, name, parts
):
    monkeypatch.setattr(lite, "_load_imagenet", lambda body: None)
    monkeypatch.setattr(lite, "STAGES", lite.STAGES[:1])  # fast
    monkeypatch.setattr(data.folders, "BLOCK", 7)
    folder = tmp_path / name
    for part in parts:
        data.example_folder(folder / part, {"dog": 10, "frog": 12})
    keras.utils.set_random_seed(0)
    (run,) = training.own.pretrained(folder, [3], size=32)

    pictures = data.load_folder(folder, 32)
    assert run.info["data_sha256"] == pictures.sha256
    split = data.prepare(pictures.name, 3, pictures)
    keras.utils.set_random_seed(0)
    model = models.build("efficientnet_lite0", 2, size=32, pretrained=True)
    of_train = training.features(model, pictures.x_train)
    x, x_val = of_train[split.train_index], of_train[split.val_index]
    training.linear_head(model, x, split.y_train, x_val, split.y_val)
    for logits, labels, images, expected in (
        (run.test_logits, run.test_labels, split.data.x_test, split.data.y_test),
        (run.val_logits, run.val_labels, split.x_val, split.y_val),
    ):
        np.testing.assert_array_equal(labels, expected)
        np.testing.assert_allclose(
            logits, training.predict_logits(model, images), rtol=2e-3, atol=1e-4
        )


def test_a_recorded_run_of_the_pretrained_network_notices_other_pictures(
    study, tmp_path, monkeypatch
):
    monkeypatch.setattr(lite, "_load_imagenet", lambda body: None)
    monkeypatch.setattr(lite, "STAGES", lite.STAGES[:1])  # fast
    folder = data.example_folder(tmp_path / "changing", {"dog": 8, "frog": 8})
    training.own.pretrained(folder, [0], size=32)
    Image.new("RGB", (32, 32)).save(folder / "dog" / "000.png")
    with pytest.raises(ValueError, match="was recorded on other pictures than"):
        training.own.pretrained(folder, [0, 1], size=32)
