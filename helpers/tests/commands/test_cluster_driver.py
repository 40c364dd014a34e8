"""What `--cluster` does without a cluster: records that come back, storages, options."""

import importlib.util
import json
import os
import pickle
import signal
import socket
import sys
import threading
import time
from contextlib import nullcontext
from dataclasses import asdict, replace
from itertools import product
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
    with pytest.raises(ValueError, match=f"no record .*{file} is damaged.*: train it again"):
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
    found = nodes.do(JOB, str(tmp_path))
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
    info["data_sha256"] = {"images": 64 * "a"}
    assert otherwise(replace(JOB, pictures_sha256={"images": 64 * "a"})) == ""
    assert otherwise(replace(JOB, pictures_sha256={"images": 64 * "b"})) == "other pictures"


def test_a_run_that_another_process_trains_is_waited_for(tmp_path, here, capsys):
    root = tmp_path / "storage"
    target = runs.folder(NAME, 0, root)
    with runs.sole_writer(target):
        waiting = threading.Thread(target=lambda: content.update(nodes.do(JOB, str(root))))
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
        assert cluster.do(todo, OPTIONS) == 1
    assert fake.most == 16
    assert [run.seed for run in runs.recorded()] == sorted({*range(20)} - {5})
    captured = capsys.readouterr()
    assert f"{NAME} seed 3: recorded already" in captured.out
    assert captured.out.count("no node is left that can take a run: waiting for one\n") == 1
    assert captured.err.startswith("error: another process is training ")
    assert captured.err.count("\n") == 1


TRIAL = {
    "model": "vit",
    "trial": "draw3_6",
    "config": json.loads(json.dumps(asdict(search.settings("vit", "draw3_6")))),
    "backend": os.environ["KERAS_BACKEND"],
    "code_sha256": CODE,
    "history": [{"val_accuracy": value} for value in (0.3, 0.5)],
    "training_flops": 1,
}


@pytest.fixture
def trial(tmp_path, monkeypatch):
    """The job of `TRIAL`, which is recorded below the second root, as a storage."""
    monkeypatch.setattr(config, "SEARCH", tmp_path / "here")
    runs.write_trial(TRIAL, tmp_path / "there" / jobs.TRIALS)
    return jobs.TrialJob("vit", "draw3_6"), tmp_path / "there"


def test_a_trial_comes_back_as_it_was_recorded(trial):
    job, there = trial
    line = "vit trial draw3_6: recorded, validation accuracy 0.5000"
    assert jobs.take_in(job, jobs.packed(job, there), CODE) == line
    assert job.target().read_bytes() == job.target(there).read_bytes()


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({"code_sha256": "1"}, "trained with other code: train"),
        ({"backend": "none"}, "trained with another backend: train"),
        ({"config": {}}, "trained with another recipe: train"),
        ({"history": None}, r"no record \(.* is damaged \(no history\)\): train"),
        ({"trial": "draw4_6"}, r"no record \(.* is the record of vit's trial draw4_6\): train"),
    ],
)
def test_a_trial_that_comes_back_otherwise_is_not_recorded(trial, other, text):
    job, there = trial
    job.target(there).write_text(json.dumps(TRIAL | other))
    with pytest.raises(ValueError, match=text):
        jobs.take_in(job, jobs.packed(job, there), CODE)
    assert not job.target().exists()


@pytest.mark.parametrize("other", [{}, {"code_sha256": "1"}])
def test_a_trial_in_a_storage_is_given_back_where_it_was_asked_for(trial, monkeypatch, other):
    job, there = trial
    trained = []

    def run_trial(model, name, root):
        trained.append(name)
        runs.write_trial(TRIAL, root)
        return TRIAL

    runs.write_trial(TRIAL | other, there / jobs.TRIALS)
    monkeypatch.setattr("helpers.training.search.run_trial", run_trial)
    [content] = nodes.do(job, str(there)).values()
    assert json.loads(content) == TRIAL
    assert trained == ([job.trial] if other else [])


