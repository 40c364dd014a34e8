"""What `--cluster` does without a cluster: records that come back, storages, options."""

import json
import os
import pickle
import socket
import threading
import time
from contextlib import nullcontext
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest
import tiny

from helpers import __main__ as command_line
from helpers import config, training
from helpers.commands import cluster, jobs, nodes
from helpers.experiments import search
from helpers.records import provenance, runs

NAME, CODE = tiny.EXPERIMENT.name, provenance.code_sha256()
JOB = jobs.RunJob(tiny.EXPERIMENT, 0)
INFO = f"{NAME}/seed0/run.json"
LONGER = replace(tiny.EXPERIMENT, settings=replace(tiny.EXPERIMENT.settings, epochs=3))
OTHERS = {
    "another recipe": {"config": LONGER.config},
    "another backend": {"backend": "none"},
    "other code": {"code_sha256": "1"},
}
ANY = {"CPU": 1, "GPU": 0}
OPTIONS = SimpleNamespace(
    cluster="there:1", cpus_per_run=None, gpus_per_run=None, storage=None, devices=1, jobs=None
)


def changed(content, **others):
    """The content of a run's files, with other values in its `run.json`."""
    info = json.loads(content[INFO]) | others
    return content | {INFO: json.dumps(info).encode()}


def packed(run):
    return jobs.packed(replace(JOB, seed=run.seed), run.folder.parents[3])


class Lost(Exception):
    """As Ray's errors, which are no RuntimeError either."""


class FakeRay:
    """Hands back, a run at a look, what `run.json` of seed 0 makes of each seed."""

    exceptions = SimpleNamespace(RayError=Lost)

    def __init__(self, content):
        self.content, self.most, self.looks, self.error = content, 0, 0, None

    def remote(self, **settings):
        return lambda task: self

    def options(self, label_selector):
        task = SimpleNamespace()
        task.remote = lambda job, _: pickle.loads(job).seed  # which stands for the task
        return task

    def wait(self, references, timeout):
        if self.error:
            raise self.error
        self.most = max(self.most, len(references))
        return references[:1], references[1:]

    def get(self, seed):
        content = changed(self.content, seed=seed)
        return "node", "", {k.replace("seed0", f"seed{seed}"): v for k, v in content.items()}

    def put(self, pictures):
        return pictures

    def nodes(self):
        self.looks += 1
        return [] if self.looks in (2, 3) else [{"Alive": True, "NodeID": "node", "Resources": ANY}]

    def cluster_resources(self):
        return ANY


@pytest.fixture
def here(recorded_root):
    """The run of seed 0, trained here."""
    return runs.Run(runs.folder(NAME, 0, recorded_root))


@pytest.fixture
def fake(empty_study, here, monkeypatch):
    monkeypatch.setattr(cluster, "LOOK", 0)
    monkeypatch.setattr(cluster._Driver, "_refuse_others", lambda self: None)
    ray = FakeRay(packed(here))
    monkeypatch.setattr(cluster, "_connected", lambda address: nullcontext(ray))
    return ray


@pytest.mark.parametrize("file", ["history.csv", "predictions.npz", "run.json"])
def test_what_comes_back_damaged_is_not_recorded(empty_study, here, file):
    content = packed(here)
    path = f"{NAME}/seed0/{file}"
    content[path] = content[path][:-30]
    with pytest.raises(ValueError, match=f"{file} is damaged"):
        jobs.take_in(JOB, content, CODE)
    other = {key.replace("seed0", "seed1"): value for key, value in packed(here).items()}
    with pytest.raises(ValueError, match="is the record of"):
        jobs.take_in(replace(JOB, seed=1), other, CODE)
    assert list(empty_study.rglob("*.*")) == []


@pytest.mark.parametrize("other", OTHERS)
def test_what_comes_back_trained_otherwise_is_not_recorded(empty_study, here, other):
    content = changed(packed(here), **OTHERS[other])
    with pytest.raises(ValueError, match=f"trained with {other}"):
        jobs.take_in(JOB, content, CODE)
    assert list(empty_study.rglob("*.*")) == []


