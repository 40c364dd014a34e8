"""What is said about a folder before training on it."""

import shutil

import numpy as np
import pytest
from PIL import Image
from test_folders import make

from helpers import data


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CIFAR_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path):
    parts = {"train/a": 60, "train/b": 25, "test/a": 6, "test/b": 6}
    return make(tmp_path / "f", parts)


def test_images_are_counted_by_class_and_part(folder):
    report = data.folder_report(data.load_folder(folder))
    assert list(report.counts.columns) == ["train", "validation", "test"]
    assert report.counts.loc["a"].tolist() == [51, 9, 6]
    assert report.counts.loc["b"].tolist() == [21, 4, 6]
    assert report.notes == (
        "a has 2.4 times the training images of b: look at macro recall beside accuracy, and try "
        "class weights.",
        "Guessing a each time is right for 50 % of the 12 test images.",
    )


def test_nothing_is_found_where_nothing_is_wrong(folder):
    report = data.folder_report(data.load_folder(folder))
    assert len(report.unreadable) == len(report.duplicates) == len(report.near_duplicates) == 0
    assert "a 51 9 6" in " ".join(str(report).split())
    assert "uplicates" not in str(report)


def test_a_drawn_test_part_is_counted_as_the_seed_draws_it(tmp_path):
    found = data.load_folder(make(tmp_path / "f", {"a": 40, "b": 20}))
    report = data.folder_report(found, seed=5)
    assert report.counts.to_numpy().tolist() == [[28, 6, 6], [14, 3, 3]]
    with pytest.raises(ValueError, match="own-f is split already: pass what load_folder gave"):
        data.folder_report(data.prepare("own-f", 5, found).data)


def test_sizes_are_those_of_the_files(folder):
    Image.new("RGB", (90, 20)).save(folder / "train" / "a" / "long.png")
    Image.new("RGB", (400, 300)).save(folder / "test" / "a" / "large.png")
    report = data.folder_report(data.load_folder(folder))
    assert report.sizes.loc["width"].tolist() == [40, 40, 400]
    assert report.sizes.loc["height"].tolist() == [20, 36, 300]
    assert "1 picture is smaller than 32 pixels, and enlarged." in report.notes
    assert "1 picture is more than twice as long as wide: only the middle is seen." in (
        report.notes
    )


def test_classes_with_few_images_are_named(tmp_path):
    folder = make(tmp_path / "f", {"a": 40, "b": 22, "c": 3})
    notes = data.folder_report(data.load_folder(folder)).notes
    assert "Fewer than 20 images to learn from: b, c." in notes
    assert "Fewer than 5 images to judge by: b, c." in notes


def test_copies_are_found_wherever_they_are(folder):
    shutil.copy(folder / "train/a/03.png", folder / "test/a/copy.png")
    shutil.copy(folder / "train/a/04.png", folder / "train/b/copy.png")
    report = data.folder_report(data.load_folder(folder))
    rows = report.duplicates[["group", "file", "class"]].to_numpy().tolist()
    assert rows == [
        [1, "train/a/03.png", "a"],
        [1, "test/a/copy.png", "a"],
        [2, "train/a/04.png", "a"],
        [2, "train/b/copy.png", "b"],
    ]
    for note in (
        "4 pictures are not the only one of the same pixels.",
        "1 test image is also trained or validated on: delete the copies.",
        "1 picture is in two classes or more: keep one of each.",
    ):
        assert note in report.notes
    assert "Duplicates:" in str(report)


def test_near_copies_across_parts_are_found(folder):
    for other, twin, turned in (
        ("train/a/03.png", "test/a/one.jpg", False),
        ("train/b/05.png", "test/a/two.jpg", True),
        ("train/b/06.png", "train/b/unseen.jpg", False),  # on one side
    ):
        picture = Image.open(folder / other)
        if turned:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        picture.save(folder / twin, quality=98, subsampling=0)
    found = data.load_folder(folder)
    report = data.folder_report(found)
    near = report.near_duplicates.set_index("test file")
    assert set(near.index) == {"test/a/one.jpg", "test/a/two.jpg"}
    assert near["file"].to_dict() == {
        "test/a/one.jpg": "train/a/03.png",
        "test/a/two.jpg": "train/b/05.png",
    }
    assert near["mirrored"].to_dict() == {"test/a/one.jpg": False, "test/a/two.jpg": True}
    assert near["same class"].to_dict() == {"test/a/one.jpg": True, "test/a/two.jpg": False}
    assert (near["correlation"] > 0.95).all()
    split = data.prepare("own-f", 0, found)
    train = set(found.train_files[split.train_index])
    assert all((part == "train") == (file in train) for part, file in near[["part", "file"]].values)
    assert any(note.startswith("2 test images are like one trained") for note in report.notes)


def test_what_was_left_out_is_said(folder):
    (folder / "train/a/00.png").write_bytes(b"")
    (folder / "train/a/list.csv").write_text("0")
    report = data.folder_report(data.load_folder(folder, skip_unreadable=True))
    assert report.unreadable.to_numpy().tolist() == [["train/a/00.png", "is empty"]]
    assert "1 picture is left out, being unreadable." in report.notes
    assert "1 file ending in .csv left aside." in report.notes
    assert "Unreadable:" in str(report)


def test_a_darker_copy_is_a_near_copy(tmp_path, sample):
    """Photographs, and the same ones darkened."""
    for part, factor in (("train", 1), ("test", 0.8)):
        for i in range(10):
            target = tmp_path / "f" / part / sample.classes[i % 2]
            target.mkdir(parents=True, exist_ok=True)
            pixels = (sample.x_train[i * 7] * factor).astype(np.uint8)
            Image.fromarray(pixels).save(target / f"{i}.png")
    report = data.folder_report(data.load_folder(tmp_path / "f"))
    assert len(report.duplicates) == 0
    assert len(report.near_duplicates) == 10
    assert report.near_duplicates["same class"].all()
