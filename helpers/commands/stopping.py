"""Signals that end a command: an interrupt (Ctrl-C), a request to end, a terminal that closes."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stop(KeyboardInterrupt):
    """A signal came; `status` is the exit status that shells expect then."""

    def __init__(self, number: int):
        super().__init__(number)
        self.status = 128 + number


@contextmanager
def stoppable() -> Iterator[None]:
    """While it lasts, signals raise `Stop`, so that what is under way is left in order.

    An interrupt does so even where it was ignored, as a shell has it for what a script starts in
    the background; the end of a terminal does not where it was, as `nohup` has it.
    """
    if threading.current_thread() is not threading.main_thread():  # it alone may ask for signals
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        before[signal.SIGHUP] = signal.getsignal(signal.SIGHUP)
    try:
        for number in before:
            signal.signal(number, _stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number, frame):
    raise Stop(number)
