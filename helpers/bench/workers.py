"""Contenders in processes of their own, and their turns."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import IO

import numpy as np

from helpers import config
from helpers.records import provenance

Measured = np.ndarray | str  # a value a round, or why there is none


class WorkerError(RuntimeError):
    """A process could not do its work; the text is the last line of its error."""


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


def train_steps(
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


def rate(work, seconds: Measured) -> Measured:
    return seconds if isinstance(seconds, str) else work / seconds


def scaled(factor, values: Measured) -> Measured:
    return values if isinstance(values, str) else factor * values


@contextmanager
def worker(
    role: str, backend: str | None = None, threads: int | None = None, **options
) -> Iterator["Worker"]:
    """A contender in a process of its own, which ends with the block.

    Args:
        role: a key of `contenders.ROLES`.
        backend: of Keras, where the role needs it.
        threads: that it computes with (default: as many as this process).
        options: what the role's function takes.
    """
    command = [sys.executable, "-m", "helpers.bench.contenders", role, json.dumps(options)]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=config.ROOT,
            env=_environment(backend, threads),
        ) as process,
    ):
        try:
            yield Worker(process, errors)
        finally:
            process.kill()
            with suppress(BrokenPipeError):  # what a dead process was asked in vain
                process.stdin.close()


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


def run_python(code: str, backend: str | None = None) -> str:
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


def _environment(backend, threads=None):
    """All contenders alike: the same number of threads unless it says otherwise, and no GPU."""
    limits = dict.fromkeys(
        ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
        str(threads or provenance.threads()),
    )
    return (
        os.environ
        | limits
        | {"CUDA_VISIBLE_DEVICES": "", "KERAS_BACKEND": backend or our_backend()}
    )


def our_backend():
    return os.environ["KERAS_BACKEND"]


def other_backend():
    return "torch" if our_backend() == "tensorflow" else "tensorflow"
