"""The command line: what it prints, and its exit status."""

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

from helpers import __main__ as command_line
from helpers import backend, config, data, experiments, explain, training
from helpers.backend import keras
from helpers.commands import side_by_side
from helpers.experiments import table
from helpers.explain import gradients
from helpers.records import runs
from helpers.training import search

NAME = tiny.EXPERIMENT.name


def main(*arguments):
    return command_line.main(list(map(str, arguments)))


def test_list_says_what_is_recorded(study, capsys):
    assert main("list") == 0
    info = runs.read(NAME).info
    accuracy, seconds = info["test"]["accuracy"], info["seconds_training"]
    took = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"
    expected = f"seeds 0: test accuracy {accuracy:.4f}, a run took {took}\n"
    assert capsys.readouterr().out.split(maxsplit=1) == [NAME, expected]


def test_list_estimates_what_is_missing(empty_study, capsys, monkeypatch):
    monkeypatch.setattr(training, "estimate_seconds", lambda experiment: 1234)
    assert main("list", "cifar10/*") == 0
    text = "missing: about 21 minutes a run here\n"
    assert capsys.readouterr().out.split(maxsplit=1) == [NAME, text]


def test_interrupted_training_goes_on_and_is_recorded(empty_study, capsys, monkeypatch):
    with tiny.interrupted_after_each_epoch(monkeypatch):
        assert main("train", "cifar10/tiny/*", "--seeds", 3) == 130
    assert "goes on from the last epoch" in capsys.readouterr().err
    assert runs.recorded() == []

    assert main("train", "cifar10/tiny/*", "--seeds", 3) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{NAME} seed 3, float32: epoch 2/2 ")
    run = runs.read(NAME, 3)
    accuracy = run.info["test"]["accuracy"]
    best = run.info["best_epoch"]
    assert f"{NAME} seed 3: recorded, epoch {best}, test accuracy {accuracy:.4f}" in last


def test_train_leaves_recorded_runs_alone(study, capsys):
    assert main("train", NAME) == 0
    assert capsys.readouterr().out == f"{NAME} seed 0: recorded already\n"


def test_evaluate_prints_the_recorded_scores(study, capsys, monkeypatch):
    dataset = tiny.dataset()
    labels = dataset.y_train, dataset.y_test
    monkeypatch.setattr(data, "official_labels", lambda name: labels)
    assert main("evaluate", NAME) == 0
    out = capsys.readouterr().out
    for part in ("validation", "test"):
        for key, value in runs.read(NAME).info[part].items():
            assert f"{key} {value:.4f}" in out


def test_runs_on_cifar100_are_listed_and_evaluated_without_its_images(
    study, tmp_path, capsys, monkeypatch
):
    fine, test = data.official_labels("cifar100")
    val_index = np.arange(0, 50_000, 10)
    shares = {"val": 0.75, "test": 0.5}  # that are right
    predictions = {"val_index": val_index.astype(np.int32)}
    for part, labels in (("val", fine[val_index]), ("test", test)):
        wrong = np.arange(len(labels)) % 4 >= 4 * shares[part]
        predictions[f"{part}_logits"] = np.eye(100, dtype=np.float16)[(labels + wrong) % 100]
    run = runs.read(NAME)
    experiment = replace(tiny.EXPERIMENT, data="cifar100")
    for room in (experiments, table):
        monkeypatch.setattr(room, "EXPERIMENTS", {experiment.name: experiment})
    monkeypatch.setattr(data, "load", lambda *arguments, **settings: pytest.fail("loads images"))
    assert main("list") == 0
    assert "missing: about" in capsys.readouterr().out
    monkeypatch.setattr(config, "RUNS", tmp_path)
    info = run.info | {"data": "cifar100"}
    runs.write(info, run.history, predictions, lambda path: path.touch(), tmp_path)
    assert main("list") == 0
    assert "seeds 0: test accuracy" in capsys.readouterr().out
    assert main("evaluate", experiment.name) == 0
    out = capsys.readouterr().out
    assert "validation accuracy 0.7500" in out
    assert "test       accuracy 0.5000" in out


