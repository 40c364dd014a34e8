"""`python -m helpers study`: what it hands to the notebook, and what it leaves."""

import json

import papermill
import pytest
import tiny

from helpers import __main__ as command_line
from helpers import config, data, models
from helpers.commands import cluster
from helpers.commands import study as command
from helpers.models import lite
from helpers.records import runs


@pytest.fixture
def given(tmp_path, monkeypatch):
    """A folder of pictures, and a notebook that is not executed: its parameters are kept."""
    given = {"folder": data.example_folder(tmp_path / "f", {"dog": 8, "frog": 8})}
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": 1, "outputs": []}
    cell |= {"source": "secret = 1"}
    cells = [cell]
    for tag, text in (("notebook", "Do this"), ("any", "What came out"), ("answer", "Take it")):
        about = {"cell_type": "markdown", "id": tag, "metadata": {"tags": [tag]}}
        cells.append(about | {"source": f"# {text}"})
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}

    def execute(source, target, parameters, **settings):
        given.update(parameters=parameters, source=source)
        with open(target, "w") as file:
            json.dump(notebook, file)

    def missing(body):
        raise FileNotFoundError("run pip install it")

    monkeypatch.setattr(papermill, "execute_notebook", execute)
    monkeypatch.setattr(lite, "_load_imagenet", missing)
    monkeypatch.setattr(config, "OWN", tmp_path / "own")
    monkeypatch.setenv("CIFAR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setitem(models.BUILDERS, "tiny", tiny.model)
    return given


def study(given, *more):
    options = ["--models", "tiny", "--seeds", "0", "1", "--epochs", "2"]
    return command_line.main(["study", str(given["folder"]), *options, *more])


def test_a_folder_in_the_study_out(given, capsys):
    assert study(given) == 0
    out = capsys.readouterr().out
    assert "dog" in out.partition("2 of 2 runs are to be trained: about a minute here")[0]
    assert "1 of 2 runs are done: about a minute more" in out
    assert "without a pre-trained network: run pip install it" in out
    target = config.OWN / "f"
    assert (target / "tiny_few_2_epochs.keras").exists()
    assert len(list(target.glob("runs/own-f/tiny/few_2_epochs/seed?/run.json"))) == 2
    page = (target / command.NOTEBOOK).with_suffix(".html").read_text(encoding="utf-8")
    head, _, body = page.partition("</head>")
    assert "<title>f: which network" in head
    places = [body.index(text) for text in ("f: which network", "Take it", "What came out")]
    assert places == sorted(places)
    assert "secret" not in page
    assert "Do this" not in page
    assert given["parameters"] == {
        "FOLDER": str(given["folder"]),
        "MODELS": ["tiny"],
        "SEEDS": [0, 1],
        "SIZE": 32,
        "EPOCHS": 2,
        "CLASS_WEIGHTS": "where uneven",
        "SKIP_UNREADABLE": False,
    }
    assert study(given) == 0
    assert "all 2 runs are recorded already" in capsys.readouterr().out


def test_the_notebook_has_these_parameters(given):
    assert study(given) == 0
    with open(config.ROOT / "notebooks" / command.NOTEBOOK, encoding="utf-8") as file:
        cells = json.load(file)["cells"]
    first = next(cell for cell in cells if cell["cell_type"] == "code")
    assert first["metadata"]["tags"] == ["parameters"]
    names = [line.partition(" = ")[0] for line in first["source"]]
    assert names == list(given["parameters"])


def test_what_a_cluster_trains_of_a_study_is_told_of_its_pictures(given, capsys, monkeypatch):
    asked = []

    def do(todo, options, pictures):
        asked.extend(todo)
        for job in todo[: None if options.cluster == "whole" else 1]:
            job.do(pictures=pictures)
        return int(options.cluster != "whole")

    monkeypatch.setattr(cluster, "do", do)
    assert study(given, "--cluster", "torn") == 1
    said = capsys.readouterr()
    assert "2 of 2 runs are to be trained on torn" in said.out
    assert said.err.startswith("error: not all runs could be trained, as said above")
    assert study(given, "--cluster", "whole") == 0
    assert "1 of 2 runs are to be trained on whole" in capsys.readouterr().out
    assert [job.seed for job in asked] == [0, 1, 1]
    run = runs.read("own-f/tiny/few_2_epochs", 1)
    assert all(job.pictures_sha256 == run.info["data_sha256"] for job in asked)


def test_an_interrupted_study_goes_on(given, capsys, monkeypatch):
    with tiny.interrupted_after_each_epoch(monkeypatch):
        assert study(given) == 130
    assert "goes on from the last epoch" in capsys.readouterr().err
    assert study(given) == 0


def test_a_folder_that_is_not_there_is_an_error_of_one_line(given, tmp_path, capsys):
    given["folder"] = tmp_path / "none"
    assert study(given) == 1
    assert capsys.readouterr().err.startswith("error: ")
