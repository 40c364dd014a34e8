"""What signals do to trainings, here faked ones, in processes of their own."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from helpers import config
from helpers.commands import stopping

NAME = "cifar10/vit/short"

# A training that lasts until it is ended, and says how.
TRAINING = """
import sys, time, types
from pathlib import Path
from helpers import __main__ as command_line, config

def train(experiment, seed, *arguments, **settings):
    try:
        print("begun", seed, flush=True)
        time.sleep(60)
    finally:
        (config.RUNS / f"left in order {seed}").touch()

config.RUNS = Path(sys.argv[1])
sys.modules["helpers.training"] = types.SimpleNamespace(train=train)
"""
ALONE = f"{TRAINING}sys.exit(command_line.main(['train', '{NAME}', '--seeds', '0']))"
# The same, side by side: each of its processes runs this code instead of `python -m helpers`.
SIDE_BY_SIDE = f"""
import subprocess, sys
popen, folder = subprocess.Popen, sys.argv[1]

def child(command, **settings):
    code = {TRAINING!r} + "sys.exit(command_line.main(sys.argv[2:]))"
    return popen([sys.executable, "-c", code, folder, *command[4:]], **settings)

{TRAINING}
subprocess.Popen = child
sys.exit(command_line.main(["train", "{NAME}", "--seeds", "0", "1", "2", "--jobs", "2"]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("code", "seeds", "number"),
    [
        (ALONE, ["0"], signal.SIGINT),
        (ALONE, ["0"], signal.SIGTERM),
        (SIDE_BY_SIDE, ["0", "1"], signal.SIGINT),
        (SIDE_BY_SIDE, ["0", "1"], signal.SIGTERM),
        (SIDE_BY_SIDE, ["0", "1"], signal.SIGHUP),
    ],
)
def test_a_signal_to_the_command_alone_stops_all_of_it(tmp_path, code, seeds, number):
    process = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(config.ROOT)},
        # As a shell starts what a script has in the background, not as nohup starts tests.
        preexec_fn=lambda: (
            signal.signal(signal.SIGINT, signal.SIG_IGN),
            signal.signal(signal.SIGHUP, signal.SIG_DFL),
        ),
    )
    begun = sorted(process.stdout.readline() for _ in seeds)
    assert begun == [f"begun {seed}\n" for seed in seeds]
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert err == "stopped; the same command goes on from the last epoch\n"
    assert out == ""
    assert process.returncode == 128 + number
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [f"left in order {seed}" for seed in seeds]


def test_nohup_is_heeded_and_handlers_come_back():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping.stoppable():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is stopping._stop
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_can_run_commands():
    entered = []

    def run():
        with stopping.stoppable():
            entered.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert entered


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["-m helpers", config.SCRIPT])
def test_an_interrupt_ends_the_imports_without_a_traceback(tmp_path, name):
    """Importing takes seconds, in which people change their mind."""
    (tmp_path / "pandas.py").write_text("import time; print('imports', flush=True); time.sleep(60)")
    script = tmp_path / config.SCRIPT
    script.write_text("import sys; from helpers.__main__ import main; sys.exit(main())")
    process = subprocess.Popen(
        [sys.executable, "-P", *(["-m", "helpers"] if name == "-m helpers" else [script]), "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(config.ROOT)])},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout.readline() == "imports\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (out, err, process.returncode) == ("", "", -signal.SIGINT)
