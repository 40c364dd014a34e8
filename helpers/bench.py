"""Speed and memory against native peers, as ratios that are taken in one run.

Each contender works in a fresh process of its own, with its own backend, and the contenders of
a ratio take turns in short chunks: what disturbs the machine disturbs all of them.  This process
loads no backend.

`python -m helpers.bench ROLE OPTIONS` is such a contender, a worker.  It writes a line of facts,
then answers each line `ACTION STEPS` with what the steps cost: seconds, or bytes.
"""

import importlib.metadata
import json
import operator
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import IO

import numpy as np
import pandas as pd
from PIL import Image

from helpers import config, data
from helpers.augmentation import Augmentation
from helpers.experiments import FLIP_AND_CROP, Recipe

MODELS = ("cnn_baseline", "resnet20", "vit", "hybrid_token", "cct")
CNNS = ("cnn_baseline", "resnet20", "resnet18")
BATCH = 128  # images a training step
PREDICTED = 500  # images a batch of a prediction
MATRIX = 2000  # rows and columns of the matrix product
IMAGES = 50_000  # that the input pipeline draws from, as many as CIFAR-10 has
RECIPE = Recipe(epochs=1, weight_decay=0.05)

Measured = np.ndarray | str  # a value a round, or why there is none


class WorkerError(RuntimeError):
    """A process could not do its work; the text is the last line of its error."""


@dataclass(frozen=True)
class Row:
    """A measure of the study's code (`ours`) and of its peer, a value a round each.

    Attributes:
        measure: what is measured.
        against: what the peer is.
        unit: of `ours` and `peer`.
        ours: a value a round.
        peer: a value a round, or why there is none.
        goal: a column of the table, `<=` or `>=`, and a number; None: there is no goal.
    """

    measure: str
    against: str
    unit: str
    ours: np.ndarray
    peer: Measured
    goal: str | None = None

    def cells(self) -> dict:
        """The row as the table has it: medians, and the lowest and highest ratio of a round."""
        cells = {"measure": self.measure, "against": self.against, "unit": self.unit}
        cells["ours"] = np.median(self.ours)
        note = None
        if isinstance(self.peer, str):
            note = self.peer
            cells |= dict.fromkeys(("peer", "ratio", "low", "high"))
        else:
            ratios = self.ours / self.peer
            cells |= {
                "peer": np.median(self.peer),
                "ratio": np.median(ratios),
                "low": ratios.min(),
                "high": ratios.max(),
            }
        return cells | {"goal": self.goal, "met": self._met(cells), "note": note}

    def _met(self, cells):
        if self.goal is None:
            return None
        column, sign, value = self.goal.split()
        if cells[column] is None:
            return None
        compare = {"<=": operator.le, ">=": operator.ge}[sign]
        return "yes" if compare(cells[column], float(value)) else "no"


