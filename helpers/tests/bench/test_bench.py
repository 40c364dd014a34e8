"""The benchmark's arithmetic on known durations, its table, and its real workers; no timings."""

import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers import __main__ as command_line
from helpers import config, data
from helpers.bench import contenders, workers
from helpers.bench import measure as bench
from helpers.records import provenance

# ---- turns


def test_contenders_take_turns():
    order = []

    def turn(name, values):
        values = iter(values)

        def take():
            order.append(name)
            return next(values)

        return take

    given = workers.take_turns({"ours": turn("A", [1, 2, 3]), "peer": turn("B", [4, 5, 6])}, 3)
    assert "".join(order) == "ABABAB"
    assert given["ours"].tolist() == [1, 2, 3]
    assert given["peer"].tolist() == [4, 5, 6]


def failing_turn(rounds):
    """A turn that works for so many rounds, is then refused, and must not be asked again."""
    answers = iter([*[1.0] * rounds, workers.WorkerError("No module named 'torch'")])

    def take():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return take


@pytest.mark.parametrize("rounds", [0, 1])
def test_a_peer_that_fails_drops_out_and_says_why(rounds):
    given = workers.take_turns({"ours": lambda: 2.0, "peer": failing_turn(rounds)}, 4)
    assert given["ours"].tolist() == [2, 2, 2, 2]
    assert given["peer"] == "could not run: No module named 'torch'"


def test_our_own_failure_is_an_error():
    with pytest.raises(workers.WorkerError, match="torch"):
        workers.take_turns({"ours": failing_turn(1), "peer": lambda: 2.0}, 4)


def test_a_turn_is_as_long_as_asked_and_its_first_step_does_not_count():
    asked = []

    class Contender:
        def ask(self, action, steps):
            asked.append(steps)
            return 9.0 if len(asked) == 1 else 0.01 * steps  # the first one compiles

    turn = workers._chunk(Contender(), "train", seconds=0.1)
    assert [turn(), turn()] == pytest.approx([0.01, 0.01])
    # Warm-up; then 1, 2, 4 and 8 steps, of which 8 last half of 0.1 s; then the two turns.
    assert asked == [1, 1, 2, 4, 8, 8, 8]


def test_the_fastest_peer_that_ran_counts():
    slow, fast = np.array([2.0, 2.0, 9.0]), np.array([1.0, 8.0, 1.0])
    assert bench.fastest({"a": slow, "b": "could not run", "c": fast})[0] == "c"
    assert bench.fastest({"a": "could not run", "b": "nor this"}) == ("a", "could not run")


# ---- rows


def row(goal=None, peer=None, limit=None):
    peer = np.array([20.0, 20.0, 10.0]) if peer is None else peer
    ours = np.array([10.0, 30.0, 20.0])
    return bench.Row("training", "a peer", "images/s", ours, peer, goal, limit)


def test_the_ratio_is_the_median_of_the_rounds_ratios():
    # Round by round 0.5, 1.5 and 2; the ratio of the medians would be 20 / 20.
    cells = row().cells()
    assert (cells["ours"], cells["peer"]) == (20, 20)
    assert (cells["low"], cells["ratio"], cells["high"]) == (0.5, 1.5, 2)
    assert (cells["goal"], cells["met"], cells["note"]) == (None, None, None)


def test_the_table_shows_four_digits():
    long = bench.Row("pipeline", "a peer", "images/s", np.array([213326.2]), np.array([0.123456]))
    frame = bench.table([long, row(peer="could not run")])
    assert frame["ours"].tolist() == [213300, 20]
    assert frame["peer"].iloc[0] == 0.1235
    assert np.isnan(frame["peer"].iloc[1])


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        ("ratio >= 1.5", "yes"),
        ("ratio >= 1.6", "no"),
        ("ratio <= 1.4", "no"),
        ("ours <= 20", "yes"),
        ("ours <= 19", "no"),
    ],
)
def test_goals(goal, met):
    assert row(goal).cells()["met"] == met


def test_a_missed_goal_says_what_the_limit_is():
    notes = [row(goal, limit="memory").cells()["note"] for goal in ("ratio >= 1.6", "ratio >= 1.5")]
    assert notes == ["memory", None]


