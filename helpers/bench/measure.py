"""Speed and memory against native peers, as ratios that are taken in one run.

Each contender works in a fresh process of its own, with its own backend, and the contenders of
a ratio take turns in short chunks: what disturbs the machine disturbs all of them.  This process
loads no backend.  What a contender does is in `helpers.bench.contenders`.
"""

import importlib.metadata
import operator
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from helpers import config, data
from helpers.bench.contenders import PREDICTED
from helpers.bench.workers import (
    Measured,
    other_backend,
    our_backend,
    rate,
    run_python,
    scaled,
    take_turns,
    train_steps,
    worker,
)
from helpers.experiments.recipes import FAST_4, RESNET18_PUBLISHED
from helpers.records import provenance
from helpers.results import costs

MODELS = ("cnn_baseline", "resnet20", "vit", "hybrid_token", "cct")

CNNS = ("cnn_baseline", "resnet20", "resnet18")

CHANGED = "resnet20"  # the narrowest CNN, whose arithmetic is measured in other ways, too

BATCH = 128  # images a training step

TRAINING_IMAGES = 50_000  # that system A trained on: it validated on the test set

MATRIX = 2000  # rows and columns of the matrix product


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
        limit: where the table shows why the goal is missed, if it is.
    """

    measure: str
    against: str
    unit: str
    ours: np.ndarray
    peer: Measured
    goal: str | None = None
    limit: str | None = None

    def cells(self) -> dict:
        """The row as the table has it: medians, and the lowest and highest ratio of a round."""
        cells = {"measure": self.measure, "against": self.against, "unit": self.unit}
        cells["ours"] = np.median(self.ours)
        if isinstance(self.peer, str):
            cells |= dict.fromkeys(("peer", "ratio", "low", "high"))
        else:
            ratios = self.ours / self.peer
            cells |= {
                "peer": np.median(self.peer),
                "ratio": np.median(ratios),
                "low": ratios.min(),
                "high": ratios.max(),
            }
        met = self._met(cells)
        return cells | {"goal": self.goal, "met": met, "note": self._note(cells, met)}

    def _met(self, cells):
        if self.goal is None:
            return None
        column, sign, value = self.goal.split()
        if cells[column] is None:
            return None
        compare = {"<=": operator.le, ">=": operator.ge}[sign]
        return "yes" if compare(cells[column], float(value)) else "no"

    def _note(self, cells, met):
        if isinstance(self.peer, str):
            return self.peer
        if met != "no":
            return None
        column, _, value = self.goal.split()
        if self.limit or column != "ratio" or not cells["low"] <= float(value) <= cells["high"]:
            return self.limit
        return "rounds lie on both sides of the goal"


def run(rounds: int = 5, seconds: float = 1.0) -> pd.DataFrame:
    """Take all measures, write them as `figures/bench.csv` and `.md`, and give the table.

    Machines without bfloat16 have a table of their own, `figures/bench_float32`.

    Args:
        rounds: turns that each contender of a ratio takes.
        seconds: about the length of a turn, at most.

    Raises:
        WorkerError: the study's own code does not run on the current backend.
    """
    from helpers.results import tables  # brings Matplotlib, which would weigh on the workers

    both = (rounds, seconds)
    groups = [
        ("resnet18", resnet18_rows, both),
        *((name, model_rows, (name, *both)) for name in MODELS),
        (f"{CHANGED}, changed", changed_rows, both),
        ("fast_4", speed_rows, both),
        ("input pipeline", pipeline_rows, both),
        ("memory", memory_rows, ((rounds + 1) // 2,)),  # it hardly varies, and takes long
        ("start-up", start_up_rows, (rounds,)),
    ]
    rows = []
    for number, (title, measure, arguments) in enumerate(groups, start=1):
        print(f"{number}/{len(groups)} {title} ...", file=sys.stderr, flush=True)
        rows += measure(*arguments)
    has_bfloat16 = provenance.cpu_has_bfloat16()  # the workers see no GPU
    name = "bench" if has_bfloat16 else "bench_float32"
    frame = tables.save(table(rows), name, digits=3)
    with (config.FIGURES / f"{name}.md").open("a", encoding="utf-8", newline="\n") as file:
        file.write(f"\n{_caption(rounds, has_bfloat16)}\n")
    return frame


def table(rows: Sequence[Row]) -> pd.DataFrame:
    """A line a row; `ratio` is ours / peer, its median between `low` and `high`.

    `ours` and `peer` have four significant digits: they are of this machine, on this day.
    """
    frame = pd.DataFrame([row.cells() for row in rows]).set_index("measure")
    sides = ["ours", "peer"]
    frame[sides] = frame[sides].astype(float).map(lambda value: float(f"{value:.4g}"))
    return frame


def resnet18_rows(rounds: int, seconds: float) -> list[Row]:
    """ResNet-18's training step against torchvision's in a plain PyTorch loop."""
    with (
        worker("keras", our_backend(), model="resnet18", batch=BATCH) as ours,
        worker("torchvision", batch=BATCH) as peer,
        worker("matrix", size=MATRIX) as matrix,
    ):
        return _training_rows("resnet18", ours, peer, "torchvision", matrix, rounds, seconds)


def model_rows(name: str, rounds: int, seconds: float) -> list[Row]:
    """A model's training step and prediction against the same model on the other backend."""
    other = other_backend()
    against = f"Keras on {other}"
    with (
        worker("keras", our_backend(), model=name, batch=BATCH) as ours,
        worker("keras", other, model=name, batch=BATCH) as peer,
        worker("matrix", size=MATRIX) as matrix,
    ):
        rows = _training_rows(name, ours, peer, against, matrix, rounds, seconds)
        batch, one = (
            train_steps({"ours": (ours, action), "peer": (peer, action)}, rounds, seconds)
            for action in ("predict", "predict_one")
        )
    return [
        *rows,
        Row(
            f"prediction, {name}",
            against,
            "images/s",
            rate(PREDICTED, batch["ours"]),
            rate(PREDICTED, batch["peer"]),
        ),
        Row(
            f"latency of one image, {name}",
            against,
            "ms",
            scaled(1000, one["ours"]),
            scaled(1000, one["peer"]),
        ),
    ]


