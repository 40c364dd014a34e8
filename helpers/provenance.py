"""What a result was made with: code, packages and hardware."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from helpers import config
from helpers.backend import keras, on_gpu


def versions() -> dict[str, str]:
    """Of Python and the packages that numbers depend on."""
    backend = keras.backend.backend()
    return {"python": platform.python_version()} | {
        package: version(package) for package in ("keras", backend, "numpy")
    }


def hardware() -> dict:
    """`cpu`, `cores`, and `gpu`, None where training uses none."""
    return {"cpu": _cpu(), "cores": os.cpu_count(), "gpu": _gpu()}


def _cpu():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _gpu():
    if not on_gpu():
        return None
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def code_version() -> str:
    """The commit, marked where `helpers` differs from it; the package's version outside git."""
    git = ["git", "-C", str(config.ROOT)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "helpers"]).returncode
    except (OSError, subprocess.CalledProcessError):
        return version("helpers")
    return commit + ("+changes" if changed else "")
