"""The rooms of `helpers`: who may import whom, how long a file may be, where its tests are."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import config

PACKAGE = config.ROOT / "helpers"
LINT = (
    "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
)


def lint(folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", LINT], cwd=folder, capture_output=True, text=True, timeout=100
    )


@pytest.fixture
def copy(tmp_path):
    """The package by itself, so that a line can be added to it."""
    shutil.copy(config.ROOT / "pyproject.toml", tmp_path)
    skipped = shutil.ignore_patterns("tests", "sample", "__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "helpers", ignore=skipped)
    return tmp_path


def test_rooms_import_only_those_before_them(copy):
    result = lint(copy)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("data/splits.py", "from helpers.training.batches import Batches"),
        ("records/runs.py", "from helpers.results import metrics"),
        ("training/fitting.py", "import helpers.explain"),
    ],
)
def test_an_import_in_the_wrong_direction_breaks_the_contract(copy, room, line):
    with open(copy / "helpers" / room, "a") as file:
        file.write(f"\n{line}\n")
    result = lint(copy)
    assert result.returncode == 1
    assert "BROKEN" in result.stdout


def test_no_file_wants_walls():
    lines = {
        path.relative_to(PACKAGE): len(path.read_text().splitlines())
        for path in PACKAGE.rglob("*.py")
        if "tests" not in path.relative_to(PACKAGE).parts
    }
    assert {path: count for path, count in lines.items() if count > 500} == {}


def test_tests_mirror_the_rooms():
    def rooms(folder):
        return {path.parent.name for path in folder.glob("*/*.py")}

    assert rooms(PACKAGE / "tests") <= rooms(PACKAGE) - {"tests"}