def _training_rows(name, ours, peer, against, matrix, rounds, seconds):
    """Images/s of a training step against a peer, and its FLOP/s against a matrix product.

    A step costs three times the forward pass, each MAC two operations.
    """
    workers = {"ours": (ours, "train"), "peer": (peer, "train"), "matrix": (matrix, "multiply")}
    step = train_steps(workers, rounds, seconds)
    return [
        Row(
            f"training step, {name}",
            against,
            "images/s",
            rate(BATCH, step["ours"]),
            rate(BATCH, step["peer"]),
            "ratio >= 1",
        ),
        Row(
            f"training arithmetic, {name}",
            "matrix product",
            "GFLOP/s",
            rate(costs.training_flops(ours.facts["macs"], BATCH) / 1e9, step["ours"]),
            rate(2e-9 * MATRIX**3, step["matrix"]),
            "ratio >= 0.6" if name in CNNS else None,
            "see its rows on one thread and in larger batches" if name == CHANGED else None,
        ),
    ]


def changed_rows(rounds: int, seconds: float) -> list[Row]:
    """Where the time of a narrow CNN goes: its arithmetic in larger batches and on one thread.

    On one thread nothing waits for another; in larger batches threads meet less often.
    """
    rows = []
    for change, threads, batch in (
        (f"batches of {2 * BATCH}", None, 2 * BATCH),
        ("one thread", 1, BATCH),
    ):
        with (
            worker("keras", our_backend(), threads, model=CHANGED, batch=batch) as ours,
            worker("matrix", threads=threads, size=MATRIX) as matrix,
        ):
            workers = {"ours": (ours, "train"), "matrix": (matrix, "multiply")}
            step = train_steps(workers, rounds, seconds)
        rows.append(
            Row(
                f"training arithmetic, {CHANGED}, {change}",
                "matrix product" + (", one thread" if threads else ""),
                "GFLOP/s",
                rate(costs.training_flops(ours.facts["macs"], batch) / 1e9, step["ours"]),
                rate(2e-9 * MATRIX**3, step["matrix"]),
            )
        )
    return rows


