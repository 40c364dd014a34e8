"""What a result was made with: code, packages and hardware."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from helpers import config


def versions() -> dict[str, str]:
    """Of Python and the packages that numbers depend on."""
    from helpers.backend import keras

    backend = keras.backend.backend()
    return {"python": platform.python_version()} | {
        package: version(package) for package in ("keras", backend, "numpy")
    }


def hardware() -> dict:
    """`cpu`, `cores` that this process computes on, and `gpu`, None where it uses none."""
    return {"cpu": cpu(), "cores": threads(), "gpu": _gpu()}


def threads() -> int:
    """That this process computes with: a core each unless `OMP_NUM_THREADS` says otherwise."""
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count())


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