def test_a_goal_missed_in_some_rounds_only_says_so():
    # Round by round 0.5, 1.5 and 2.
    notes = [row(goal).cells()["note"] for goal in ("ratio >= 1.6", "ratio >= 3", "ours <= 19")]
    assert notes == ["rounds lie on both sides of the goal", None, None]


def test_a_missing_peer_leaves_a_note_and_no_number():
    cells = row("ratio >= 1", peer="could not run: no torch").cells()
    assert cells["ours"] == 20
    assert [cells[key] for key in ("peer", "ratio", "low", "high", "met")] == [None] * 5
    assert cells["note"] == "could not run: no torch"


# ---- the whole table, of workers whose steps last what is written here

SECONDS = {
    ("keras", "train", "ours"): 0.1,
    ("keras", "train", "other"): 0.2,
    ("keras", "predict", "ours"): 0.25,
    ("keras", "predict", "other"): 0.5,
    ("keras", "predict_one", "ours"): 0.03,
    ("keras", "predict_one", "other"): 0.02,
    ("fast", "train", "ours"): 0.5,
    ("torchvision", "train", None): 0.08,
    ("matrix", "multiply", None): 0.1,
    ("batches", "draw", "ours"): 0.001,
    ("loader", "draw", 0): 0.05,
    ("loader", "draw", 2): 0.04,
}


class KnownWorker:
    facts = {"macs": 100_000_000, "precision": "float32"}  # noqa: RUF012

    def __init__(self, role, backend, threads, options):
        self.role, self.missing, self.threads = role, False, threads
        self.which = options.get("processes")
        if backend:
            self.which = "ours" if backend == workers.our_backend() else "other"

    def wait(self):
        pass

    def ask(self, action, steps):
        if self.missing:
            raise workers.WorkerError("No module named 'torch'")
        if action == "train_and_weigh":
            return {"ours": 600e6, "other": 1200e6}[self.which]
        slower = {1: 2 if self.role == "matrix" else 1.5}.get(self.threads, 1)
        return SECONDS[self.role, action, self.which] * slower * steps


@pytest.fixture
def known(monkeypatch, tmp_path, sample):
    """Workers of known durations; gives the set of those (role, which) that cannot run."""
    missing = set()

    @contextmanager
    def worker(role, backend=None, threads=None, **options):
        contender = KnownWorker(role, backend, threads, options)
        contender.missing = (role, contender.which) in missing
        yield contender

    monkeypatch.setattr(bench, "worker", worker)
    monkeypatch.setattr(bench, "run_python", lambda code, backend=None: "0")
    monkeypatch.setattr(config, "FIGURES", tmp_path)
    monkeypatch.setattr(data, "load", lambda allow_sample: sample)
    return missing


def check_whole(frame):
    """Every row has all numbers in order, or a note that says why not."""
    assert frame["ours"].notna().all()
    numbers = frame[["peer", "ratio", "low", "high"]].notna()
    failed = frame["note"].fillna("").str.startswith("could not run") | (frame["against"] == "none")
    assert (numbers.all(axis=1) ^ failed).all()
    assert not (numbers.any(axis=1) & failed).any()
    measured = frame[~failed]
    assert (measured["low"] <= measured["ratio"]).all()
    assert (measured["ratio"] <= measured["high"]).all()