def test_a_storage_keeps_no_trials_and_no_runs_on_own_pictures_that_are_recorded(
    trial, here, tmp_path, monkeypatch
):
    monkeypatch.setattr(config, "OWN", tmp_path / "own")
    experiment = replace(tiny.EXPERIMENT, data="own-f")
    own = jobs.RunJob(experiment, 0, pictures_sha256={"images": 64 * "a"})
    info = here.info | {"data": "own-f"}
    predictions = {key: getattr(here, key) for key in ("val_logits", "test_logits", "val_index")}

    def write(root):
        runs.write(info, here.history, predictions, lambda path: path.touch(), root)

    storage = tmp_path / "storage"
    root = cluster._root(storage)
    runs.write_trial(TRIAL, root / jobs.TRIALS)
    write(own.target(root).parents[3])
    recorded = [own.target(root), trial[0].target(root)]
    cluster._root(storage)
    assert all(path.exists() for path in recorded)

    write(None)
    runs.write_trial(TRIAL)
    trial[0].target().write_text("damaged")
    cluster._root(storage)
    assert [path.exists() for path in recorded] == [False, True]
    runs.write_trial(TRIAL)
    cluster._root(storage)
    assert not recorded[1].exists()


def test_a_search_on_a_cluster_goes_from_rung_to_rung(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(config, "SEARCH", tmp_path / "search")
    monkeypatch.setattr(search, "CHOSEN", tmp_path / "matched.json")
    asked = []

    def do(todo, options):
        """The second time a job fails."""
        asked.append([job.trial for job in todo])
        for job in todo[len(asked) == 2 :]:
            accuracy = 0.1 * search.candidates().index(search.of_name(job.trial)[0])
            history = [{"val_accuracy": accuracy}]
            runs.write_trial(TRIAL | {"trial": job.trial, "history": history})
        return int(len(asked) == 2)

    monkeypatch.setattr(cluster, "do", do)
    command = ["search", "vit", "--cluster", "there:1"]
    assert command_line.main(command) == 1
    assert command_line.main(command) == 0
    best = [f"draw{n}_12" for n in (5, 6, 7)]
    assert [sorted(trials) for trials in asked[1:]] == [
        [*best, "short_12"],
        [asked[1][0]],
        ["draw7_30", "short_30"],
    ]
    assert len(asked[0]) == 9
    assert capsys.readouterr().out.endswith("vit: matched is draw7\n")


@pytest.fixture
def ray_itself(monkeypatch):
    """What is imported as Ray: it connects at once, or as a test has it."""
    module = SimpleNamespace(shutdown=lambda: None, exceptions=SimpleNamespace(RayError=Lost))
    monkeypatch.setitem(sys.modules, "ray", module)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    return module


@pytest.mark.parametrize(("address", "remedy"), [("local", "try again"), ("auto", "give the addr")])
def test_a_ray_that_does_not_start_is_one_line(ray_itself, address, remedy):
    def init(**settings):
        raise Exception("The current node timed out\nduring startup.")

    ray_itself.init = init
    text = rf"no Ray cluster at {address} \(The current node timed out during startup.\): {remedy}"
    with pytest.raises(ConnectionError, match=text), cluster._connected(address):
        pass


def test_the_signals_of_the_command_stay_its_own(ray_itself):
    """Ray puts in a handler of its own as it connects."""
    ray_itself.init = lambda **settings: signal.signal(signal.SIGTERM, signal.SIG_IGN)
    before = signal.getsignal(signal.SIGTERM)
    with cluster._connected("local"):
        assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_storage_that_does_not_let_go_hides_no_record(fake, tmp_path_factory, monkeypatch):
    remove = cluster.files.remove

    def refuse(path):
        if "under_way" in path.parts:
            refused.append(path.name)
            raise PermissionError(13, "Permission denied")
        remove(path)

    refused = []
    monkeypatch.setattr(cluster.files, "remove", refuse)
    options = SimpleNamespace(**vars(OPTIONS) | {"storage": tmp_path_factory.mktemp("storage")})
    assert cluster.do([JOB], options) == 0
    assert refused == ["seed0"]
    assert [run.seed for run in runs.recorded()] == [0]


def test_a_cluster_that_is_lost_is_one_line(fake):
    fake.error = Lost("its head\nis dead")
    with pytest.raises(ConnectionError, match=r"at there:1 is lost \(its head is dead\): start"):
        cluster.do([JOB], OPTIONS)


def test_a_node_that_ray_has_forgotten_is_refused_by_its_number(fake, capsys):
    cluster._Driver(fake, OPTIONS, None, None)._refuse("123", "has other code")
    assert capsys.readouterr().err == "error: node 123 is left out: it has other code\n"


IGNORED = ("--storage x", "--cpus-per-run 1", "--gpus-per-run 0", "--cluster local --jobs 1")


@pytest.mark.parametrize(
    ("command", "options"),
    [
        *product((["train", NAME], ["search"]), IGNORED),
        *product((["study", "none"],), IGNORED[:3]),  # it has no --jobs
    ],
)
def test_options_that_would_be_ignored_are_refused(empty_study, capsys, command, options):
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
