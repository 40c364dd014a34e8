"""Where things are, and the environment variables that a user may set.

`CIFAR_HOME`     folder of the verified data sets (default: `~/.cache/cifar-study`)
`KERAS_BACKEND`  `tensorflow` (default), `torch`, or `jax` for training alone; read by Keras
"""

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "figures"
RUNS = FIGURES / "runs"
SEARCH = FIGURES / "search"
OWN = FIGURES / "own"  # a folder each of a user's own data sets, git-ignored
SAMPLE = Path(__file__).resolve().parent / "sample"

# Set in processes that a command runs side by side: what concerns all of them their parent says.
PART = "CIFAR_STUDY_PART"

SCRIPT = "cifar-study"  # the command line by another name, as pyproject.toml has it

BACKENDS = ("tensorflow", "torch", "jax")


class BackendError(ImportError):
    """`KERAS_BACKEND` names what Keras cannot run on here; the text says what to do."""


def cifar_home() -> Path:
    """The folder in which data sets are kept; it need not exist yet.

    Raises:
        ValueError: its name begins with a home that is unknown, or in a folder that was deleted.
    """
    folder = os.environ.get("CIFAR_HOME") or "~/.cache/cifar-study"
    try:
        return Path(folder).expanduser().absolute()
    except (RuntimeError, OSError) as error:  # no such user; a working folder that was deleted
        raise ValueError(
            f"{folder} has no home folder to lie in: set CIFAR_HOME to a folder that you may "
            "write to"
        ) from error


def backend() -> str:
    """The name of the framework that Keras is to run on.

    Raises:
        BackendError: it is unknown, or not installed.
    """
    name = os.environ["KERAS_BACKEND"]
    if name not in BACKENDS:
        raise BackendError(f"KERAS_BACKEND is {name!r}: choose from {', '.join(BACKENDS)}")
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        raise BackendError(
            f"KERAS_BACKEND is {name}, which is not installed: run pip install {name}, or choose "
            f"another of {', '.join(BACKENDS)}"
        )
    return name


def is_command() -> bool:
    """Whether this process was started as the command line, which is still being imported."""
    # Python has "-m" there until it has found the module, which is this package's.
    return sys.argv[:1] == ["-m"] or named_script()


def named_script() -> bool:
    """Whether the command line was started as `SCRIPT`."""
    return Path(*sys.argv[:1]).stem == SCRIPT  # none in a program that embeds Python


def say_whose() -> None:
    """Print a line where the working folder lies in one checkout, and this package in another.

    An environment's editable install leads to one checkout, whichever a notebook lies in.
    """
    try:
        folder = Path.cwd()
    except OSError:  # it was deleted
        return
    if PART in os.environ:
        return
    for parent in (folder, *folder.parents):
        theirs = parent / "helpers"
        if os.path.isfile(theirs / "__init__.py") and os.path.isdir(parent / "notebooks"):
            if not theirs.samefile(ROOT / "helpers"):
                print(
                    f"helpers is that of {ROOT}, not of {parent}: figures and runs are read and "
                    f"written there; run pip install -e {parent} to change that",
                    file=sys.stderr,
                )
            return


def require_checkout() -> None:
    """Raise FileNotFoundError where this package was installed without its checkout."""
    if not (ROOT / "notebooks").is_dir():
        raise FileNotFoundError(
            f"looked for recorded runs in {RUNS}, but {ROOT} is no checkout of the study: go to "
            "the folder that holds notebooks/ and figures/, and run pip install -e ."
        )
