"""What a result was made with: code, packages and hardware."""

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from helpers import config

# As Linux names them on x86 and, the last one, on ARM.
BFLOAT16_INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16"}
CPU_INFO = Path("/proc/cpuinfo")
CONTAINER_LIMIT = Path("/sys/fs/cgroup/cpu.max")  # "200000 100000" where two cores are allowed


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


def joined(records: Sequence[dict]) -> dict:
    """One record of a training that several processes went on with: "1, then 2" where they differ.

    Args:
        records: what `record` gave each of them, in their order.
    """

    def join(values):
        if isinstance(values[0], dict):
            return {key: join([value.get(key) for value in values]) for key in values[0]}
        different = list(dict.fromkeys(values))
        return values[0] if len(different) == 1 else ", then ".join(map(str, different))

    return join(list(records))


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that numbers depend on."""
    from helpers.backend import keras

    # Not by distribution: `tensorflow-cpu`, too, brings the module `tensorflow`.
    packages = ("keras", keras.backend.backend(), "numpy")
    return (
        {"python": platform.python_version()}
        | {package: sys.modules[package].__version__ for package in packages}
        | {package: version(package) for package in ("scipy", "scikit-learn", "pillow")}
    )


def hardware() -> dict:
    """`cpu`, `cores` that this process computes on, and `gpu`, None where it uses none."""
    return {"cpu": cpu(), "cores": threads(), "gpu": _gpu()}


def threads() -> int:
    """How many threads the backend computes an operation with."""
    from helpers.backend import keras

    if keras.backend.backend() == "torch":
        return sys.modules["torch"].get_num_threads()
    # TensorFlow's own thread pool does not heed OMP_NUM_THREADS.
    return int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0) or cores()


def cores() -> int:
    """How many cores this process may use; `taskset` or a container can allow it a part."""
    # macOS and Windows have no affinity.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = CONTAINER_LIMIT.read_text().split()
        return max(1, min(allowed, int(quota) // int(period)))
    except (OSError, ValueError):  # no such container, or "max", which is no limit
        return allowed


def cpu() -> str:
    """The processor's name."""
    try:
        lines = CPU_INFO.read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def has_bfloat16() -> bool:
    """Whether what the backend computes on has instructions for bfloat16; GPUs are taken to."""
    from helpers.backend import on_gpu

    return on_gpu() or cpu_has_bfloat16()


def cpu_has_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16; only Linux tells, elsewhere it is no."""
    try:
        return not BFLOAT16_INSTRUCTIONS.isdisjoint(CPU_INFO.read_text().split())
    except OSError:
        return False


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

    def git(*arguments):
        # Without locks, or a commit made meanwhile could fail.
        command = ["git", "--no-optional-locks", "-C", str(config.ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # The folder may lie, unpacked, within a repository of something else.
        if Path(git("rev-parse", "--show-toplevel")).samefile(config.ROOT):
            changed = git("status", "--porcelain", "--", "helpers")
            return git("rev-parse", "--short", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        pass
    try:
        return version("helpers")
    except PackageNotFoundError:  # on the path, but not installed
        return "unknown"