def speed_rows(rounds: int, seconds: float) -> list[Row]:
    """The hours of `fast_4` against those of system A's ResNet-18 recipe, which reports 89 %.

    Both follow from the images/s of a few steps: nothing is trained to its end here.
    """
    with (
        worker("fast", our_backend()) as ours,
        worker("torchvision", batch=BATCH) as peer,
    ):
        step = train_steps({"ours": (ours, "train"), "peer": (peer, "train")}, rounds, seconds)
        precision = ours.facts["precision"]
    ours, peer = (
        scaled(images / batch / 3600, step[name])
        for name, images, batch in (
            ("ours", FAST_4.epochs * data.training_images("cifar10"), FAST_4.batch_size),
            ("peer", RESNET18_PUBLISHED.epochs * TRAINING_IMAGES, BATCH),
        )
    )
    return [
        Row(
            "training to 89 %, fast_4",
            f"torchvision's ResNet-18, system A's {RESNET18_PUBLISHED.epochs} epochs",
            "h (extrapolated)",
            ours,
            peer,
            "ratio <= 0.033",
            None if precision == FAST_4.precision else f"in {precision}, for want of bfloat16",
        )
    ]


def pipeline_rows(rounds: int, seconds: float) -> list[Row]:
    """Flip and crop of our batches against torchvision's, and as a share of a training step."""
    with (
        worker("batches", our_backend(), batch=BATCH) as ours,
        worker("loader", batch=BATCH, processes=0) as alone,
        worker("loader", batch=BATCH, processes=2) as helped,
        worker("keras", our_backend(), model="resnet20", batch=BATCH) as resnet20,
    ):
        workers = {
            "ours": (ours, "draw"),
            "DataLoader": (alone, "draw"),
            "DataLoader, 2 workers": (helped, "draw"),
            "resnet20": (resnet20, "train"),
        }
        step = train_steps(workers, rounds, seconds)
    against, peer = fastest({name: value for name, value in step.items() if "Loader" in name})
    return [
        Row(
            "input pipeline, flip and crop",
            against,
            "images/s",
            rate(BATCH, step["ours"]),
            rate(BATCH, peer),
            "ratio >= 20",
        ),
        Row(
            "time of a batch",
            "training step, resnet20",
            "ms",
            scaled(1000, step["ours"]),
            scaled(1000, step["resnet20"]),
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
    other = other_backend()
    peak = take_turns({"ours": _peak(our_backend()), "peer": _peak(other)}, rounds)
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
    for code in (
        "import helpers",
        "import helpers.data, helpers.experiments, helpers.records.runs",
    ):
        took = take_turns({"ours": _start_up(code), "peer": _start_up(peer)}, rounds)
        rows.append(Row(code, peer, "s", **took, goal="ours <= 1"))
    loaded = "print(sum(name.split('.')[0] == 'torch' for name in sys.modules))"
    modules = float(run_python(f"import sys, helpers.training; {loaded}", "tensorflow"))
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
        run_python(code)
        return time.perf_counter() - started

    return turn


def _caption(rounds, has_bfloat16):
    packages = ("keras", "tensorflow", "torch", "torchvision", "numpy")
    versions = ", ".join(f"{package} {_version(package)}" for package in packages)
    return (
        f"Ours: Keras on {our_backend()}, batches of {BATCH} in float32 (fast_4: of "
        f"{FAST_4.batch_size} in {'bfloat16' if has_bfloat16 else 'float32'}). "
        f"{provenance.cpu()} {'with' if has_bfloat16 else 'without'} instructions for bfloat16, "
        f"threads of each contender unless a row says otherwise: {provenance.threads()}, no GPU; "
        f"{versions}. Keras keeps freed memory (`helpers.backend`), torchvision's rows run as "
        f"PyTorch comes. Medians of {rounds} rounds in which the contenders "
        "took turns (of memory, half as many); ratio is ours / peer, low and high are its least "
        "and greatest of a round."
    )


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