@pytest.mark.parametrize("other", [None, *OTHERS])
def test_what_a_storage_holds_is_given_back_where_it_was_asked_for(
    tmp_path, here, monkeypatch, other
):
    trained = []

    def train(experiment, seed, root, **settings):
        trained.append(seed)
        return runs.write_copy(here, root)

    whole = packed(here)
    left = runs.write_copy(here, tmp_path)
    content = changed(whole, **OTHERS.get(other, {}))
    (left.folder / "run.json").write_bytes(content[INFO])
    monkeypatch.setattr(training, "train", train)
    found = nodes.train(JOB, str(tmp_path))
    assert found == (whole if other else content)
    assert trained == ([0] if other else [])


def test_a_run_that_float32_or_other_code_began_is_what_was_asked_for(recorded_root, monkeypatch):
    info = runs.Run(JOB.target(recorded_root)).info
    monkeypatch.setattr(runs.Run, "info", info)

    def otherwise(job=JOB):
        return job.otherwise(recorded_root, CODE)

    settings = replace(tiny.EXPERIMENT.settings, precision="float32")
    info["config"] |= {"precision": "float32"}
    assert otherwise(replace(JOB, experiment=replace(tiny.EXPERIMENT, settings=settings))) == ""
    assert otherwise() == ""
    del info["code_sha256"]  # as old records
    assert otherwise() == "other code"
    info["code_sha256"] = f"1, then {CODE}"
    assert otherwise() == ""
    pictures = info["data_sha256"]
    assert otherwise(replace(JOB, pictures_sha256=pictures)) == ""
    assert otherwise(replace(JOB, pictures_sha256=pictures | {"x": "1"})) == "other pictures"


def test_a_run_that_another_process_trains_is_waited_for(tmp_path, here, capsys):
    root = tmp_path / "storage"
    target = runs.folder(NAME, 0, root)
    with runs.sole_writer(target):
        waiting = threading.Thread(target=lambda: content.update(nodes.train(JOB, str(root))))
        content = {}
        waiting.start()
        end = time.monotonic() + 20
        while "another process is training" not in capsys.readouterr().out:
            assert time.monotonic() < end
            time.sleep(0.02)
        runs.write_copy(here, root)
    waiting.join(20)
    assert content == packed(here)


def test_a_storage_keeps_nothing_that_is_recorded(empty_study, tmp_path, here):
    root = cluster._root(tmp_path / "storage")
    left = runs.write_copy(here, root)
    assert cluster._root(tmp_path / "storage") == root
    assert left.folder.exists()
    runs.write_copy(here)
    history = runs.folder(NAME, 0) / "history.csv"
    text = history.read_text()
    history.write_text("damaged")
    cluster._root(tmp_path / "storage")
    assert left.folder.exists()
    history.write_text(text)
    with runs.locked(left.folder):
        cluster._root(tmp_path / "storage")
    assert left.folder.exists()
    cluster._root(tmp_path / "storage")
    assert not left.folder.exists()


def test_a_node_has_to_see_what_this_machine_writes_to_the_storage(tmp_path):
    mark = tmp_path / "storage" / "mark"
    mark.parent.mkdir()
    objection = nodes.check(CODE, str(mark))
    assert objection() == f"does not see the files of this machine in {mark.parent}"
    mark.mkdir()
    assert objection() == ""


def test_a_run_without_a_gpu_sees_none():
    assert cluster._environment(2, 0)["CUDA_VISIBLE_DEVICES"] == "-1"
    assert "CUDA_VISIBLE_DEVICES" not in cluster._environment(2, 0.5)
    assert cluster._environment(2, 0)["OMP_NUM_THREADS"] == "2"


