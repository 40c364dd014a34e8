"""The README says what the recorded runs say."""

import pytest

from helpers.results import readme


def test_readme_is_up_to_date_with_the_recorded_runs():
    text = readme.README.read_text(encoding="utf-8")
    assert readme.with_results(text) == text, "stale: run python -m helpers prose"


def test_readme_without_markers_is_refused():
    with pytest.raises(ValueError, match="needs the lines"):
        readme.with_results("# A README without a table\n")
