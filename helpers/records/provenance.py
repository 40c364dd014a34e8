"""What a result was made with: code, packages and hardware."""

import hashlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from helpers import config

# As Linux names them on x86 and, the last one, on ARM.
BFLOAT16_INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16"}
CPU_INFO = Path("/proc/cpuinfo")
CPU_TIMES = Path("/proc/stat")
OTHERS = 0.1  # of the cores' time: what a machine that is left alone computes for itself is less
CONTAINER_LIMIT = Path("/sys/fs/cgroup/cpu.max")  # "200000 100000" where two cores are allowed


def record(arithmetic: str | None = None, devices: int = 1) -> dict:
    """What a record says of its making.

    `backend`, `versions`, `hardware`, `code_version`, `code_sha256`, `onednn`, `arithmetic`,
    `alone`, which is not known yet, and `devices` where they are several.  To be asked when
    training starts: files may change while it goes on.

    Args:
        arithmetic: that products are computed in: `float32`, `tensorfloat32` or `bfloat16`; None
            where it is not known.
        devices: that each batch is divided over.
    """
    from helpers.backend import keras

    return {
        "backend": keras.backend.backend(),
        "versions": versions(),
        "hardware": hardware(),
        "code_version": code_version(),
        "code_sha256": code_sha256(),
        "onednn": onednn(),
        "arithmetic": arithmetic,
        "alone": None,
    } | ({"devices": devices} if devices > 1 else {})


def joined(records: Sequence[dict]) -> dict:
    """One record of a training that several processes went on with: "1, then 2" where they differ.

    Of `alone` it says False if any of them was not, and None if any of them does not know.

    Args:
        records: what `record` gave each of them, in their order; what an older one lacks is None.
    """

    def join(values):
        if isinstance(values[-1], dict):  # the latest has all keys
            return {key: join([(value or {}).get(key) for value in values]) for key in values[-1]}
        different = list(dict.fromkeys(values))
        return values[0] if len(different) == 1 else ", then ".join(map(str, different))

    alone = [record.get("alone") for record in records]
    joined = join(list(records))
    joined["alone"] = False if False in alone else None if None in alone else True
    if set(devices := [record.get("devices", 1) for record in records]) != {1}:
        joined["devices"] = join(devices)
    return joined


def differences(before: dict, after: dict) -> list[str]:
    """What two records differ in that can change numbers, in words; an older one may lack some."""
    code = "code_sha256" if "code_sha256" in before else "code_version"
    was, now = before["hardware"], after["hardware"]
    compared = {
        "code": (before[code], after[code]),
        "processor": (was["cpu"], now["cpu"]),
        "threads": (was["cores"], now["cores"]),
        "GPU": (was["gpu"], now["gpu"]),
        "package versions": (before["versions"], after["versions"]),
        "TF_ENABLE_ONEDNN_OPTS": (before.get("onednn", after["onednn"]), after["onednn"]),
        "arithmetic": (before.get("arithmetic", after["arithmetic"]), after["arithmetic"]),
        "devices": (before.get("devices", 1), after.get("devices", 1)),
    }
    return [name for name, (one, other) in compared.items() if one != other]


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


def onednn() -> str | None:
    """The environment's TF_ENABLE_ONEDNN_OPTS, which only TensorFlow heeds."""
    from helpers.backend import keras

    if keras.backend.backend() != "tensorflow":
        return None
    return os.environ.get("TF_ENABLE_ONEDNN_OPTS")


def computed() -> tuple[float, float, float] | None:
    """Seconds: the clock's, those that all cores have computed, and this process's part of them.

    None where only the backend's device could tell, a GPU, or where the system does not.
    """
    from helpers.backend import on_gpu

    if on_gpu():
        return None
    try:
        # In ticks: user, nice, system, idle, iowait, irq, softirq, steal, ...
        ticks = [int(word) for word in CPU_TIMES.read_text().splitlines()[0].split()[1:9]]
        busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
    return time.monotonic(), busy, time.process_time()


def alone(since: tuple[float, float, float] | None) -> bool | None:
    """Whether this process has had the machine to itself since `computed` gave this.

    It has if others computed for less than a tenth of the time on its cores, on the average.
    None where it is not known.
    """
    now = computed()
    if since is None or now is None:
        return None
    clock, busy, own = (after - before for before, after in zip(since, now, strict=True))
    return busy - own < OTHERS * clock * cores()


def code_sha256() -> str:
    """One SHA-256 of all modules of the package, tests aside: it tells uncommitted states apart."""
    package = config.ROOT / "helpers"
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py"), key=lambda path: path.as_posix()):
        name = path.relative_to(package).as_posix()
        if not name.startswith("tests/"):
            content = path.read_bytes()
            digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


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