def test_runs_are_locked_some_at_a_time_and_wait_for_nodes(fake, capsys):
    todo = [replace(JOB, seed=seed) for seed in range(20)]
    jobs.take_in(todo[3], fake.get(3)[2], CODE)
    with runs.sole_writer(runs.folder(NAME, 5)):
        assert cluster.train(todo, OPTIONS) == 1
    assert fake.most == 16
    assert [run.seed for run in runs.recorded()] == sorted({*range(20)} - {5})
    captured = capsys.readouterr()
    assert f"{NAME} seed 3: recorded already" in captured.out
    assert captured.out.count("no node is left that can take a run: waiting for one\n") == 1
    assert captured.err.startswith("error: another process is training ")
    assert captured.err.count("\n") == 1


def test_trials_come_back_as_they_were_recorded(empty_study, tmp_path, monkeypatch):
    monkeypatch.setattr(config, "SEARCH", tmp_path / "here")
    job, there = jobs.TrialJob("vit", "draw3_6"), tmp_path / "there"
    record = {
        "model": "vit",
        "trial": "draw3_6",
        "config": search.settings("vit", "draw3_6"),
        "backend": os.environ["KERAS_BACKEND"],
        "code_sha256": CODE,
        "history": [{"val_accuracy": value} for value in (0.3, 0.5)],
        "training_flops": 1,
    }
    record["config"] = asdict(record["config"])
    runs.write_trial(record, there / jobs.TRIALS)
    content = jobs.packed(job, there)
    line = "vit trial draw3_6: recorded, validation accuracy 0.5000"
    assert jobs.take_in(job, content, CODE) == line
    assert job.target().read_bytes() == job.target(there).read_bytes()
    assert [here for _, here in jobs.found(there)] == [job.target()]

    job.target().unlink()
    for other in ({"code_sha256": "1"}, {"backend": "none"}, {"config": {}}, {"history": None}):
        runs.write_trial(record | other, there / jobs.TRIALS)
        with pytest.raises(ValueError, match=r"trained with|is damaged"):
            jobs.take_in(job, jobs.packed(job, there), CODE)
    with pytest.raises(ValueError, match="is the record of"):
        jobs.take_in(
            jobs.TrialJob("cct", "draw3_6"),
            {"search/cct/draw3_6.json": content["search/vit/draw3_6.json"]},
            CODE,
        )
    assert not job.target().exists()


def test_a_storage_that_does_not_let_go_hides_no_record(fake, tmp_path):
    """There is nothing to remove in it."""
    options = SimpleNamespace(**vars(OPTIONS) | {"storage": tmp_path / "storage"})
    assert cluster.train([JOB], options) == 0
    assert [run.seed for run in runs.recorded()] == [0]
    assert [path.name for path in (tmp_path / "storage").iterdir()] == ["under_way"]
    assert list((tmp_path / "storage" / "under_way").iterdir()) == []


def test_a_cluster_that_is_lost_is_one_line(fake):
    fake.error = Lost("its head\nis dead")
    with pytest.raises(ConnectionError, match=r"at there:1 is lost \(its head is dead\): start"):
        cluster.train([JOB], OPTIONS)


def test_a_node_that_ray_has_forgotten_is_refused_by_its_number(fake, capsys):
    cluster._Driver(fake, OPTIONS, None, None)._refuse("123", "has other code")
    assert capsys.readouterr().err == "error: node 123 is left out: it has other code\n"


@pytest.mark.parametrize("command", [["train", NAME], ["search"], ["study", "none"]])
@pytest.mark.parametrize(
    "options",
    ["--storage x", "--cpus-per-run 1", "--gpus-per-run 0", "--cluster local --jobs 1"],
)
def test_options_that_would_be_ignored_are_refused(empty_study, capsys, command, options):
    if command[0] == "study" and "--jobs" in options:
        return  # it has no such option
    assert command_line.main([*command, *options.split()]) == 1
    named = options.split()[-2]
    assert capsys.readouterr().err.startswith(f"error: {named} is for ")
    assert list(empty_study.iterdir()) == []


def test_an_address_may_have_brackets(monkeypatch):
    asked = []
    connection = SimpleNamespace(close=lambda: None)
    monkeypatch.setattr(
        socket, "create_connection", lambda where, timeout: asked.append(where) or connection
    )
    cluster._require_answer("[::1]:6379")
    assert asked == [("::1", 6379)]
