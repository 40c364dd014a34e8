"""Runs on a cluster of three nodes, all on this machine and of one core at most."""

import importlib.util
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tiny

from helpers import __main__ as command_line
from helpers import config, data, experiments, training
from helpers.commands import cluster, jobs
from helpers.records import runs
from helpers.training import search

NAME = tiny.EXPERIMENT.name
PATHS = [config.ROOT / "helpers" / "tests", Path(__file__).parent / "nodes"]
NODE = {"object_store_memory": 80 * 2**20}
COMMAND = """
import sys
from pathlib import Path
import pytest, tiny
from helpers import __main__ as command_line

tiny.use(pytest.MonkeyPatch(), Path(sys.argv[1]))
sys.exit(command_line.main(sys.argv[2:]))
"""


def publish(dataset, archive):
    """Write the images as CIFAR-10's binary archive has them."""
    with tarfile.open(archive, "w:gz") as tar:
        for part in ("train", "test"):
            images, labels = (getattr(dataset, f"{key}_{part}") for key in "xy")
            pixels = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
            content = np.column_stack([labels.astype(np.uint8), pixels]).tobytes()
            member = tarfile.TarInfo(part)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


class Nodes:
    """Adds nodes to a cluster, and knows what was trained on them."""

    def __init__(self, ray_cluster, folder):
        self.cluster, self.folder = ray_cluster, folder
        self.epochs, self.wait = folder / "epochs", folder / "wait"
        self.epochs.touch()
        self.archive = folder / "archive.tar.gz"
        publish(tiny.dataset(), self.archive)
        self.running = {}

    def add(self, name, root=config.ROOT):
        path = os.pathsep.join(map(str, [root, *PATHS]))
        environment = {
            "EPOCHS": self.epochs,
            "WAIT": self.wait,
            "NODE": name,
            "ARCHIVE": self.archive,
            "CIFAR_HOME": self.folder / name,
            "PYTHONPATH": path,
        }
        self.running[name] = self.cluster.add_node(
            num_cpus=1,
            node_name=name,
            **NODE,
            env_vars={key: str(value) for key, value in environment.items()},
        )

    def kill(self, name, allow_graceful=False):
        self.cluster.remove_node(self.running.pop(name), allow_graceful)

    @contextmanager
    def meanwhile(self, is_so, do=lambda: None):
        """Beside the block, holds runs in their second epoch until it is so, and does it."""

        def follow():
            try:
                until(is_so)
                do()
            except BaseException as error:
                failed.append(error)
            finally:
                self.wait.unlink()

        failed = []
        self.wait.touch()
        thread = threading.Thread(target=follow)
        thread.start()
        try:
            yield
        finally:
            thread.join()
            if failed:
                raise failed[0]

    def begun(self):
        """Seed, epoch and node of each epoch that was begun, in their order."""
        lines = map(str.split, self.epochs.read_text().splitlines())
        return [(int(seed), int(epoch), node) for seed, epoch, node, _ in lines]

    def train(self, *seeds, storage=None):
        """The command in this process; gives its exit status."""
        return command_line.main(self.arguments(*seeds, storage=storage))

    def arguments(self, *seeds, storage=None):
        arguments = ["train", NAME, "--seeds", *map(str, seeds), "--cluster", self.cluster.address]
        return arguments if storage is None else [*arguments, "--storage", str(storage)]


@pytest.fixture(scope="module")
def head():
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        settings = NODE | {"num_cpus": 0, "include_dashboard": False}
        started = Cluster(initialize_head=True, head_node_args=settings)
        yield started
        started.shutdown()


@pytest.fixture
def nodes(head, empty_study, tmp_path_factory, monkeypatch):
    """Node `a` of the tiny study; the working folder, which Ray puts on its path, holds nothing."""
    folder = tmp_path_factory.mktemp("nodes")
    monkeypatch.chdir(folder)
    found = Nodes(head, folder)
    found.add("a")
    yield found
    for name in list(found.running):
        found.kill(name, allow_graceful=True)  # or the next test would find it not dead yet