@pytest.mark.parametrize(("has", "name"), [(True, "bench"), (False, "bench_float32")])
def test_the_whole_table(has, name, known, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "cpu_has_bfloat16", lambda: has)
    precision = "mixed_bfloat16" if has else "float32"
    monkeypatch.setitem(KnownWorker.facts, "precision", precision)
    frame = bench.run(rounds=3, seconds=0.0)
    check_whole(frame)
    assert frame.index.is_unique
    # 128 images a step; 6 x 10^8 operations an image; 2 x 2000^3 in 0.1 s.
    expected = {
        "training step, resnet18": (1280, 1600, 0.8, "no"),
        "training arithmetic, resnet18": (768, 160, 4.8, "yes"),
        "training step, vit": (1280, 640, 2, "yes"),
        "training arithmetic, vit": (768, 160, 4.8, None),
        "prediction, vit": (2000, 1000, 2, None),
        "latency of one image, vit": (30, 20, 1.5, None),
        # 256 images a step; on one thread the network takes 1.5 times as long, the product twice.
        "training arithmetic, resnet20, batches of 256": (1536, 160, 9.6, None),
        "training arithmetic, resnet20, one thread": (512, 80, 6.4, None),
        # 4 x 45,000 images, 500 in 0.5 s; 20 x 50,000, 128 in 0.08 s.
        "training to 89 %, fast_4": (0.05, 0.174, 0.288, "no"),
        "input pipeline, flip and crop": (128_000, 3200, 40, "yes"),
        "time of a batch": (1, 100, 0.01, "yes"),
        "peak memory of training, resnet20": (600, 1200, 0.5, None),
        # 3,000 images of 3,072 bytes.
        "images in memory (sample)": (9.216, 9.216, 1, "yes"),
    }
    for measure, (ours, peer, ratio, met) in expected.items():
        line = frame.loc[measure]
        assert line[["ours", "peer", "ratio"]].tolist() == pytest.approx([ours, peer, ratio])
        assert (line["met"] if pd.notna(line["met"]) else None) == met, measure
    note = frame.loc["training to 89 %, fast_4", "note"]
    assert pd.isna(note) if has else note == "in float32, for want of bfloat16"
    assert frame.loc["input pipeline, flip and crop", "against"] == "DataLoader, 2 workers"
    # 2 of ResNet-18, 4 of each of 5 models, 2 of ResNet-20 changed,
    # 1 of speed, 2 of input, 2 of memory, 3 of the start.
    assert len(frame) == 32

    written = pd.read_csv(tmp_path / f"{name}.csv", index_col="measure")
    assert written["ratio"].tolist() == pytest.approx(frame["ratio"].tolist(), nan_ok=True)
    *table, blank, caption = (tmp_path / f"{name}.md").read_text().splitlines()
    assert len(table) == 2 + 32
    assert blank == ""
    assert f"numpy {np.__version__}" in caption
    assert f"of 500 in {'bfloat16' if has else 'float32'})" in caption
    assert f"{'with' if has else 'without'} instructions for bfloat16" in caption
    assert (
        f"threads of each contender unless a row says otherwise: {provenance.threads()}," in caption
    )


def test_what_cannot_run_leaves_notes(known):
    known |= {("torchvision", None), ("keras", "other"), ("loader", 0), ("loader", 2)}
    frame = bench.run(rounds=2, seconds=0.0)
    check_whole(frame)
    text = "could not run: No module named 'torch'"
    for measure in ("training step, resnet18", "prediction, cct", "input pipeline, flip and crop"):
        assert frame.loc[measure, "note"] == text
    assert frame.loc["training arithmetic, resnet18", "ratio"] == pytest.approx(4.8)


def test_the_sides_follow_the_current_backend(monkeypatch):
    for backend, other in (("tensorflow", "torch"), ("torch", "tensorflow")):
        monkeypatch.setenv("KERAS_BACKEND", backend)
        assert (workers.our_backend(), workers.other_backend()) == (backend, other)


def test_all_contenders_get_the_same_threads_and_no_gpu(monkeypatch):
    monkeypatch.setattr(provenance, "threads", lambda: 6)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    for backend in ("tensorflow", "torch"):
        environment = workers._environment(backend)
        assert environment["KERAS_BACKEND"] == backend
        assert environment["CUDA_VISIBLE_DEVICES"] == ""
        names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        assert [environment[name] for name in names] == ["6"] * 3
        environment = workers._environment(backend, threads=1)
        assert [environment[name] for name in names] == ["1"] * 3


# ---- real processes


