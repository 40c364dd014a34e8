"""The line that shows progress: what it looks like in terminals of several widths."""

import os
import re
import struct
import sys

import pytest

from helpers.training.progress import Progress

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")

TITLE = "cifar10-imbalanced/hybrid_token/described_weighted seed 0, float32"


def shown(columns, monkeypatch, **environment):
    """The lines that a terminal of so many columns gets, each with what replaced its content."""
    import fcntl
    import termios

    near, far = os.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    monkeypatch.delenv("COLUMNS", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with open(far, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.setattr(sys, "__stdout__", terminal)
        progress = Progress(TITLE, 40)
        progress.on_train_begin()
        for epoch in range(3):
            logs = {"loss": 1.2345, "accuracy": 0.567, "val_accuracy": 0.512}
            progress.on_epoch_end(epoch, logs)
        progress.on_train_end()
    text = "".join(iter(lambda: _read(near), ""))
    os.close(near)
    return [line.split("\r") for line in text.replace("\r\n", "\n").rstrip().split("\n")]


def _read(near):
    """What has come out of a terminal so far; "" once nobody writes to it any more."""
    try:
        return os.read(near, 100_000).decode()
    except OSError:  # how Linux says so
        return ""


@pytest.mark.parametrize("columns", [120, 80, 60, 40])
def test_a_terminal_s_line_fits_and_shows_the_validation_accuracy(columns, monkeypatch):
    title, line = shown(columns, monkeypatch, TERM="xterm")
    assert title == [TITLE]
    assert all(len(text) <= columns for text in line)
    assert re.search(r"3/40 epochs \[\d\d:\d\d, val_accuracy=0\.512", line[-1])
    if columns >= 80:
        assert "accuracy=0.567, loss=1.2" in line[-1]


def test_a_terminal_that_cannot_go_back_gets_a_line_an_epoch(monkeypatch):
    lines = shown(80, monkeypatch, TERM="dumb")
    assert [line[0].split(":")[1].split(" val")[0] for line in lines] == [
        f" epoch {epoch}/40" for epoch in (1, 2, 3)
    ]