@pytest.fixture(scope="module")
def trained_here(tmp_path_factory):
    """A function that gives the run of a seed, trained in this process."""
    root = tmp_path_factory.mktemp("here")

    def run(seed):
        target = runs.folder(NAME, seed, root)
        return runs.Run(target) if target.exists() else training.train(tiny.EXPERIMENT, seed, root)

    return run


def until(is_so):
    end = time.monotonic() + 100
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def errors(captured):
    """The lines of errors on standard error, where Ray prints, too."""
    return [line for line in captured.err.splitlines() if line.startswith("error:")]


def assert_same(run, other):
    """The same run, times aside; sums go by the number of threads."""
    histories = (each.history.drop(columns="seconds") for each in (run, other))
    pd.testing.assert_frame_equal(*histories, rtol=1e-4)
    np.testing.assert_allclose(run.test_logits, other.test_logits, atol=0.01)
    np.testing.assert_array_equal(run.val_index, other.val_index)
    different = {
        "seconds_training",
        "images_per_second",
        "hardware",
        "files",
        "alone",
        "data_sha256",
    }
    different |= {"validation", "test"}  # of those logits
    kept = ({k: v for k, v in each.info.items() if k not in different} for each in (run, other))
    assert next(kept) == next(kept)
    assert run.info["files"].keys() == other.info["files"].keys()


def test_runs_on_two_nodes_are_recorded_as_they_are_here(nodes, tmp_path, trained_here, capsys):
    """A third node, with other code, is refused by name."""
    ignored = shutil.ignore_patterns("tests", "__pycache__")
    other = tmp_path / "other"
    shutil.copytree(config.ROOT / "helpers", other / "helpers", ignore=ignored)
    with open(other / "helpers" / "config.py", "a") as file:
        file.write("# another line\n")
    nodes.add("old", other)
    nodes.add("b")
    with nodes.meanwhile(lambda: len(nodes.begun()) == 4):  # both are in their second epoch
        assert nodes.train(0, 1, 2) == 0
    captured = capsys.readouterr()
    [refusal] = errors(captured)
    assert refusal.startswith("error: node old on ")
    assert "has other code in helpers" in refusal
    out = captured.out
    assert "no node is left" not in out
    for seed in range(3):
        run = runs.read(NAME, seed)
        run.check()
        assert_same(run, trained_here(seed))
        assert run.info["hardware"]["cores"] == 1
        assert f"{NAME} seed {seed}: recorded, epoch {run.info['best_epoch']}, " in out
    assert "2 of 3 runs left, at this rate until " in out
    assert sorted({node for _, _, node in nodes.begun()}) == ["a", "b"]
    assert all((nodes.folder / name / "cifar10.npz").exists() for name in "ab")  # fetched there
    assert len(nodes.begun()) == 6
    assert nodes.train(0, 1, 2) == 0
    assert capsys.readouterr().out.count("recorded already") == 3

    arguments = [*nodes.arguments(3), "--cpus-per-run", "2"]
    assert command_line.main(arguments) == 1
    text = "error: no node of this cluster can take a run of 2 CPU with this code"
    assert errors(capsys.readouterr()) == [text]


@pytest.mark.parametrize("is_shared", [True, False])
def test_the_run_of_a_node_that_dies_ends_on_another(nodes, tmp_path, trained_here, is_shared):
    storage = tmp_path / "storage" if is_shared else None
    nodes.add("b")

    def kill():
        _, _, name, process = nodes.epochs.read_text().splitlines()[0].split()
        nodes.kill(name)
        with suppress(ProcessLookupError):  # Ray ends it, too, but not at once
            os.kill(int(process), signal.SIGKILL)

    with nodes.meanwhile(lambda: (0, 2) in [epoch[:2] for epoch in nodes.begun()], kill):
        assert nodes.train(0, storage=storage) == 0
    begun = nodes.begun()
    first, last = begun[0][2], begun[-1][2]
    assert {first, last} == {"a", "b"}
    again = [] if is_shared else [(0, 1, last)]
    assert begun == [(0, 1, first), (0, 2, first), *again, (0, 2, last)]
    assert_same(runs.read(NAME), trained_here(0))
    if is_shared:
        assert not [path for path in storage.rglob("*") if path.suffix in (".json", ".npz")]