def run(rounds: int = 5, seconds: float = 1.0) -> pd.DataFrame:
    """Take all measures, write `figures/bench.csv` and `figures/bench.md`, and give the table.

    Args:
        rounds: turns that each contender of a ratio takes.
        seconds: about the length of a turn, at most.

    Raises:
        WorkerError: the study's own code does not run on the current backend.
    """
    from helpers import tables  # brings Matplotlib, which would weigh on the workers

    both = (rounds, seconds)
    groups = [
        ("resnet18", resnet18_rows, both),
        *((name, model_rows, (name, *both)) for name in MODELS),
        ("input pipeline", pipeline_rows, both),
        ("memory", memory_rows, ((rounds + 1) // 2,)),  # it hardly varies, and takes long
        ("start-up", start_up_rows, (rounds,)),
    ]
    rows = []
    for number, (title, measure, arguments) in enumerate(groups, start=1):
        print(f"{number}/{len(groups)} {title} ...", file=sys.stderr, flush=True)
        rows += measure(*arguments)
    frame = tables.save(table(rows), "bench", digits=3)
    with (config.FIGURES / "bench.md").open("a") as file:
        file.write(f"\n{_caption(rounds)}\n")
    return frame


def table(rows: Sequence[Row]) -> pd.DataFrame:
    """A line a row; `ratio` is ours / peer, its median between `low` and `high`."""
    return pd.DataFrame([row.cells() for row in rows]).set_index("measure")


# ---- groups of rows


def resnet18_rows(rounds: int, seconds: float) -> list[Row]:
    """ResNet-18's training step against torchvision's in a plain PyTorch loop."""
    with (
        worker("keras", _ours(), model="resnet18", batch=BATCH) as ours,
        worker("torchvision", batch=BATCH) as peer,
        worker("matrix", size=MATRIX) as matrix,
    ):
        return _training_rows("resnet18", ours, peer, "torchvision", matrix, rounds, seconds)


def model_rows(name: str, rounds: int, seconds: float) -> list[Row]:
    """A model's training step and prediction against the same model on the other backend."""
    other = _other()
    against = f"Keras on {other}"
    with (
        worker("keras", _ours(), model=name, batch=BATCH) as ours,
        worker("keras", other, model=name, batch=BATCH) as peer,
        worker("matrix", size=MATRIX) as matrix,
    ):
        rows = _training_rows(name, ours, peer, against, matrix, rounds, seconds)
        batch, one = (
            _steps({"ours": (ours, action), "peer": (peer, action)}, rounds, seconds)
            for action in ("predict", "predict_one")
        )
    return [
        *rows,
        Row(
            f"prediction, {name}",
            against,
            "images/s",
            _rate(PREDICTED, batch["ours"]),
            _rate(PREDICTED, batch["peer"]),
        ),
        Row(
            f"latency of one image, {name}",
            against,
            "ms",
            _scaled(1000, one["ours"]),
            _scaled(1000, one["peer"]),
        ),
    ]


def _training_rows(name, ours, peer, against, matrix, rounds, seconds):
    """Images/s of a training step against a peer, and its FLOP/s against a matrix product.

    A step costs three times the forward pass, each MAC two operations.
    """
    workers = {"ours": (ours, "train"), "peer": (peer, "train"), "matrix": (matrix, "multiply")}
    step = _steps(workers, rounds, seconds)
    return [
        Row(
            f"training step, {name}",
            against,
            "images/s",
            _rate(BATCH, step["ours"]),
            _rate(BATCH, step["peer"]),
            "ratio >= 1",
        ),
        Row(
            f"training arithmetic, {name}",
            "matrix product",
            "GFLOP/s",
            _rate(6e-9 * ours.facts["macs"] * BATCH, step["ours"]),
            _rate(2e-9 * MATRIX**3, step["matrix"]),
            "ratio >= 0.6" if name in CNNS else None,
        ),
    ]


def pipeline_rows(rounds: int, seconds: float) -> list[Row]:
    """Flip and crop of our batches against torchvision's, and as a share of a training step."""
    with (
        worker("batches", _ours(), batch=BATCH) as ours,
        worker("loader", batch=BATCH, processes=0) as alone,
        worker("loader", batch=BATCH, processes=2) as helped,
        worker("keras", _ours(), model="resnet20", batch=BATCH) as resnet20,
    ):
        workers = {
            "ours": (ours, "draw"),
            "DataLoader": (alone, "draw"),
            "DataLoader, 2 workers": (helped, "draw"),
            "resnet20": (resnet20, "train"),
        }
        step = _steps(workers, rounds, seconds)
    against, peer = fastest({name: value for name, value in step.items() if "Loader" in name})
    return [
        Row(
            "input pipeline, flip and crop",
            against,
            "images/s",
            _rate(BATCH, step["ours"]),
            _rate(BATCH, peer),
            "ratio >= 20",
        ),
        Row(
            "time of a batch",
            "training step, resnet20",
            "ms",
            _scaled(1000, step["ours"]),
            _scaled(1000, step["resnet20"]),
            "ratio <= 0.03",
        ),
    ]


def fastest(seconds: Mapping[str, Measured]) -> tuple[str, Measured]:
    """The name and values of the peer with the lowest median; the first one if none ran."""
    ran = {name: values for name, values in seconds.items() if not isinstance(values, str)}
    if not ran:
        return next(iter(seconds.items()))
    return min(ran.items(), key=lambda item: np.median(item[1]))


def memory_rows(rounds: int) -> list[Row]:
    """Peak of a process that trains ResNet-20, and what CIFAR-10's images take in memory."""
    other = _other()
    peak = take_turns({"ours": _peak(_ours()), "peer": _peak(other)}, rounds)
    # Last: a new process's peak starts at that of the process that started it.
    source = data.load(allow_sample=True)
    held = source.x_train.nbytes + source.x_test.nbytes
    pixels = (len(source.x_train) + len(source.x_test)) * 32 * 32 * 3
    return [
        Row("peak memory of training, resnet20", f"Keras on {other}", "MB", **peak),
        Row(
            "images in memory" + (" (sample)" if source.is_sample else ""),
            "a byte a value",
            "MB",
            np.array([held / 1e6]),
            np.array([pixels / 1e6]),
            "ratio <= 1",
        ),
    ]


def _peak(backend):
    def turn():
        with worker("keras", backend, model="resnet20", batch=BATCH) as contender:
            return contender.ask("train_and_weigh", 3) / 1e6

    return turn


def start_up_rows(rounds: int) -> list[Row]:
    """Seconds that a fresh Python takes to import what needs no backend, against NumPy's."""
    peer = "import numpy"
    rows = []
    for code in ("import helpers", "import helpers.data, helpers.experiments, helpers.runs"):
        took = take_turns({"ours": _start_up(code), "peer": _start_up(peer)}, rounds)
        rows.append(Row(code, peer, "s", **took, goal="ours <= 1"))
    loaded = "print(sum(name.split('.')[0] == 'torch' for name in sys.modules))"
    modules = float(_python(f"import sys, helpers.training; {loaded}", "tensorflow"))
    return [
        *rows,
        Row(
            "import helpers.training on tensorflow",
            "none",
            "modules of torch",
            np.array([modules]),
            "a count: there is no peer",
            "ours <= 0",
        ),
    ]


def _start_up(code):
    def turn():
        started = time.perf_counter()
        _python(code)
        return time.perf_counter() - started

    return turn


# ---- turns


def take_turns(turns: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Measured]:
    """What each contender's turns give, (rounds,) each, all of them in every round: A B A B ...

    A contender whose turn raises `WorkerError` drops out, and its text stands for its values;
    the contender called `ours` must not, and the error goes on.
    """
    given = {name: [] for name in turns}
    failed = {}
    for _ in range(rounds):
        for name, turn in turns.items():
            if name in failed:
                continue
            try:
                given[name].append(turn())
            except WorkerError as error:
                if name == "ours":
                    raise
                failed[name] = f"could not run: {error}"
    return {name: np.array(values) for name, values in given.items()} | failed


def _steps(
    workers: Mapping[str, tuple["Worker", str]], rounds: int, seconds: float
) -> dict[str, Measured]:
    """Seconds a step of workers at an action each, a value a round."""
    for contender, _ in workers.values():
        with suppress(WorkerError):  # its turn raises it again
            contender.wait()
    turns = {
        name: _chunk(contender, action, seconds) for name, (contender, action) in workers.items()
    }
    return take_turns(turns, rounds)


def _chunk(contender, action, seconds):
    """A worker's turn: seconds a step, over so many steps as half of `seconds` needs."""
    steps = None

    def turn():
        nonlocal steps
        if steps is None:
            contender.ask(action, 1)  # compiles and fills caches: not counted
            steps = 1
            while contender.ask(action, steps) < seconds / 2:
                steps *= 2
        return contender.ask(action, steps) / steps

    return turn


def _rate(work, seconds: Measured) -> Measured:
    return seconds if isinstance(seconds, str) else work / seconds


def _scaled(factor, values: Measured) -> Measured:
    return values if isinstance(values, str) else factor * values


# ---- the side of this process


@contextmanager
def worker(role: str, backend: str | None = None, **options) -> Iterator["Worker"]:
    """A contender in a process of its own, which ends with the block.

    Args:
        role: a key of `ROLES`.
        backend: of Keras, where the role needs it.
        options: what the role's function takes.
    """
    command = [sys.executable, "-m", "helpers.bench", role, json.dumps(options)]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=config.ROOT,
            env=_environment(backend),
        ) as process,
    ):
        try:
            yield Worker(process, errors)
        finally:
            process.kill()