@pytest.fixture
def near_end(tmp_path):
    """A function that gives the near end of a process which runs this code."""
    with ExitStack() as stack:

        def start(code):
            errors = stack.enter_context((tmp_path / "errors").open("w+"))
            pipe = subprocess.PIPE
            command = [sys.executable, "-c", code]
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, text=True)
            stack.enter_context(process)
            stack.enter_context(suppress(BrokenPipeError))  # what it was asked when already dead
            stack.callback(process.stdin.close)
            return workers.Worker(process, errors)

        yield start


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("import os; os.kill(os.getpid(), 9)", "ended with status -9"),
    ],
)
def test_a_worker_that_cannot_start_says_why(near_end, code, text):
    worker = near_end(code)
    for _ in range(2):
        with pytest.raises(workers.WorkerError, match=text):
            worker.wait()
    with pytest.raises(workers.WorkerError, match=text):
        worker.ask("train", 1)


def test_a_worker_answers_until_it_fails(near_end):
    code = """
print('{"macs": 7}', flush=True)
action, steps = input().split()
print({"train": 0.5}[action] * int(steps), flush=True)
1 / 0
"""
    worker = near_end(code)
    assert worker.ask("train", 12) == 6
    assert worker.facts == {"macs": 7}
    with pytest.raises(workers.WorkerError, match="ZeroDivisionError"):
        worker.ask("train", 12)


def test_rows_of_a_real_model(monkeypatch):
    monkeypatch.setattr(bench, "BATCH", 4)
    monkeypatch.setattr(bench, "MATRIX", 50)
    frame = bench.table(bench.model_rows("cnn_baseline", rounds=2, seconds=0.0))
    check_whole(frame)
    assert (frame[["ours", "peer", "ratio"]] > 0).all(axis=None)


def test_importing_the_benchmark_loads_no_backend(fresh_python):
    code = "import sys, helpers.bench; print({'keras', 'tensorflow', 'torch'} & set(sys.modules))"
    assert fresh_python(code).stdout == "set()\n"


# ---- peers, in this process


def test_torchvision_peer_is_like_ours(monkeypatch):
    import torch

    trained = []

    class AdamW(torch.optim.AdamW):
        def __init__(self, parameters, **settings):
            trained.extend(parameters)
            super().__init__(trained, **settings)

    monkeypatch.setattr(torch.optim, "AdamW", AdamW)
    _, (train,) = contenders._torchvision(batch=2)
    # torchvision's 11,689,512 with 10 classes, not 1000, and a stem of 3x3, not 7x7.
    numbers = 11_689_512 - 990 * 513 - 64 * 3 * (7 * 7 - 3 * 3)
    assert sum(parameter.numel() for parameter in trained) == numbers
    before = trained[0].detach().clone()
    assert train(1) > 0
    assert not torch.equal(before, trained[0])


def test_fast_contender_trains_as_its_recipe_says(monkeypatch):
    monkeypatch.setattr(contenders, "FAST_4", replace(contenders.FAST_4, batch_size=4))
    monkeypatch.setattr(provenance, "has_bfloat16", lambda: False)
    facts, (train, *_) = contenders._fast()
    assert facts == {"macs": 118_147_360, "precision": "float32"}
    assert train(2) > 0


def test_loader_peer_draws_whole_batches_of_images_as_asked(monkeypatch):
    drawn = []
    draw_one = contenders._Images.__getitem__

    def count(images, i):
        drawn.append(draw_one(images, i))
        return drawn[-1]

    monkeypatch.setattr(contenders._Images, "__getitem__", count)
    monkeypatch.setattr(contenders, "IMAGES", 40)
    _, (draw,) = contenders._loader(batch=8, processes=0)
    for steps, total in ((1, 8), (3, 32), (6, 80)):  # the last one goes through the images anew
        assert draw(steps) > 0
        assert len(drawn) == total
    image, label = drawn[0]
    assert image.shape == (3, 32, 32)
    assert 0 <= image.min() <= image.max() <= 1
    assert label in range(10)


# ---- the command


def test_command_prints_the_table(monkeypatch, capsys):
    monkeypatch.setattr("helpers.bench.run", lambda: bench.table([row("ratio >= 1")]))
    assert command_line.main(["bench"]) == 0
    head, _, line = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in head.split("|")[1:4]] == ["measure", "against", "unit"]
    assert "ratio >= 1" in line


def test_interrupted_command_promises_nothing(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("helpers.bench.run", interrupted)
    assert command_line.main(["bench"]) == 130
    assert capsys.readouterr().err == "stopped\n"
