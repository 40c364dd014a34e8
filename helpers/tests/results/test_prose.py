"""Prose cites numbers that are computed from the records, and goes stale loudly."""

import json
from pathlib import Path

import pytest

from helpers.results import facts, prose

README = Path("README.md")


@pytest.fixture(autouse=True)
def known(monkeypatch):
    values = {"a": 86.548, "b": 67.09, "none": 0.0001}
    monkeypatch.setitem(prose.WORDS, "accuracy", values.__getitem__)


@pytest.mark.parametrize(
    ("stale", "fresh"),
    [
        ('**1.0 %**<!-- = accuracy("a") -->', '**86.5 %**<!-- = accuracy("a") -->'),
        ('1.00<!-- = accuracy("a") -->', '86.55<!-- = accuracy("a") -->'),
        ('+1 points<!-- = accuracy("a") - accuracy("b") -->', None),
        ('\u22121<!-- = accuracy("b") - accuracy("a") -->', "\u221219<!-- = "),
        ('\u22121.0<!-- = accuracy("none") -->', "+0.0<!-- = "),
        ('1,000<!-- = 100 * accuracy("a") -->', "8,655<!-- = "),
        ("about 1.97M<!-- = 2 -->", "about 2.00M<!-- = 2 -->"),
    ],
)
def test_numbers_keep_the_form_they_are_written_in(stale, fresh):
    fresh = fresh or '+19 points<!-- = accuracy("a") - accuracy("b") -->'
    found = prose.refreshed(README, f"So {stale}.")
    assert found.startswith(f"So {fresh}")
    assert prose.refreshed(README, found) == found


def test_numbers_without_a_comment_are_left_alone():
    assert prose.refreshed(README, "In 2015, 3x3 <!-- a remark -->") == (
        "In 2015, 3x3 <!-- a remark -->"
    )


def test_only_the_markdown_of_a_notebook_is_prose():
    cited = '1<!-- = accuracy("a") -->'
    cells = [{"cell_type": kind, "source": [cited]} for kind in ("markdown", "code")]
    fresh = prose.refreshed(Path("a.ipynb"), json.dumps({"cells": cells}))
    sources = ["".join(cell["source"]) for cell in json.loads(fresh)["cells"]]
    assert sources == ['87<!-- = accuracy("a") -->', cited]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('It wins.<!-- if accuracy("b") > accuracy("a") -->', "no longer true"),
        ('It wins.<!-- if accuracy("c") -->', "cannot be computed"),
        ('1 %<!-- = accuracy("c") -->', "cannot be computed"),
        ("some<!-- = 1 -->", "no number stands before `1`"),
        ('1<!-- = __import__("os") -->', "cannot be computed"),
    ],
)
def test_what_is_no_longer_true_is_named(text, fault):
    with pytest.raises(ValueError, match=f"README.md: .*{fault}"):
        prose.refreshed(README, text)


def test_a_condition_that_holds_changes_nothing():
    text = 'It wins.<!-- if accuracy("a") > accuracy("b") -->'
    assert prose.refreshed(README, text) == text


@pytest.mark.parametrize("path", prose.documents(), ids=lambda path: path.name)
def test_documents_say_what_the_records_say(path, monkeypatch):
    monkeypatch.undo()
    text = path.read_text(encoding="utf-8")
    assert prose.refreshed(path, text) == text, "stale: run python -m helpers prose"


def test_a_cell_of_a_table_is_named_exactly(tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.config.FIGURES", tmp_path)
    facts._table.cache_clear()
    (tmp_path / "t.csv").write_text("model,method,gain\ncct,A,0.5\ncct,B,0.25\n")
    assert facts.cell("t", "gain", model="cct", method="B") == 0.25
    with pytest.raises(ValueError, match="2 rows"):
        facts.cell("t", "gain", model="cct")
    with pytest.raises(ValueError, match="no columns"):
        facts.cell("t", "loss", model="cct")
    with pytest.raises(ValueError, match="is not there"):
        facts.cell("u", "gain")
    facts._table.cache_clear()
