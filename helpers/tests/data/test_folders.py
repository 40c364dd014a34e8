"""Users' folders of pictures: what lies in them, what is wrong with them, and the arrays."""

import errno
import os
import shutil
import tracemalloc
import unicodedata

import numpy as np
import pytest
from PIL import Image

from helpers import data
from helpers.data import folders, pictures
from helpers.data.listing import list_folder


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("CIFAR_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "own"


@pytest.fixture
def unread(monkeypatch):
    """From its call on, no picture may be read."""

    def refuse():
        def read(path, size):
            raise AssertionError(f"{path} was read")

        monkeypatch.setattr(pictures, "read_within_limits", read)

    return refuse


def make(root, counts, ending=".png"):
    """Noise in files of these counts, by folder; each picture of 40 x 36 pixels is another."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            rng = np.random.default_rng([i, *name.encode()])
            pixels = rng.integers(0, 256, (36, 40, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i:02}{ending}")
    return root


def test_classes_alone_give_images_labels_and_names(tmp_path):
    folder = make(tmp_path / "my fruit", {"pear": 4, "apple": 5})
    found = data.load_folder(folder)
    assert found.name == "own-my_fruit"
    assert found.classes == ("apple", "pear")
    assert found.x_train.shape == (9, 32, 32, 3)
    assert found.x_train.dtype == np.uint8
    assert found.y_train.tolist() == [0] * 5 + [1] * 4
    assert len(found.x_test) == len(found.y_test) == 0
    assert found.train_files[5] == "pear/00.png"
    assert found.train_sizes.tolist() == [[40, 36]] * 9
    assert np.array_equal(found.x_train[5], data.read_picture(folder / "pear" / "00.png"))


def test_the_size_can_be_chosen(tmp_path):
    folder = make(tmp_path / "f", {"a": 3, "b": 3})
    assert data.load_folder(str(folder), size=64).x_train.shape == (6, 64, 64, 3)
    for size in (33, "32", 32.0):
        text = f"size {size!r}: choose a multiple of 8 from 16 to 512"
        with pytest.raises(ValueError, match=text):
            data.load_folder(folder, size=size)


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "test"])
def test_one_part_beside_train_tests(tmp_path, name):
    folder = make(tmp_path / "f", {"train/a": 4, "train/b": 4, f"{name}/a": 2, f"{name}/b": 1})
    found = data.load_folder(folder)
    assert len(found.y_train) == 8
    assert found.y_test.tolist() == [0, 0, 1]
    assert found.val_index is None
    assert found.test_files[0] == f"{name}/a/00.png"
    split = data.prepare("own-f", 0, found)
    assert split.data.x_test is found.x_test
    assert sorted([*split.train_index, *split.val_index]) == list(range(8))


def test_a_folder_s_own_validation_part_is_kept(tmp_path):
    parts = {"train/a": 3, "train/b": 3, "val/a": 2, "val/b": 1, "test/a": 1, "test/b": 2}
    found = data.load_folder(make(tmp_path / "f", parts))
    assert found.y_test.tolist() == [0, 1, 1]
    for seed in (0, 1):
        split = data.prepare("own-f", seed, found)
        assert split.train_index.tolist() == [0, 1, 2, 3, 4, 5]
        assert found.train_files[split.val_index].tolist() == [
            "val/a/00.png",
            "val/a/01.png",
            "val/b/00.png",
        ]


def test_train_alone_is_split_like_no_parts(tmp_path):
    make(tmp_path / "f", {"train/a": 10, "train/b": 6})
    whole = data.load_folder(tmp_path / "f")
    inner = data.load_folder(tmp_path / "f" / "train")
    ours, theirs = data.prepare("own-f", 3, whole), data.prepare("own-train", 3, inner)
    assert np.array_equal(whole.x_train, inner.x_train)
    assert np.array_equal(ours.val_index, theirs.val_index)
    assert np.array_equal(ours.data.test_index, theirs.data.test_index)


def test_missing_parts_are_drawn_from_each_class_by_seed(tmp_path):
    found = data.load_folder(make(tmp_path / "f", {"a": 40, "b": 20, "c": 3}), size=16)
    splits = [data.prepare("own-f", seed, found) for seed in (0, 0, 1)]
    for split in splits:
        parts = split.train_index, split.val_index, split.data.test_index
        assert sorted(np.concatenate(parts)) == list(range(63))
        counts = [np.bincount(found.y_train[part]).tolist() for part in parts]
        assert counts == [[28, 14, 1], [6, 3, 1], [6, 3, 1]]
        assert np.array_equal(split.data.x_test, found.x_train[split.data.test_index])
        assert np.array_equal(split.data.y_test, found.y_train[split.data.test_index])
        assert split.data.test_files[0] == found.train_files[split.data.test_index[0]]
    first, again, other = (split.data.test_index.tolist() for split in splits)
    assert first == again != other
    first, again, other = (split.val_index.tolist() for split in splits)
    assert first == again != other


def test_a_variant_of_one_s_own_needs_its_data(tmp_path, sample):
    found = data.load_folder(make(tmp_path / "f", {"a": 3, "b": 3}))
    for name, passed in (("own-f", None), ("own-f", sample), ("own-g", found)):
        with pytest.raises(ValueError, match=f"{name} is a user's own: pass the data that"):
            data.prepare(name, 0, passed)


def test_a_class_may_be_called_train(tmp_path):
    folder = make(tmp_path / "f", {"train": 3, "test": 3, "car": 3})
    assert data.load_folder(folder).classes == ("car", "test", "train")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("ants_and_bees", "own-ants_and_bees"),
        ("Käfer [2024]", "own-Käfer_2024"),
        (unicodedata.normalize("NFD", "Käfer"), "own-Käfer"),
        (".hidden", "own-hidden"),
        ("***", "own-pictures"),
    ],
)
def test_the_name_is_safe_in_paths_and_patterns(tmp_path, name, safe):
    assert folders.own_name(tmp_path / name) == safe


def test_what_systems_leave_is_no_picture_and_no_class(tmp_path):
    folder = make(tmp_path / "f", {"a": 3, "b": 3, ".git": 1, "__MACOSX": 1, "a/.thumbnails": 1})
    for litter in (".DS_Store", "a/.DS_Store", "a/Thumbs.db", "b/desktop.ini", "a/._00.png"):
        (folder / litter).write_bytes(b"litter")
    (folder / "a" / "notes.txt").write_text("mine")
    shutil.copy(folder / "a" / "00.png", folder / "loose.png")
    found = data.load_folder(folder)
    assert found.classes == ("a", "b")
    assert len(found.y_train) == 6
    assert found.left_aside == {"ending in .txt": 1, "in no folder of a class": 1}


def test_names_of_all_kinds_are_read(tmp_path):
    folder = make(tmp_path / "f", {"große Käfer": 3, "b": 3, "b/inner": 1})
    (folder / "b" / "00.png").rename(folder / "b" / "Ein Bild (1).PNG")
    (folder / "b" / "01.png").rename(folder / "b" / "名.Png")
    found = data.load_folder(folder)
    assert found.classes == ("b", "große Käfer")
    assert set(found.train_files[:4]) == {
        "b/02.png",
        "b/Ein Bild (1).PNG",
        "b/inner/00.png",
        "b/名.Png",
    }


def test_letters_composed_otherwise_are_the_same_class(tmp_path):
    one, other = (unicodedata.normalize(form, "Käfer") for form in ("NFC", "NFD"))
    folder = make(tmp_path / "f", {f"train/{one}": 3, "train/b": 3, f"val/{other}": 1, "val/b": 1})
    assert data.load_folder(folder).classes == (one, "b")


LAYOUTS = [  # folders, what the error says
    ({}, "f holds no folders: put the pictures into a folder a class"),
    ({".": 2}, "f holds pictures but no folders: put the pictures into a folder a class"),
    ({"a": 3}, "f has one class only, a: add a folder of pictures of another class"),
    ({"in/a": 3, "in/b": 3}, r"one class only, in: add .*, or pass \S+/f/in$"),
    ({"train/a": 3, "val/a": 1}, "one class only, a"),
    ({"a": 3, "b": 0}, r"no pictures in \S+/f/b: add some, or delete the class in every part"),
    ({"a": 3, "b": 0, "c": 0}, r"no pictures in \S+/f/b, \S+/f/c: add some"),
    (
        {"train/a": 3, "train/b": 3, "test/a": 1, "test/c": 1},
        "parts differ in their classes: \\S+/f/train lacks c; \\S+/f/test lacks b: add",
    ),
    ({"train/a": 3, "train/b": 3, "val/a": 1, "val/b": 0}, r"no pictures in \S+/f/val/b"),
    ({"train/a": 3, "train/b": 3, "test": 2}, "f/test holds no folders: put its pictures into"),
    ({"val/a": 3, "val/b": 3}, "f has val but no train: add a folder train"),
    ({"train/a": 3, "valid/a": 1, "val/a": 1}, "f has both val and valid: put their pictures"),
    ({"train/a": 3, "train/b": 3, "extra/c": 1}, "f has extra beside train: move it elsewhere"),
    ({"a": 3, "b": 2}, r"too few pictures .*: \S+/f/b has 2 of at least 3: add pictures, or"),
    ({"train/a": 1, "train/b": 3, "val/a": 1, "val/b": 1}, r"f/train/a has 1 of at least 2"),
]


@pytest.mark.parametrize(("counts", "text"), LAYOUTS)
def test_a_layout_that_cannot_be_used_says_what_to_do(tmp_path, counts, text):
    (tmp_path / "f").mkdir()
    folder = make(tmp_path / "f", counts)
    with pytest.raises(data.DataError, match=text) as caught:
        data.load_folder(folder)
    assert "\n" not in str(caught.value)


def test_no_folder_says_so(tmp_path):
    with pytest.raises(data.DataError, match="none does not exist: pass the folder that holds"):
        data.load_folder(tmp_path / "none")
    with pytest.raises(data.DataError, match="nouser/here does not exist"):
        data.load_folder("~nouser/here")
    (tmp_path / "f.zip").write_bytes(b"PK")
    with pytest.raises(data.DataError, match=r"f\.zip is a file: pass a folder .* unpacked"):
        data.load_folder(tmp_path / "f.zip")


@pytest.fixture
def broken(tmp_path):
    """Three pictures a class that are whole, and four that are not."""
    folder = make(tmp_path / "f", {"a": 5, "b": 5})
    (folder / "a" / "01.png").write_bytes(b"")
    (folder / "a" / "03.png").write_bytes(b"no picture")
    whole = (folder / "b" / "02.png").read_bytes()
    (folder / "b" / "02.png").write_bytes(whole[: len(whole) // 2])
    (folder / "b" / "04.png").unlink()
    (folder / "b" / "04.png").symlink_to("nowhere.png")
    return folder


REASONS = {
    "a/01.png": "is empty",
    "a/03.png": "is no picture that can be read",
    "b/02.png": "is damaged or cut off",
    "b/04.png": "cannot be opened (No such file or directory)",
}


@pytest.mark.parametrize("link", ["loop.png", "loop"])
def test_a_link_to_itself_is_no_picture_and_no_folder(tmp_path, link):
    folder = make(tmp_path / "f", {"a": 5, "b": 5})
    (folder / "a" / link).symlink_to(link)
    (folder / "loop").symlink_to("loop")
    found = data.load_folder(folder, skip_unreadable=True)
    assert found.classes == ("a", "b")
    assert list(found.unreadable) == (["a/loop.png"] if link == "loop.png" else [])


def test_all_that_cannot_be_read_is_said_at_once(broken, unread):
    for _ in range(2):  # the second time from the cache
        with pytest.raises(data.UnreadableError) as caught:
            data.load_folder(broken)
        assert caught.value.reasons == REASONS
        first, *lines = str(caught.value).splitlines()
        assert first.startswith(f"4 pictures of {broken} cannot be read: mend or delete")
        assert lines == [f"  {file} {reason}" for file, reason in REASONS.items()]
        unread()


def test_what_cannot_be_read_can_be_left_out(broken):
    found = data.load_folder(broken, skip_unreadable=True)
    kept = ["a/00.png", "a/02.png", "a/04.png", "b/00.png", "b/01.png", "b/03.png"]
    assert found.train_files.tolist() == kept
    assert found.unreadable == REASONS
    for image, file in zip(found.x_train, kept, strict=True):
        assert np.array_equal(image, data.read_picture(broken / file))
    (broken / "b" / "03.png").write_bytes(b"")
    with pytest.raises(data.DataError, match=r"unreadable ones don't count\): \S+/b has 2 of at"):
        data.load_folder(broken, skip_unreadable=True)


def test_a_second_start_reads_arrays(tmp_path, unread):
    folder = make(tmp_path / "f", {"train/a": 3, "train/b": 3, "val/a": 1, "val/b": 2})
    first = data.load_folder(folder)
    unread()
    second = data.load_folder(folder)
    assert second.sha256 == first.sha256
    for key in ("x_train", "y_train", "x_test", "y_test", "train_files", "test_sizes"):
        assert np.array_equal(getattr(first, key), getattr(second, key))


@pytest.mark.parametrize("change", ["added", "deleted", "renamed", "written", "relabelled"])
def test_a_changed_folder_is_noticed(tmp_path, change):
    folder = make(tmp_path / "f", {"a": 4, "b": 4})
    data.load_folder(folder)
    one = folder / "a" / "00.png"
    if change == "added":
        shutil.copy(one, folder / "a" / "new.png")
    elif change == "deleted":
        one.unlink()
    elif change == "renamed":
        one.rename(folder / "a" / "new.png")
    elif change == "relabelled":
        one.rename(folder / "b" / "new.png")
    else:  # as many bytes, and the old time
        times = one.stat().st_mtime_ns, one.stat().st_mtime_ns
        content = (folder / "b" / "00.png").read_bytes()
        one.write_bytes(content)
        os.utime(one, ns=times)
    found = data.load_folder(folder)
    files = sorted(str(file.relative_to(folder)) for file in folder.glob("*/*"))
    assert found.train_files.tolist() == files
    assert [found.classes[label] for label in found.y_train] == [file[0] for file in files]
    for image, file in zip(found.x_train, files, strict=True):
        assert np.array_equal(image, data.read_picture(folder / file))


def test_other_folders_and_sizes_have_their_own_arrays(tmp_path, home, unread):
    one = make(tmp_path / "one" / "f", {"a": 3, "b": 3})
    other = make(tmp_path / "other" / "f", {"c": 3, "d": 3})
    wanted = [(one, 32), (other, 32), (one, 16)]
    first = [data.load_folder(folder, size) for folder, size in wanted]
    unread()
    again = [data.load_folder(folder, size) for folder, size in wanted]
    assert [x.sha256 for x in first] == [x.sha256 for x in again]
    assert len(list(home.glob("*.npz"))) == 3


@pytest.mark.parametrize("damage", ["cut", "other pixels", "empty"])
def test_damaged_arrays_are_made_anew(tmp_path, home, damage):
    folder = make(tmp_path / "f", {"a": 3, "b": 3})
    found = data.load_folder(folder)
    (kept,) = home.glob("*.npz")
    if damage == "other pixels":
        arrays = dict(np.load(kept))
        arrays["images"] = arrays["images"] ^ 1
        np.savez(kept, **arrays)
    else:
        kept.write_bytes(kept.read_bytes()[: 2000 * (damage == "cut")])
    assert data.load_folder(folder).sha256 == found.sha256
    assert np.array_equal(data.load_folder(folder).x_train, found.x_train)


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CIFAR_HOME", str(tmp_path / "file"))
    assert len(data.load_folder(make(tmp_path / "f", {"a": 3, "b": 3})).y_train) == 6
    assert "cannot be kept" in capsys.readouterr().err


def test_a_picture_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    usual = Image.open

    def refuse(path, **settings):
        if path.name == "01.png":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return usual(path, **settings)

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(data.UnreadableError) as caught:
        data.load_folder(make(tmp_path / "f", {"a": 3, "b": 3}))
    denied = "cannot be opened (Permission denied)"
    assert caught.value.reasons == {"a/01.png": denied, "b/01.png": denied}


def test_a_full_disk_is_no_obstacle_and_left_as_it_was(tmp_path, home, monkeypatch, capsys):
    def fill(file, **arrays):
        file.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", fill)
    assert len(data.load_folder(make(tmp_path / "f", {"a": 3, "b": 3})).y_train) == 6
    assert "No space left on device): make room" in capsys.readouterr().err
    assert not list(home.glob("*.npz"))


def test_what_a_kill_left_is_overwritten(tmp_path, home):
    folder = make(tmp_path / "f", {"a": 3, "b": 3})
    data.load_folder(folder)
    (kept,) = home.glob("*.npz")
    beside = kept.rename(kept.with_suffix(".writing.npz"))
    data.load_folder(folder)
    assert kept.exists()
    assert not beside.exists()


def test_the_sample_as_files_gives_its_arrays(tmp_path, sample):
    for part, images, labels in (
        ("train", sample.x_train, sample.y_train),
        ("test", sample.x_test, sample.y_test),
    ):
        for i in range(300):
            target = tmp_path / "f" / part / sample.classes[labels[i]]
            target.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[i]).save(target / f"{i:05}.png")
    found = data.load_folder(tmp_path / "f")
    assert found.classes == sample.classes
    for files, ours, labels, theirs, their_labels in (
        (found.train_files, found.x_train, found.y_train, sample.x_train, sample.y_train),
        (found.test_files, found.x_test, found.y_test, sample.x_test, sample.y_test),
    ):
        index = [int(file[-9:-4]) for file in files]
        assert sorted(index) == list(range(300))
        assert np.array_equal(ours, theirs[index])
        assert np.array_equal(labels, their_labels[index])


MAPPED = [  # folders; files that are empty
    ({"a": 9, "b": 8}, []),
    ({"train/a": 6, "train/b": 5, "val/a": 2, "val/b": 1}, []),
    ({"train/a": 6, "train/b": 4, "val/a": 2, "val/b": 1, "test/a": 1, "test/b": 3}, []),
    ({"a": 9, "b": 8}, ["a/00.png", "a/05.png", "a/06.png", "a/07.png", "b/07.png"]),
]


@pytest.mark.parametrize("block", [1, 3, 100])
@pytest.mark.parametrize(("counts", "broken"), MAPPED)
def test_what_is_made_of_images_in_blocks_is_what_is_made_of_all(
    tmp_path, monkeypatch, counts, broken, block
):
    monkeypatch.setattr(folders, "BLOCK", block)
    folder = make(tmp_path / "f", counts)
    for name in broken:
        (folder / name).write_bytes(b"")
    whole = data.load_folder(folder, 16, skip_unreadable=True)
    found = folders.map_folder(list_folder(folder), np.copy, 16, skip_unreadable=True)
    of_whole, of_found = (data.prepare("own-f", 1, pictures) for pictures in (whole, found))
    for ours, theirs in ((found, whole), (of_found, of_whole), (of_found.data, of_whole.data)):
        assert vars(ours).keys() == vars(theirs).keys()
        for key in vars(ours).keys() - {"data"}:
            np.testing.assert_array_equal(getattr(ours, key), getattr(theirs, key), key)
    assert len(found.unreadable) == len(broken)


def test_few_images_are_in_memory_at_a_time(tmp_path, monkeypatch):
    folder = make(tmp_path / "f", {"a": 20, "b": 20})
    monkeypatch.setattr(folders, "BLOCK", 8)
    listing, at_once = list_folder(folder), []

    def mean(images):
        at_once.append(len(images))
        return images.mean(axis=(1, 2))

    tracemalloc.start()
    try:
        found = folders.map_folder(listing, mean, 512)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.x_train.shape == (40, 3)
    assert at_once == [8] * 5
    assert peak < (8 + 4) * 512**2 * 3  # 4 more: what it takes to read one


def test_nothing_is_made_once_a_picture_cannot_be_read(broken, monkeypatch):
    monkeypatch.setattr(folders, "BLOCK", 1)
    made = []
    with pytest.raises(data.UnreadableError) as caught:
        folders.map_folder(list_folder(broken), lambda images: made.append(1) or images)
    assert caught.value.reasons == REASONS
    assert len(made) == 1  # of a/00.png
    with pytest.raises(data.UnreadableError) as caught:
        folders.folder_sha256(list_folder(broken))
    assert caught.value.reasons == REASONS


def test_all_pictures_of_a_folder_may_be_unreadable(tmp_path):
    folder = make(tmp_path / "f", {"a": 3, "b": 3})
    for file in folder.glob("*/*"):
        file.write_bytes(b"")
    with pytest.raises(data.DataError, match="too few pictures"):
        folders.map_folder(list_folder(folder), np.copy, skip_unreadable=True)


@pytest.mark.parametrize("mapped_before", [False, True])
def test_digests_are_those_of_the_images_and_read_once(tmp_path, home, unread, mapped_before):
    folder = make(tmp_path / "f", {"a": 3, "b": 3})
    expected = data.load_folder(folder, 64).sha256
    (whole,) = home.glob("*.npz")
    whole.unlink()
    if mapped_before:
        folders.map_folder(list_folder(folder), len_of_each, 64)
    else:
        assert folders.folder_sha256(list_folder(folder), 64) == expected
    unread()
    assert folders.folder_sha256(list_folder(folder), 64) == expected
    (kept,) = home.glob("*.npz")
    assert kept.stat().st_size < 64**2 * 3  # fewer bytes than one image has
    (folder / "a" / "00.png").write_bytes((folder / "b" / "00.png").read_bytes())
    with pytest.raises(AssertionError, match="was read"):
        folders.folder_sha256(list_folder(folder), 64)


def len_of_each(images):
    return np.ones(len(images))


def test_pictures_that_test_are_read_when_they_are_asked_for(tmp_path, unread):
    found = data.load_folder(make(tmp_path / "f", {"a": 12, "b": 12}))
    test = data.prepare("own-f", 0, found).data
    larger = test.test_pictures(64)
    assert len(larger) == len(test.y_test) == 4
    chosen = [2, 0]
    expected = data.load_folder(tmp_path / "f", 64).x_train[test.test_index[chosen]]
    np.testing.assert_array_equal(larger[np.array(chosen)], expected)
    unread()
    with pytest.raises(AssertionError, match="was read"):
        larger[np.array([1])]