def test_evaluate_scores_all_that_fits_and_is_recorded(study, tmp_path, capsys, monkeypatch):
    dataset = tiny.dataset()
    monkeypatch.setattr(data, "official_labels", lambda name: (dataset.y_train, dataset.y_test))
    run = runs.read(NAME)
    predictions = {key: getattr(run, key) for key in ("val_logits", "test_logits", "val_index")}
    found = {}
    for recipe in ("fast", "again", "damaged", "missing"):
        found[f"cifar10/tiny/{recipe}"] = replace(tiny.EXPERIMENT, recipe=recipe)
    for room in (experiments, table):
        monkeypatch.setattr(room, "EXPERIMENTS", found)
    monkeypatch.setattr(config, "RUNS", tmp_path)
    for recipe in ("fast", "again"):
        info = run.info | {"recipe": recipe}
        runs.write(info, run.history, predictions, lambda path: path.touch(), tmp_path)
    assert main("evaluate", "cifar10/tiny/*") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines[::3]] == [
        "cifar10/tiny/fast seed 0",
        "cifar10/tiny/again seed 0",
    ]
    runs.folder("cifar10/tiny/damaged", 0).mkdir(parents=True)
    assert main("evaluate", "cifar10/tiny/*") == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == lines
    assert said.err.count("\n") == 1
    assert main("export", "cifar10/tiny/*", tmp_path / "tiny.keras") == 1
    assert (
        "'cifar10/tiny/*' fits 4 experiments: choose one of cifar10/tiny/fast"
        in capsys.readouterr().err
    )


def test_export_writes_a_model_that_loads(study, tmp_path, sample, capsys):
    file = tmp_path / "tiny.keras"
    assert main("export", NAME, file) == 0
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "takes pixels of 0 to 255, never scaled, uint8 or float (N, 32, 32, 3)" in said
    assert "gives logits (N, 10), airplane, automobile, bird, " in said
    assert f"from Keras {'.'.join(keras.__version__.split('.')[:2])} on" in said
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.keras"]
    with zipfile.ZipFile(file) as archive:
        assert json.loads(archive.read("classes.json")) == list(data.CIFAR10_CLASSES)
    exported = keras.models.load_model(file)
    recorded = training.load_model(runs.read(NAME))
    images = sample.x_test[:3]
    logits = recorded.predict(images, verbose=0)
    assert (exported.predict(images, verbose=0) == logits).all()
    floats = explain.with_float_input(exported)
    np.testing.assert_allclose(floats.predict(images.astype(float), verbose=0), logits, rtol=1e-5)
    ((_, gradient),) = gradients._values_and_gradients(floats, images, [0, 1, 2], of_input=True)
    assert gradient.shape == images.shape
    assert gradient.any(axis=(1, 2, 3)).all()


def test_predict_names_the_classes_of_pictures_and_goes_past_bad_ones(
    study, tmp_path, sample, capsys
):
    file, picture = tmp_path / "tiny.keras", tmp_path / "a picture.png"
    Image.fromarray(sample.x_test[0]).save(picture)
    assert main("export", NAME, file) == 0
    capsys.readouterr()
    assert main("predict", file, tmp_path / "none.png", picture) == 1
    said = capsys.readouterr()
    logits = training.predict_logits(training.load_model(runs.read(NAME)), sample.x_test[:1])
    likeliest = data.CIFAR10_CLASSES[logits.argmax()]
    assert said.out.startswith(f"{picture}: {likeliest} 0.")
    assert said.out.count("\n") == said.err.count("\n") == 1
    assert "none.png" in said.err
    picture.rename(tmp_path / "picture.keras")
    assert main("predict", tmp_path / "picture.keras", file) == 1
    assert "no model that this study exported" in capsys.readouterr().err


