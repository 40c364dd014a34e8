"""Commands side by side, each in a process of its own with its share of the cores."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from helpers import config, streams
from helpers.records import provenance

PATIENCE = 30.0  # seconds that a process has to end in, once it was asked to


def run(commands: Sequence[Sequence[str]], jobs: int) -> int:
    """Run commands of this command line, `jobs` at a time; gives the highest exit status.

    One that fails stops no other.  An exception, as by a signal, ends all of them.
    """
    jobs = min(jobs, len(commands))  # so that few of them share all cores
    waiting, running, status = list(commands), {}, 0
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                command = waiting.pop(0)
                running[_start(command, jobs)] = command
            time.sleep(0.05)
            for (process, relay), command in list(running.items()):
                if process.poll() is not None:
                    relay.join()
                    del running[process, relay]
                    status = max(status, _status(process.returncode, command))
        return status
    finally:
        _end([process for process, _ in running])


def limits(threads: int) -> dict[str, str]:
    """The environment variables with which a process computes on so many threads."""
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    return dict.fromkeys(names, str(threads))


def _start(command, jobs):
    """The command's process, and the thread that hands on what it prints."""
    # The modules that this process has, even if only a script's `sys.path` knows them: -P and the
    # path keep a `helpers.py` of the working folder out.
    path = dict.fromkeys([str(config.ROOT), *filter(None, sys.path)])
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "helpers", *command],
        env=os.environ
        | limits(max(1, provenance.cores() // jobs))
        | {"PYTHONPATH": os.pathsep.join(path), config.PART: "1"},
        stdout=subprocess.PIPE,  # so that it prints lines instead of a bar
        text=True,
        errors="replace",
    )
    relay = threading.Thread(target=_relay, args=[process.stdout], daemon=True)
    relay.start()
    return process, relay


def _relay(lines):
    with lines, suppress(OSError):  # nobody reads any more: then its next line ends the process
        for line in lines:
            print(line, end="", flush=True)


def _status(code, command):
    """The exit status; a line on one that a signal ended, as where memory runs out."""
    signal = -code if code < 0 else max(0, code - 128)
    if signal:
        streams.say_error(f"{' '.join(command)}: ended by signal {signal}")
    return abs(code)


def _end(processes):
    """Ask the processes to end, and see to it that they do."""
    for process in processes:
        process.terminate()
    until = time.monotonic() + PATIENCE
    for process in processes:
        try:
            process.wait(until - time.monotonic())
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
