"""What a result was made with: code, packages and hardware."""

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from helpers import config


def record() -> dict:
    """What a record says of its making: `backend`, `versions`, `hardware` and `code_version`.

    To be asked when training starts: files may change while it goes on.
    """
    from helpers.backend import keras

    return {
        "backend": keras.backend.backend(),
        "versions": versions(),
        "hardware": hardware(),
        "code_version": code_version(),
    }


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that numbers depend on."""
    from helpers.backend import keras

    # Not by distribution: `tensorflow-cpu`, too, brings the module `tensorflow`.
    packages = ("keras", keras.backend.backend(), "numpy")
    return {"python": platform.python_version()} | {
        package: sys.modules[package].__version__ for package in packages
    }


def hardware() -> dict:
    """`cpu`, `cores` that this process computes on, and `gpu`, None where it uses none."""
    return {"cpu": cpu(), "cores": threads(), "gpu": _gpu()}


def threads() -> int:
    """How many threads this process computes with: `OMP_NUM_THREADS`, or one for each core."""
    return int(os.environ.get("OMP_NUM_THREADS") or cores())


def cores() -> int:
    """How many cores this process may use; a container or `taskset` can allow it a part."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def cpu() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _gpu():
    from helpers.backend import on_gpu

    if not on_gpu():
        return None
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "a GPU that nvidia-smi does not know"


def code_version() -> str:
    """The commit, marked where `helpers` differs from it; the package's version outside git."""
    git = ["git", "-C", str(config.ROOT)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--", "helpers"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return version("helpers")
    return commit + ("+changes" if changed else "")