def test_an_export_that_fails_leaves_nothing_behind(study, tmp_path, capsys, monkeypatch):
    def full(self, path):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keras.Model, "save", full)
    assert main("export", NAME, tmp_path / "tiny.keras") == 1
    assert "No space left" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["list", "nothing/*"], "no experiment fits 'nothing/*'"),
        (["list", "own-*"], "no run fits 'own-*': python -m helpers study FOLDER"),
        (["train", "nothing"], "no experiment fits 'nothing'"),
        (["train", NAME, "--jobs", "0"], "--jobs is 0"),
        (["train", NAME, "--seeds", "1", "--devices", "0"], "--devices is 0"),
        (["train", NAME, "--seeds", "1", "--devices", "99"], "--devices is 99, but"),
        (["search", "resnet99"], "no search for resnet99: choose from cnn_baseline"),
        (["search", "--jobs", "0"], "--jobs is 0"),
        (["evaluate", "cifar10/vit/shrt"], "no experiment fits 'cifar10/vit/shrt'"),
        (["evaluate", NAME, "--seed", "7"], "python -m helpers train cifar10/tiny/fast --seeds 7"),
        (["export", NAME, "model.keras", "--seed", "7"], "--seeds 7"),
        (["export", NAME, "model.h5"], "model.h5: Keras wants a name that ends in .keras"),
    ],
)
def test_errors_are_one_line_and_exit_status_1(study, capsys, arguments, text):
    assert main(*arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert text in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", ["bench", "faithfulness", "robustness", "embedding"])
def test_long_work_does_not_begin_where_its_tables_cannot_be_written(
    tmp_path, monkeypatch, capsys, command
):
    (tmp_path / "figures").touch()  # no folder: as good as read-only, also for root
    monkeypatch.setattr(config, "FIGURES", tmp_path / "figures")
    monkeypatch.setattr(runs, "found", lambda *arguments: pytest.fail("begins"))
    assert main(command) == 1
    assert "figures cannot be written (" in capsys.readouterr().err


@pytest.mark.parametrize("seed", ["-1", "4294967296", "first"])
def test_what_is_no_seed_is_refused(capsys, seed):
    with pytest.raises(SystemExit) as exit_status:
        main("train", NAME, "--seeds", seed)
    assert exit_status.value.code == 2
    assert "argument --seeds" in capsys.readouterr().err


def test_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit) as exit_status:
        main("bake")
    assert exit_status.value.code == 2


# ---- side by side


@pytest.fixture
def children(empty_study, monkeypatch):
    """Each run's process runs this code instead; gives a list of the processes' settings."""
    started = []
    popen = subprocess.Popen

    def start(code):
        def child(command, env, **settings):
            started.append((command, env))
            return popen([sys.executable, "-c", code, command[-1]], env=env, **settings)

        monkeypatch.setattr(side_by_side.subprocess, "Popen", child)
        return started

    return start


def test_jobs_run_side_by_side_and_relay_their_lines(children, capsys):
    started = children("import sys; print('run', sys.argv[1], 'epoch 1'); print('done')")
    assert main("train", NAME, "--seeds", 0, 1, 2, "--jobs", 2) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines) == ["done"] * 3 + [f"run {seed} epoch 1" for seed in range(3)]
    commands = sorted(command[2:] for command, _ in started)
    assert commands == [["-m", "helpers", "train", NAME, "--seeds", str(k)] for k in range(3)]


def test_jobs_are_told_of_devices(children):
    started = children("")
    assert main("train", NAME, "--seeds", 0, 1, "--jobs", 2, "--devices", 4) == 0
    commands = sorted(command[4:] for command, _ in started)
    assert commands == [
        ["train", NAME, "--devices", "4", "--seeds", str(seed)] for seed in range(2)
    ]


def test_runs_over_several_devices_go_on_one_by_one(children, capsys):
    started = children("")
    assert main("train", NAME, "--seeds", 0, 1, "--devices", 99) == 1
    assert started == []
    assert capsys.readouterr().err.count("--devices is 99, but") == 2


def test_search_runs_the_trials_that_are_missing(children, monkeypatch, tmp_path):
    monkeypatch.setattr(config, "SEARCH", tmp_path / "search")
    runs.write_trial({"model": "vit", "trial": 1, "config": {}, "history": [], "training_flops": 1})
    started = children("")
    assert main("search", "vit", "cct", "--trials", 0, 1, "--jobs", 2) == 0
    commands = sorted(command[4:] for command, _ in started)
    assert commands == [
        ["search", model, "--trials", trial]
        for model, trial in (("cct", "0"), ("cct", "1"), ("vit", "0"))
    ]


def test_search_of_one_trial_says_what_came(empty_study, capsys, monkeypatch):
    history = [{"val_accuracy": value} for value in (0.3, 0.5, 0.4)]
    monkeypatch.setattr(search, "run_trial", lambda *arguments: {"history": history})
    monkeypatch.setattr(config, "SEARCH", empty_study / "search")
    assert main("search", "vit", "--trials", 7) == 0
    assert capsys.readouterr().out == "vit trial 7: recorded, validation accuracy 0.5000\n"


def test_jobs_share_the_cores(children, monkeypatch):
    monkeypatch.setattr(command_line.provenance, "cores", lambda: 8)
    started = children("")
    assert main("train", NAME, "--seeds", 0, 1, 1, "--jobs", 2) == 0
    assert len(started) == 2
    for _, environment in started:
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            assert environment[name] == "4"