def test_a_command_that_is_killed_goes_on_when_it_is_started_again(
    nodes, empty_study, tmp_path, trained_here, capsys
):
    storage = tmp_path / "storage"
    runs.write_copy(trained_here(0))
    command = [sys.executable, "-c", COMMAND, empty_study]
    command += nodes.arguments(0, 1, 2, storage=storage)
    paths = os.pathsep.join(map(str, [config.ROOT, PATHS[0]]))
    log = (tmp_path / "log").open("w")
    nodes.wait.touch()
    with (
        log,
        subprocess.Popen(
            command, stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": paths}
        ) as process,
    ):
        try:
            until(lambda: (1, 2, "a") in nodes.begun())
        finally:
            process.kill()
            nodes.wait.unlink()
            print((tmp_path / "log").read_text())
    assert nodes.train(0, 1, 2, storage=storage) == 0
    assert f"{NAME} seed 0: recorded already" in capsys.readouterr().out
    begun = [(seed, epoch) for seed, epoch, _ in nodes.begun()]
    assert begun.count((1, 1)) == 1
    assert begun.count((1, 2)) in (1, 2)  # where its process outlived the command, it ends there
    assert [begun.count((2, epoch)) for epoch in (1, 2)] == [1, 1]
    for seed in (0, 1, 2):
        assert_same(runs.read(NAME, seed), trained_here(seed))


def test_a_trial_and_a_run_on_own_pictures_are_recorded_as_they_are_here(
    nodes, tmp_path, monkeypatch
):
    monkeypatch.setattr(config, "SEARCH", tmp_path / "search")
    command = ["search", "cnn_baseline", "--trials", "draw0_6", "--cluster", nodes.cluster.address]
    assert command_line.main(command) == 0
    come_back = runs.read_trial("cnn_baseline", "draw0_6")
    here = search.run_trial("cnn_baseline", "draw0_6", tmp_path / "search_here")
    histories = [pd.DataFrame(each["history"]) for each in (come_back, here)]
    pd.testing.assert_frame_equal(*(h.drop(columns="seconds") for h in histories), rtol=1e-3)
    assert come_back["hardware"]["cores"] == 1

    monkeypatch.setattr(config, "OWN", tmp_path / "own")
    monkeypatch.setenv("CIFAR_HOME", str(tmp_path / "home"))
    pictures = data.load_folder(data.example_folder(tmp_path / "f", {"dog": 12, "frog": 12}))
    [experiment] = experiments.own.experiments(pictures, ["tiny"], epochs=2)
    job = jobs.RunJob(experiment, 0, pictures_sha256=dict(pictures.sha256))
    options = SimpleNamespace(cluster=nodes.cluster.address, cpus_per_run=None, gpus_per_run=None)
    options.storage = tmp_path / "storage"
    shutil.rmtree(tmp_path / "f")  # nodes need not see it
    assert cluster.do([job], options, pictures) == 0
    run = training.own.run(experiment, 0, pictures)
    run.check()
    assert_same(run, training.train(experiment, 0, tmp_path, pictures))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no.such.host.invalid:6379"])
def test_where_no_cluster_answers_one_line_says_so(empty_study, capsys, address):
    pytest.importorskip("ray")
    assert command_line.main(["train", NAME, "--cluster", address]) == 1
    [error] = errors(capsys.readouterr())
    assert error.startswith(f"error: no Ray cluster at {address} (")


def test_without_ray_one_line_says_what_to_install(empty_study, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert command_line.main(["train", NAME, "--cluster", "local"]) == 1
    text = "error: --cluster needs Ray: run pip install -e '.[cluster]'\n"
    assert capsys.readouterr().err == text
    assert runs.recorded() == []


def test_ray_is_not_loaded_where_it_is_not_asked_for(fresh_python):
    code = """
import sys
from helpers import __main__ as command_line
try:
    command_line.main(["train", "--help"])
finally:
    assert "ray" not in sys.modules
"""
    assert "--cluster ADDRESS" in fresh_python(code).stdout