class Worker:
    """The near end of a worker's pipes."""

    def __init__(self, process: subprocess.Popen, errors: IO[str]):
        self._process, self._errors = process, errors

    @cached_property
    def facts(self) -> dict:
        """What the worker says of itself once it is ready."""
        return self._answer()

    def wait(self) -> None:
        """Until it is ready, so that its start disturbs nobody's turn."""
        _ = self.facts

    def ask(self, action: str, steps: int) -> float:
        """What so many steps of an action cost: seconds, or bytes."""
        self.wait()
        with suppress(BrokenPipeError):  # it died, and the missing answer says why
            self._process.stdin.write(f"{action} {steps}\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        status = self._process.wait()
        self._errors.seek(0)
        raise WorkerError(_last_line(self._errors.read()) or f"ended with status {status}")


def _python(code: str, backend: str | None = None) -> str:
    """What code prints in a fresh process."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=config.ROOT,
        env=_environment(backend),
    )
    if result.returncode:
        raise WorkerError(_last_line(result.stderr) or f"ended with status {result.returncode}")
    return result.stdout


def _last_line(text):
    return "".join(text.strip().splitlines()[-1:])


def _environment(backend):
    """All contenders alike: the same number of threads, and no GPU."""
    threads = dict.fromkeys(
        ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), str(_threads())
    )
    return os.environ | threads | {"CUDA_VISIBLE_DEVICES": "", "KERAS_BACKEND": backend or _ours()}


def _threads():
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count())


def _ours():
    return os.environ["KERAS_BACKEND"]


def _other():
    return "torch" if _ours() == "tensorflow" else "tensorflow"


def _caption(rounds):
    cpu = _python("from helpers import training; print(training._cpu())").strip()
    packages = ("keras", "tensorflow", "torch", "torchvision", "numpy")
    versions = ", ".join(f"{package} {_version(package)}" for package in packages)
    return (
        f"Ours: Keras on {_ours()}, fp32, batches of {BATCH}. {cpu}, threads of each contender: "
        f"{_threads()}, no GPU; {versions}. Medians of {rounds} rounds in which the contenders "
        "took turns (of memory, half as many); ratio is ours / peer, low and high are its least "
        "and greatest of a round."
    )


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


# ---- the workers' side: a role gives facts, and actions from a number of steps to their cost


def _keras(model: str, batch: int):
    """One of the study's models, which trains and predicts as the study does."""
    from helpers import models, training
    from helpers.batches import Batches

    sample = data.load_sample()
    network = models.build(model)
    first = data.Split(sample, train_index=np.arange(batch), val_index=np.arange(10))
    training.fit(network, RECIPE, first, seed=0)  # compiles it

    def train(steps):
        """As the records have it: an epoch, without the set-up of `fit`."""
        index = np.resize(np.arange(len(sample.x_train)), steps * batch)
        batches = Batches(sample.x_train, sample.y_train, 10, index, batch, Augmentation(), seed=0)
        times = []

        def note(epoch, logs):
            times.append(time.perf_counter())

        clock = training.keras.callbacks.LambdaCallback(on_epoch_begin=note, on_epoch_end=note)
        network.fit(batches, shuffle=False, verbose=0, callbacks=[clock])
        return times[1] - times[0]

    def train_and_weigh(steps):
        import resource  # not on every system

        train(steps)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak * (1 if sys.platform == "darwin" else 1024)

    def predict(steps):
        images = np.resize(sample.x_test, (steps * PREDICTED, 32, 32, 3))
        return _timed(lambda: training.predict_logits(network, images))

    def predict_one(steps):
        image = sample.x_test[:1]
        return _timed(lambda: [training.predict_logits(network, image) for _ in range(steps)])

    actions = (train, train_and_weigh, predict, predict_one)
    return {"macs": models.macs(network)}, actions


def _torchvision(batch: int):
    """torchvision's ResNet-18 with a stem for small images, in a plain PyTorch loop."""
    import torch
    from torchvision.models import resnet18

    network = resnet18(num_classes=10)
    network.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = torch.nn.Identity()
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=RECIPE.learning_rate, weight_decay=RECIPE.weight_decay
    )
    sample = data.load_sample()

    def train(steps):
        index = np.resize(np.arange(len(sample.x_train)), (steps, batch))
        return _timed(lambda: [step(chosen) for chosen in index])

    def step(chosen):
        images = torch.from_numpy(sample.x_train[chosen]).permute(0, 3, 1, 2)  # channels last
        logits = network(images.float() / 127.5 - 1)
        labels = torch.from_numpy(sample.y_train[chosen])
        loss = torch.nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return {}, (train,)


