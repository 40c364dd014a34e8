"""Tables say what the recorded runs say, and the README says what the tables say."""

import pandas as pd
import pytest

from helpers import config, tables


def test_save_writes_both_forms_rounded(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "FIGURES", tmp_path)
    frame = pd.DataFrame({"accuracy": [0.123456]}, index=pd.Index(["ViT"], name="model"))
    tables.save(frame, "03_vit/scores")
    assert (tmp_path / "03_vit/scores.csv").read_text() == "model,accuracy\nViT,0.1235\n"
    assert "| ViT     | 0.1235     |" in (tmp_path / "03_vit/scores.md").read_text()


def test_readme_is_up_to_date_with_the_recorded_runs():
    text = tables.README.read_text()
    assert tables.with_results(text) == text, "stale: run python -m helpers readme"


def test_readme_without_markers_is_refused():
    with pytest.raises(ValueError, match="needs the lines"):
        tables.with_results("# A README without a table\n")
