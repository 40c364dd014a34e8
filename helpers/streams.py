"""Standard streams that are closed, broken or poor in letters."""

import os
import sys


def open_closed() -> None:
    """Let a standard stream that is closed (`2>&-`) lead nowhere.

    Its number would go to the next file that is opened, and what libraries write to the stream
    would end in that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def spell_out() -> None:
    """Write letters that a terminal's encoding lacks as their numbers, instead of stopping."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not in a notebook
            stream.reconfigure(errors="backslashreplace")


def say_error(error: object) -> int:
    """Print an error in one line on standard error; gives the exit status, 1."""
    print(f"error: {error}", file=sys.stderr, flush=True)
    return 1


def flush() -> None:
    """Have standard output written.

    Raises:
        BrokenPipeError: nobody reads it any more.
        OSError: it cannot be written to; the text names it.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        _give_up()
        raise OSError(error.errno, error.strerror, "standard output") from error


def _give_up():
    """Let standard output lead nowhere, or Python would complain of it once more as it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