def _matrix(size: int):
    """NumPy's single-precision product of two square matrices."""
    a, b = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
    product = np.empty_like(a)

    def multiply(steps):
        return _timed(lambda: [np.matmul(a, b, out=product) for _ in range(steps)])

    return {}, (multiply,)


def _batches(batch: int):
    """The study's batches with flip and crop."""
    from helpers.batches import Batches

    images, labels = _many_images()
    index = np.arange(IMAGES // batch * batch)  # whole batches
    batches = Batches(images, labels, 10, index, batch, FLIP_AND_CROP, seed=0)

    def draw(steps):
        return _timed(lambda: [batches[i % len(batches)] for i in range(steps)])

    return {}, (draw,)


def _loader(batch: int, processes: int):
    """torchvision's transforms of PIL images in a `DataLoader`."""
    from torch.utils.data import DataLoader
    from torchvision import transforms

    images, labels = _many_images()
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
        ]
    )
    order = []  # filled anew for each chunk, whose end leaves no batch drawn in advance
    loader = DataLoader(
        _Images(images, labels, transform),
        batch,
        sampler=order,
        num_workers=processes,
        persistent_workers=processes > 0,
    )
    rng = np.random.default_rng(0)

    def draw(steps):
        order[:] = np.resize(rng.permutation(IMAGES), steps * batch).tolist()
        return _timed(lambda: sum(1 for _ in loader))

    return {}, (draw,)


@dataclass(frozen=True)
class _Images:
    """A data set as `DataLoader` wants it, and may send to a process of its own."""

    images: np.ndarray
    labels: np.ndarray
    transform: Callable

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.transform(Image.fromarray(self.images[i])), self.labels[i]


def _many_images():
    sample = data.load_sample()
    return np.resize(sample.x_train, (IMAGES, 32, 32, 3)), np.resize(sample.y_train, IMAGES)


def _timed(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


ROLES = {
    "keras": _keras,
    "torchvision": _torchvision,
    "matrix": _matrix,
    "batches": _batches,
    "loader": _loader,
}


def _serve(role: str, options: str) -> None:
    """Be a worker until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    facts, actions = ROLES[role](**json.loads(options))
    print(json.dumps(facts), file=answers, flush=True)
    actions = {action.__name__: action for action in actions}
    for request in sys.stdin:
        action, steps = request.split()
        print(json.dumps(actions[action](int(steps))), file=answers, flush=True)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
