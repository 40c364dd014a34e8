"""The whole repository, notebooks included, keeps one style."""

import ast
import subprocess
import sys

import pytest

from helpers import config


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_ruff_is_content(command):
    result = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "."],
        cwd=config.ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_text_is_written_alike_on_every_system():
    """Else Windows would write other letters and line ends than the records' digests are of."""
    for path in (config.ROOT / "helpers").rglob("*.py"):
        if "tests" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "write_text":
                given = {keyword.arg for keyword in node.keywords}
                assert {"encoding", "newline"} <= given, f"{path}:{node.lineno}"
