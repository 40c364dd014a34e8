"""The README says what the recorded runs say."""

import re
from urllib.parse import unquote

import pytest

from helpers import config
from helpers.results import readme


def test_readme_is_up_to_date_with_the_recorded_runs():
    text = readme.README.read_text(encoding="utf-8")
    assert readme.with_results(text) == text, "stale: run python -m helpers prose"


def test_readme_without_markers_is_refused():
    with pytest.raises(ValueError, match="needs the lines"):
        readme.with_results("# A README without a table\n")


def test_without_an_address_the_readme_links_to_none():
    assert readme.badges(readme.REPOSITORY) == "" or readme.REPOSITORY.count("/") == 1
    if not readme.REPOSITORY:
        text = readme.README.read_text(encoding="utf-8")
        assert "github.com" not in text
        assert "colab" not in text.lower()
        assert "binder" not in text.lower()


def test_badges_link_to_files_that_are_there():
    text = readme.badges("someone/study")
    assert len(text.splitlines()) == 3
    for path in re.findall(r"(?:blob/main/|labpath=)([^)]+)", text):
        assert (config.ROOT / unquote(path)).is_file()
    for path in re.findall(r"workflows/([^)/]+)", text):
        assert (config.ROOT / ".github" / "workflows" / path).is_file()
    marked = f"{readme.BADGES}\n\n{readme.END_BADGES}\n{readme.BEGIN}{readme.END}"
    assert "colab" not in readme.with_results(marked)
