"""Commands whose streams are closed, broken, full or poor in letters."""

import os
import subprocess
import sys

import pytest

from helpers import config

LIST = [sys.executable, "-m", "helpers", "list", "cifar10/vit/short"]
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
ENVIRONMENT["PYTHONPATH"] = str(config.ROOT)

needs_shell = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")


def shell(command, **environment):
    """What a shell command whose `$@` is `list` prints, and its exit status."""
    return subprocess.run(
        ["bash", "-c", command, "bash", *LIST],
        capture_output=True,
        text=True,
        env=ENVIRONMENT | environment,
        timeout=60,
    )


@needs_shell
@pytest.mark.parametrize(
    "command",
    [
        '"$@" >&-',
        '"$@" 2>&-',
        '"$@" <&- >&- 2>&-',
        '"$@" | true; exit ${PIPESTATUS[0]}',
        '"${@:1:3}" --help | true; exit ${PIPESTATUS[0]}',
    ],
)
def test_commands_work_quietly(command):
    result = shell(command)
    assert (result.returncode, result.stderr) == (0, "")
    assert ("test accuracy" in result.stdout) == (command == '"$@" 2>&-')


@needs_shell
def test_closed_streams_give_their_number_to_no_file(tmp_path):
    code = "import helpers, os; file = open('file', 'w'); os.write(2, b'chatter')"
    subprocess.run(
        ["bash", "-c", f'"$0" -c "{code}" 2>&-', sys.executable],
        cwd=tmp_path,
        env=ENVIRONMENT,
        check=True,
    )
    assert (tmp_path / "file").read_text() == ""


@needs_shell
def test_keras_is_imported_with_no_stderr(fresh_python):
    code = "import os; os.close(2); import sys; sys.stderr = None; import helpers.backend; print(1)"
    assert fresh_python(code).stdout == "1\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
def test_output_that_cannot_be_written_is_an_error():
    result = shell('"$@" >/dev/full')
    assert result.returncode == 1
    assert result.stderr == "error: [Errno 28] No space left on device: 'standard output'\n"


@needs_shell
def test_a_stopped_training_says_so_where_nobody_reads_on(tmp_path):
    code = f"""
import sys, types
from pathlib import Path
from helpers import __main__ as command_line, config

def train(experiment, seed, *arguments, **settings):
    while True:
        print("epoch", flush=True)

config.RUNS = Path({str(tmp_path)!r})
sys.modules["helpers.training"] = types.SimpleNamespace(train=train)
sys.exit(command_line.main(["train", "cifar10/vit/short"]))
"""
    result = subprocess.run(
        ["bash", "-c", '"$@" | head -1; exit ${PIPESTATUS[0]}', "bash", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=60,
    )
    assert result.stdout == "epoch\n"
    assert result.stderr == "stopped; the same command goes on from the last epoch\n"
    assert result.returncode == 141


@needs_shell
def test_letters_that_a_terminal_lacks_are_spelt_out(tmp_path):
    command = [*LIST[:3], "explain", "flöte.jpg"]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=ENVIRONMENT | {"PYTHONIOENCODING": "ascii:strict"},
    )
    assert result.returncode == 1
    assert "fl\\xf6te.jpg" in result.stderr