def test_cores_are_those_that_the_process_may_use(monkeypatch, tmp_path):
    provenance = command_line.provenance
    monkeypatch.setattr(provenance, "CONTAINER_LIMIT", tmp_path / "none")
    monkeypatch.setattr(provenance.os, "sched_getaffinity", lambda _: {0, 2, 5}, raising=False)
    assert provenance.cores() == 3
    monkeypatch.delattr(provenance.os, "sched_getaffinity")
    monkeypatch.setattr(provenance.os, "cpu_count", lambda: 6)
    assert provenance.cores() == 6
    for limit, allowed in (("max 100000", 6), ("250000 100000", 2), ("50000 100000", 1)):
        (tmp_path / "cpu.max").write_text(limit + "\n")
        monkeypatch.setattr(provenance, "CONTAINER_LIMIT", tmp_path / "cpu.max")
        assert provenance.cores() == allowed


@pytest.mark.parametrize(
    ("processor", "has"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16", True),
        ("flags\t\t: fpu avx2 amx_bf16 amx_tile", True),
        ("Features\t: fp asimd bf16", True),
        ("model name\t: bf16x\nflags\t\t: fpu avx2 avx512f", False),
        (None, False),  # not Linux
    ],
)
def test_bfloat16_is_what_the_processor_says(processor, has, monkeypatch, tmp_path):
    monkeypatch.setattr(backend, "on_gpu", lambda: False)
    monkeypatch.setattr(command_line.provenance, "CPU_INFO", tmp_path / "cpuinfo")
    if processor:
        (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{processor}\nbugs\t\t:\n")
    assert command_line.provenance.has_bfloat16() == has
    monkeypatch.setattr(backend, "on_gpu", lambda: True)
    assert command_line.provenance.has_bfloat16()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="PyTorch has its own setting")
def test_threads_are_those_of_tensorflow_s_pool(monkeypatch):
    provenance = command_line.provenance
    monkeypatch.setattr(provenance, "cores", lambda: 5)
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")  # which it does not heed
    for setting, threads in (("3", 3), ("0", 5), ("", 5)):
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", setting)
        assert provenance.threads() == threads


def test_one_failed_run_stops_no_other(empty_study, recorded_root, capsys, monkeypatch):
    trained, recorded = [], runs.Run(runs.folder(NAME, 0, recorded_root))

    def train(experiment, seed, *arguments, **settings):
        if seed == 1:
            raise FloatingPointError("loss became nan in epoch 1: lower the learning rate")
        trained.append(seed)
        return recorded

    monkeypatch.setattr(training, "train", train)
    assert main("train", NAME, "--seeds", 0, 1, 2, "--jobs", 1) == 1
    assert trained == [0, 2]
    assert f"error: train {NAME} --seeds 1: loss became nan" in capsys.readouterr().err


def test_children_find_the_helpers_of_a_script(tmp_path, fresh_python):
    (tmp_path / "helpers.py").write_text("print('not the study')")
    code = f"""
import os, sys
os.chdir({str(tmp_path)!r})
sys.path.insert(0, {str(config.ROOT)!r})
from helpers import config
from helpers.commands import side_by_side
print(side_by_side.run([["list", "cifar10/vit/short"]] * 2, 2))
"""
    *lines, status = fresh_python(code, PYTHONPATH=None).stdout.splitlines()
    assert status == "0"
    assert [line.split()[0] for line in lines] == ["cifar10/vit/short"] * 2


@pytest.mark.parametrize(
    ("end", "text"),
    [
        ("sys.exit(143)", f"train {NAME} --seeds 1: ended by signal 15"),
        ("sys.exit(1)", ""),
        ("os.kill(os.getpid(), 9)", f"train {NAME} --seeds 1: ended by signal 9"),
    ],
)
def test_one_failed_job_fails_the_command(children, capsys, end, text):
    children(f"import os, sys; sys.argv[1] == '1' and {end}")
    assert main("train", NAME, "--seeds", 0, 1, "--jobs", 2) != 0
    assert text in capsys.readouterr().err


def test_a_foreign_repository_around_the_study_gives_no_commit(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "study").mkdir()
    monkeypatch.setattr(config, "ROOT", tmp_path / "study")
    assert command_line.provenance.code_version() == version("helpers")
