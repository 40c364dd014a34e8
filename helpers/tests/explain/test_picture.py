"""A user's own picture."""

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from helpers import __main__ as command_line
from helpers import data, training
from helpers.records import runs

MODEL = "cifar10/cnn_baseline/described"


@pytest.fixture(autouse=True)
def no_figure_is_left():
    yield
    plt.close("all")


def main(*arguments):
    return command_line.main(["explain", *map(str, arguments)])


def test_a_picture_is_explained(photograph, capsys):
    assert main(photograph, "--model", MODEL) == 0
    said, drawn = capsys.readouterr().out.splitlines()
    model = training.load_model(runs.read(MODEL))
    logits = model.predict_on_batch(data.read_picture(photograph)[None])
    best = data.CIFAR10_CLASSES[logits.argmax()]
    assert said.startswith(f"CNN baseline: {best} ")
    file = photograph.with_name("mine.png-explained.png")
    assert drawn == f"{file}: maps for {best}"
    with Image.open(file) as image:
        assert image.width > 500


def test_pictures_of_one_name_have_drawings_of_their_own(photograph, capsys):
    photograph.with_suffix(".jpg").write_bytes(photograph.read_bytes())
    for ending in ("png", "jpg"):
        assert main(photograph.with_suffix(f".{ending}"), "--model", MODEL) == 0
        assert f"mine.{ending}-explained.png: maps" in capsys.readouterr().out


def test_another_class_and_file_can_be_chosen(photograph, tmp_path, capsys):
    file = tmp_path / "new" / "drawn.png"
    assert main(photograph, "--model", MODEL, "--label", "ship", "--file", file) == 0
    assert f"{file}: maps for ship" in capsys.readouterr().out
    assert file.exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["missing.png"], "No such file"),
        (["notes.txt"], "notes.txt is no picture that can be read: pass a PNG or JPEG"),
        (["torn.png"], "torn.png is damaged or cut off: pass a PNG or JPEG"),
        (["."], ". is a folder: pass one picture in it, a PNG or JPEG"),
        (["mine.png", "--file", "./mine.png"], "is the picture itself: choose another name"),
        (["mine.png", "--label", "unicorn"], "unknown class 'unicorn': choose from airplane"),
        (["mine.png", "--file", "drawn.pdf"], "drawn.pdf: choose a name that ends in .png"),
        (["mine.png", "--model", "cifar10/none/none"], "cifar10/none/none"),
    ],
)
def test_bad_input_is_one_line(photograph, tmp_path, monkeypatch, capsys, arguments, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("no picture")
    whole = photograph.read_bytes()
    (tmp_path / "torn.png").write_bytes(whole[:60] + b"\xff" * 20 + whole[80:])
    files = sorted(tmp_path.iterdir())
    assert main(*arguments, *([] if "--model" in arguments else ["--model", MODEL])) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert text in said
    assert said.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == files
    assert photograph.read_bytes() == whole
