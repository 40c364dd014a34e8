"""A checkout tests itself, whichever one the environment leads to, and says whose code runs."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib

import pytest

from helpers import __main__ as command_line
from helpers import config

TEST = """
from pathlib import Path
from helpers import config

def test_here():
    assert Path(__file__).resolve().parents[2] == config.ROOT

def test_in_processes(fresh_python):
    assert fresh_python("from helpers import config; print(config.ROOT)").stdout.split() == [
        str(config.ROOT)
    ]
"""
CELLS = [
    "from pathlib import Path\nfrom helpers import config",
    "assert Path.cwd().parent == config.ROOT",
    *["config  # of the first cell"] * 4,
]


@pytest.fixture
def other_checkout(tmp_path):
    """A copy of this checkout, with other tests and notebooks."""
    root = tmp_path / "other"
    left_out = shutil.ignore_patterns("sample", "__pycache__", "test_*")
    shutil.copytree(config.ROOT / "helpers", root / "helpers", ignore=left_out)
    (root / "helpers" / "tests" / "test_whose.py").write_text(TEST)
    shutil.copy(config.ROOT / "pyproject.toml", root)
    (root / "notebooks").mkdir()
    shutil.copy(config.ROOT / "notebooks" / "conftest.py", root / "notebooks")
    cells = [
        {
            "cell_type": "code",
            "execution_count": number,
            "id": f"cell{number}",
            "metadata": {},
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(CELLS, 1)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (root / "notebooks" / "whose.ipynb").write_text(json.dumps(notebook))
    return root


def test_pytest_tests_the_checkout_that_it_runs_in(other_checkout):
    kernels = other_checkout.parent / "kernels" / "python3"  # of a Python that is gone
    kernels.mkdir(parents=True)
    kernel = {"argv": ["no-such-python"], "display_name": "Python 3", "language": "python"}
    (kernels / "kernel.json").write_text(json.dumps(kernel))
    # As an editable install of this checkout in the environment.
    environment = {"PYTHONPATH": str(config.ROOT), "JUPYTER_PATH": str(other_checkout.parent)}
    beside = ["-n", "2"] if importlib.util.find_spec("xdist") else []
    result = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", *beside, "notebooks", "helpers/tests"],
        cwd=other_checkout,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout
    assert f"{len(CELLS) + 2} passed" in result.stdout


def test_another_checkout_s_helpers_say_whose_they_are(other_checkout):
    for folder in (other_checkout, other_checkout / "notebooks"):
        result = subprocess.run(
            [sys.executable, "-P", "-c", "import helpers"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(config.ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stderr == (
            f"helpers is that of {config.ROOT}, not of {other_checkout}: figures and runs are read "
            f"and written there; run pip install -e {other_checkout} to change that\n"
        )


@pytest.mark.parametrize("folder", [".", "notebooks", "helpers/tests", "/"])
def test_a_checkout_s_own_helpers_say_nothing(folder):
    result = subprocess.run(
        [sys.executable, "-c", "import helpers"],
        cwd=config.ROOT / folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr == ""


def test_commands_without_a_checkout_say_where_they_looked(other_checkout, tmp_path):
    installed = tmp_path / "site-packages"
    shutil.copytree(other_checkout / "helpers", installed / "helpers")
    for command in (["list"], ["train", "cifar10/vit/short"]):
        result = subprocess.run(
            [sys.executable, "-m", "helpers", *command],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
        )
        assert result.returncode == 1
        assert result.stderr == (
            f"error: looked for recorded runs in {installed / 'figures' / 'runs'}, but {installed} "
            "is no checkout of the study: go to the folder that holds notebooks/ and figures/, and "
            "run pip install -e .\n"
        )


def test_the_script_of_another_name_is_the_command_line(monkeypatch, capsys):
    script = tomllib.loads((config.ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert script == {config.SCRIPT: f"{command_line.__name__}:main"}
    monkeypatch.setattr(sys, "argv", [f"/usr/bin/{config.SCRIPT}"])
    with pytest.raises(SystemExit):
        command_line.main(["--help"])
    assert capsys.readouterr().out.startswith("usage: cifar-study ")


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_git_leaves_line_ends_as_the_digests_have_them(tmp_path):
    """Git for Windows writes its own line ends unless it is told not to."""
    run = "figures/runs/cifar10/vit/short/seed0"
    source, clone = tmp_path / "source", tmp_path / "clone"
    (source / run).mkdir(parents=True)
    for name in (".gitattributes", f"{run}/history.csv", "README.md"):
        shutil.copy(config.ROOT / name, source / name)
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "all"]):
        subprocess.run(["git", *command], cwd=source, check=True)
    subprocess.run(["git", "clone", "-qc", "core.autocrlf=true", source, clone], check=True)
    for name in (f"{run}/history.csv", "README.md"):
        assert (clone / name).read_bytes() == (config.ROOT / name).read_bytes()
