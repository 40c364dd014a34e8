"""The committed notebooks are as a reader wants to open them; nbval is what executes them."""

import json

import pytest

from helpers import config

NOTEBOOKS = sorted((config.ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_eight():
    assert [path.name[:3] for path in NOTEBOOKS] == [f"{number:02}_" for number in range(1, 9)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_whole_and_small(path):
    assert path.stat().st_size < 1_000_000  # GitHub shows no large ones
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    cells = [cell for cell in cells if cell["cell_type"] == "code"]
    executed = [cell["execution_count"] for cell in cells]
    assert executed == list(range(1, len(cells) + 1)), "run all cells, from the first"
    outputs = [output for cell in cells for output in cell["outputs"]]
    # No warnings, no errors, no widgets.
    assert {output["output_type"] for output in outputs} <= {"display_data", "execute_result"}
    shown = {kind for output in outputs for kind in output["data"]}
    assert "image/png" in shown
    assert shown <= {"text/plain", "text/html", "text/markdown", "image/png"}
