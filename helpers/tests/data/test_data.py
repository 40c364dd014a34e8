"""Loading, verifying, splitting and thinning out; archives are built as the official ones are."""

import errno
import hashlib
import http.client
import io
import os
import shutil
import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock

from helpers import config, data, files
from helpers.data import sources, splits

# ---- the embedded sample


def test_sample_has_200_training_and_100_test_images_a_class(sample):
    assert sample.x_train.shape == (2000, 32, 32, 3)
    assert sample.x_test.shape == (1000, 32, 32, 3)
    assert sample.x_train.dtype == sample.x_test.dtype == np.uint8
    assert np.bincount(sample.y_train).tolist() == [200] * 10
    assert np.bincount(sample.y_test).tolist() == [100] * 10
    assert sample.is_sample


def test_sample_knows_the_places_of_its_images(sample):
    for index, images, whole in (
        (sample.train_index, 2000, 50000),
        (sample.test_index, 1000, 10000),
    ):
        assert len(index) == images
        assert (np.diff(index) > 0).all()
        assert index[0] >= 0
        assert index[-1] < whole


def test_sample_is_lossless(sample):
    assert hashlib.sha256(sample.x_train.tobytes()).hexdigest() == (
        "4e5ac895e46a9b569a45d0220f845bd1c317a6bbb96ae905af26bf5b6ca10a16"
    )
    assert hashlib.sha256(sample.x_test.tobytes()).hexdigest() == (
        "cc2bd4479eda140793858a9ea7f9016e6870fefd7f69f172720267e933ec44a5"
    )


def test_sample_is_part_of_cifar10(sample, whole_cifar10):
    np.testing.assert_array_equal(sample.x_train, whole_cifar10.x_train[sample.train_index])
    np.testing.assert_array_equal(sample.y_train, whole_cifar10.y_train[sample.train_index])
    np.testing.assert_array_equal(sample.x_test, whole_cifar10.x_test[sample.test_index])
    np.testing.assert_array_equal(sample.y_test, whole_cifar10.y_test[sample.test_index])


def test_sample_tests_on_the_first_100_of_each_class(sample, whole_cifar10):
    first = [np.flatnonzero(whole_cifar10.y_test == label)[:100] for label in range(10)]
    assert sample.test_index.tolist() == np.sort(np.concatenate(first)).tolist()


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_labels_without_images_are_the_official_ones(name):
    for part, labels in zip(("train", "test"), data.official_labels(name), strict=True):
        assert labels.dtype == np.int64
        digest = hashlib.sha256(labels.astype(np.uint8).tobytes()).hexdigest()
        assert digest == data.SOURCES[name].sha256[f"y_{part}"]


def test_embedded_labels_are_those_of_the_sample(sample):
    for part, labels in zip(("train", "test"), data.official_labels(), strict=True):
        of_sample = labels[getattr(sample, f"{part}_index")]
        np.testing.assert_array_equal(of_sample, getattr(sample, f"y_{part}"))


# ---- splits and subsets


def test_split_is_disjoint_complete_and_sorted():
    train, val = data.split(np.arange(500) % 10, seed=0)
    assert sorted([*train, *val]) == list(range(500))
    assert (np.diff(train) > 0).all()
    assert (np.diff(val) > 0).all()


def test_split_takes_a_tenth_of_each_class():
    labels = np.repeat([0, 1, 2], [1000, 200, 50])
    train, val = data.split(labels, seed=3)
    assert np.bincount(labels[val]).tolist() == [100, 20, 5]
    assert np.bincount(labels[train]).tolist() == [900, 180, 45]


@pytest.mark.parametrize(
    "choose",
    [
        lambda labels, seed: data.split(labels, seed)[1],
        lambda labels, seed: data.subset(labels, 0.3, seed),
        lambda labels, seed: data.imbalance(labels, {"cat": 0.5}, data.CIFAR10_CLASSES, seed),
    ],
    ids=["split", "subset", "imbalance"],
)
def test_seed_alone_chooses_the_images(choose):
    labels = np.arange(500) % 10
    assert choose(labels, 1).tolist() == choose(labels, 1).tolist()
    assert choose(labels, 1).tolist() != choose(labels, 2).tolist()


@pytest.mark.parametrize(
    ("keep", "counts"),
    [
        ({}, [40] * 10),
        ({"cat": 0.2, "deer": 0.2, "dog": 0.2}, [40, 40, 40, 8, 8, 8, 40, 40, 40, 40]),
        ({"truck": 0.5, "airplane": 0.1}, [4, 40, 40, 40, 40, 40, 40, 40, 40, 20]),
        ({"frog": 1.0}, [40] * 10),
        ({"frog": 0.03}, [40, 40, 40, 40, 40, 40, 1, 40, 40, 40]),  # 1.2 images, rounded
    ],
)
def test_imbalance_cuts_the_named_classes_only(keep, counts):
    labels = np.arange(400) % 10
    kept = data.imbalance(labels, keep, data.CIFAR10_CLASSES, seed=0)
    assert np.bincount(labels[kept]).tolist() == counts
    assert (np.diff(kept) > 0).all()


def test_subset_keeps_the_fraction_of_each_class():
    labels = np.repeat([0, 1, 2], [100, 60, 20])
    kept = data.subset(labels, 0.05, seed=0)
    assert np.bincount(labels[kept]).tolist() == [5, 3, 1]


@pytest.mark.parametrize(
    ("variant", "train", "val"),
    [
        ("cifar10", [180] * 10, [20] * 10),
        ("cifar10-imbalanced", [180] * 3 + [36] * 3 + [180] * 4, [20] * 3 + [4] * 3 + [20] * 4),
        ("cifar10-imbalanced_easy", [180, 36] + [180] * 6 + [36] * 2, [20, 4] + [20] * 6 + [4] * 2),
        ("cifar10-thinned", [180] * 3 + [36] * 3 + [180] * 4, [20] * 10),
        ("cifar10-5pct", [9] * 10, [1] * 10),
        ("cifar10-20pct", [36] * 10, [4] * 10),
    ],
)
def test_prepare_thins_out_then_splits(sample, variant, train, val):
    split = data.prepare(variant, seed=0, data=sample)
    assert np.bincount(split.y_train).tolist() == train
    assert np.bincount(split.y_val).tolist() == val
    assert not set(split.train_index) & set(split.val_index)
    np.testing.assert_array_equal(split.x_val, sample.x_train[split.val_index])


@pytest.mark.parametrize(
    ("variant", "train", "val"),
    [
        ("cifar10", "209040a1f0151222", "481cb67ad1926e38"),
        ("cifar10-imbalanced", "413c3715dfdaf48f", "6f60ccd2caefd146"),
        ("cifar10-imbalanced_easy", "71107d39c137089f", "dccc06d06d926206"),
        ("cifar10-thinned", "9579d5dc0db03d6d", "481cb67ad1926e38"),
        ("cifar10-5pct", "ae84241bb1d164ab", "038f66d45bb92b4e"),
        ("cifar10-20pct", "c12f628878b111df", "2b9132b1e2372f52"),
        ("cifar10-permuted", "6c3602d881ccd7aa", "72707bd5d3a226bb"),
    ],
)
def test_seed_0_chooses_the_same_images_as_ever(sample, variant, train, val):
    whole = replace(sample, y_train=data.official_labels()[0])  # a split looks at nothing else
    split = data.prepare(variant, 0, whole)
    for index, digest in ((split.train_index, train), (split.val_index, val)):
        assert hashlib.sha256(index.astype("<i8").tobytes()).hexdigest()[:16] == digest
    assert data.training_images(variant) == len(split.train_index)


def test_permuted_labels_are_those_of_other_images(sample):
    labels, _ = data.official_labels()
    whole = replace(sample, y_train=labels)  # a split looks at nothing else
    permuted = data.prepare("cifar10-permuted", seed=0, data=whole)
    own = labels[permuted.train_index]
    assert np.bincount(permuted.y_train).tolist() == np.bincount(own).tolist() == [90] * 10
    assert 0.05 < (permuted.y_train == own).mean() < 0.15  # a tenth, by chance
    np.testing.assert_array_equal(permuted.y_val, labels[permuted.val_index])
    again = data.prepare("cifar10-permuted", seed=0, data=whole)
    np.testing.assert_array_equal(again.y_train, permuted.y_train)
    other = data.prepare("cifar10-permuted", seed=1, data=whole)
    assert (other.data.y_train != permuted.data.y_train).any()


def test_prepare_loads_the_variant_s_source(monkeypatch, sample):
    asked = []
    monkeypatch.setattr(splits, "load", lambda name: asked.append(name) or sample)
    data.prepare("cifar10-imbalanced", seed=0)
    assert asked == ["cifar10"]


@pytest.mark.parametrize(
    ("variant", "images"),
    [
        ("cifar10", 45_000),
        ("cifar10-imbalanced", 34_200),  # 90 % of 7 x 5,000 + 3 x 1,000
        ("cifar10-5pct", 2_250),
        ("cifar100", 45_000),
    ],
)
def test_training_images_are_counted_without_data(variant, images):
    assert data.training_images(variant) == images


def test_whole_cifar10_splits_45000_to_5000(whole_cifar10):
    split = data.prepare("cifar10", 0, whole_cifar10)
    assert np.bincount(split.y_train).tolist() == [4500] * 10
    assert np.bincount(split.y_val).tolist() == [500] * 10


def test_inverse_frequency_by_hand():
    weights = data.inverse_frequency(np.array([0, 0, 0, 1, 2, 2]), 3)
    assert weights.tolist() == [6 / 9, 6 / 3, 6 / 6]


def test_effective_number_by_hand():
    labels = np.array([0, 0, 0, 1])
    # (1 - 0.5^n) / (1 - 0.5) is 1.75 images of three, and 1 of one.
    inverse = np.array([1 / 1.75, 1])
    np.testing.assert_allclose(
        data.effective_number(labels, 2, beta=0.5), 2 * inverse / inverse.sum()
    )


# ---- bad requests


def test_a_split_leaves_images_on_both_sides():
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\)"):
        data.split(np.arange(100) % 10, 0, fraction=1)


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5, float("nan")])
def test_fraction_outside_0_to_1(fraction):
    labels = np.arange(100) % 10
    for call in (
        lambda: data.split(labels, 0, fraction),
        lambda: data.subset(labels, fraction, 0),
        lambda: data.imbalance(labels, {"cat": fraction}, data.CIFAR10_CLASSES, 0),
    ):
        with pytest.raises(ValueError, match=r"in \(0, 1[\])]"):
            call()


def test_unknown_class():
    with pytest.raises(ValueError, match=r"\['fish'\].*airplane, automobile"):
        data.imbalance(np.arange(10), {"fish": 0.5}, data.CIFAR10_CLASSES, 0)


def test_fraction_that_empties_a_class():
    with pytest.raises(ValueError, match="none of its 10 images: raise its fraction"):
        data.imbalance(np.arange(100) % 10, {"cat": 0.01}, data.CIFAR10_CLASSES, 0)


def test_class_without_images():
    with pytest.raises(ValueError, match=r"\[1, 3\] have no images"):
        data.inverse_frequency(np.array([0, 2, 2]), 4)


def test_too_few_images_to_split():
    with pytest.raises(ValueError, match="too few images to split"):
        data.split(np.arange(10), 0)


def test_unknown_names():
    with pytest.raises(ValueError, match="unknown data set 'mnist': choose from cifar10"):
        data.load("mnist")
    with pytest.raises(ValueError, match="unknown data variant 'cifar11': choose from cifar10"):
        data.prepare("cifar11", 0)


# ---- official archives


@dataclass
class Official:
    """A small archive in the official layout, and what is in it."""

    name: str
    archive: object  # path
    cache: object  # path
    arrays: dict

    @property
    def file(self):
        return self.cache / f"{self.name}.npz"


def record(image, *labels) -> bytes:
    """Label bytes, then the red, green and blue plane, each by rows."""
    planes = [image[:, :, channel].tobytes() for channel in range(3)]
    return bytes(labels) + b"".join(planes)


def add(tar, name, content: bytes):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def publish(official, monkeypatch, members, **source):
    """Write the archive, and make it the official one."""
    with tarfile.open(official.archive, "w:gz") as tar:
        for name, content in members.items():
            add(tar, name, content)
    replaced = replace(
        data.SOURCES[official.name],
        url=official.archive.as_uri(),
        md5=hashlib.md5(official.archive.read_bytes()).hexdigest(),
        **source,
    )
    monkeypatch.setitem(data.SOURCES, official.name, replaced)
    monkeypatch.setenv("CIFAR_HOME", str(official.cache))


@pytest.fixture
def cifar10(tmp_path, monkeypatch, sample):
    """50 training images in five files, 10 test images."""
    arrays = {
        "x_train": sample.x_train[:50],
        "y_train": sample.y_train[:50],
        "x_test": sample.x_test[:10],
        "y_test": sample.y_test[:10],
    }
    official = Official("cifar10", tmp_path / "served.tar.gz", tmp_path / "cache", arrays)
    train = list(map(record, arrays["x_train"], arrays["y_train"]))
    test = list(map(record, arrays["x_test"], arrays["y_test"]))
    folder = "cifar-10-batches-bin"
    members = {
        f"{folder}/data_batch_{i}.bin": b"".join(train[10 * (i - 1) : 10 * i]) for i in range(1, 6)
    }
    members[f"{folder}/test_batch.bin"] = b"".join(test)
    publish(official, monkeypatch, members, sha256=digests(arrays))
    return official


@pytest.fixture
def cifar100(tmp_path, monkeypatch, sample):
    """300 training and 40 test images with made-up fine and coarse labels, in no order."""
    shuffled = np.random.default_rng(0).permutation
    fine = {"train": shuffled(np.repeat(np.arange(100), 3)), "test": shuffled(np.arange(40) // 2)}
    arrays, archived = {}, {}
    for part, labels in fine.items():
        images = getattr(sample, f"x_{part}")[: len(labels)].copy()
        images[::2, 0] = 255  # so that often a later byte decides
        own = {"x": images, "y": labels, "coarse": labels // 5}
        order = sorted(range(len(labels)), key=lambda i: [labels[i], *images[i].ravel()])
        assert order != list(range(len(labels)))
        for kind, values in own.items():
            archived[f"{kind}_{part}"] = values
            arrays[f"{kind}_{part}"] = values[order]
    official = Official("cifar100", tmp_path / "served.tar.gz", tmp_path / "cache", arrays)
    members = {
        f"cifar-100-binary/{part}.bin": b"".join(
            map(record, archived[f"x_{part}"], archived[f"coarse_{part}"], archived[f"y_{part}"])
        )
        for part in fine
    }
    publish(official, monkeypatch, members, sha256=digests(arrays))
    return official


def digests(arrays):
    return {
        key: hashlib.sha256(value.astype(np.uint8).tobytes()).hexdigest()
        for key, value in arrays.items()
    }


def assert_holds(loaded, arrays):
    for key, expected in arrays.items():
        np.testing.assert_array_equal(getattr(loaded, key), expected, err_msg=key)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_official_archive_is_unpacked_and_kept(name, request, no_network_later):
    official = request.getfixturevalue(name)
    assert_holds(data.load(name), official.arrays)
    no_network_later()
    assert_holds(data.load(name), official.arrays)


@pytest.fixture
def no_network_later(request):
    return lambda: request.getfixturevalue("no_network")


def test_cifar10_labels_are_int64_and_its_classes_named(cifar10):
    loaded = data.load("cifar10")
    assert loaded.y_train.dtype == loaded.y_test.dtype == np.int64
    assert loaded.classes == data.CIFAR10_CLASSES
    assert not loaded.is_sample
    assert loaded.train_index.tolist() == list(range(50))


def test_cifar100_has_fine_and_coarse_labels_and_names(cifar100):
    loaded = data.load("cifar100")
    assert loaded.classes == data.CIFAR100_CLASSES
    assert loaded.coarse_classes == data.CIFAR100_COARSE_CLASSES
    assert loaded.coarse_train.dtype == loaded.y_train.dtype == np.int64
    assert loaded.sha256 == data.SOURCES["cifar100"].sha256


def test_cifar100_of_another_order_is_brought_into_ours(cifar100):
    data.load("cifar100")
    for part in ("train", "test"):
        keys = (f"{kind}_{part}" for kind in ("x", "y", "coarse"))
        change(cifar100.file, **dict.fromkeys(keys, lambda array: np.roll(array, 7, axis=0)[::-1]))
    loaded = data.load("cifar100")
    assert_holds(loaded, cifar100.arrays)
    assert loaded.sha256 == data.SOURCES["cifar100"].sha256


@pytest.mark.parametrize("key", ["x_train", "y_train", "coarse_train", "y_test", "coarse_test"])
def test_tampered_cifar100_is_refused(cifar100, key):
    data.load("cifar100")
    change(cifar100.file, **{key: lambda array: np.roll(array, 1, axis=0)})
    with pytest.raises(data.DataError, match=f"{key} are not the official arrays: delete"):
        data.load("cifar100")


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (None, "coarse_train missing"),
        (lambda array: array[:-1], r"coarse_train is uint8 \(299,\), not int \(300,\)"),
        (lambda array: array + 1, "labels 1 to 20, not 0 to 19"),
    ],
)
def test_coarse_labels_that_are_none(cifar100, function, text):
    data.load("cifar100")
    change(cifar100.file, coarse_train=function)
    with pytest.raises(data.DataError, match=f"{text}.*delete"):
        data.load("cifar100")


@pytest.mark.parametrize(("name", "counts"), [("cifar10", (10, 0)), ("cifar100", (100, 20))])
def test_names_of_classes_are_distinct_and_alphabetical(name, counts):
    source = data.SOURCES[name]
    for names, count in zip((source.classes, source.coarse_classes), counts, strict=True):
        assert len(set(names)) == count
        assert list(names) == sorted(names)


def test_whole_cifar100_is_known_by_its_labels(whole_cifar100):
    for part, labels in zip(("train", "test"), data.official_labels("cifar100"), strict=True):
        np.testing.assert_array_equal(getattr(whole_cifar100, f"y_{part}"), labels)
    # Published with the set: the superclass of maples and oaks, of palms, pines and willows.
    trees = whole_cifar100.coarse_classes.index("trees")
    members = np.unique(whole_cifar100.y_test[whole_cifar100.coarse_test == trees])
    assert [whole_cifar100.classes[i] for i in members] == [
        *("maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree")
    ]


def test_archive_that_lacks_a_file(cifar10, monkeypatch):
    lacking = replace(data.SOURCES["cifar10"], test_files=("test_batch_2.bin",))
    monkeypatch.setitem(data.SOURCES, "cifar10", lacking)
    with pytest.raises(data.DataError, match=r"lacks test_batch_2\.bin"):
        data.load("cifar10")


# ---- failed downloads


def answer(read):
    """What `urlopen` returns, as far as it is used."""

    class Answer(SimpleNamespace):
        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

    return Answer(read=read)


def fails(error):
    def read():
        raise error

    return read


FAILURES = {
    "no network": (lambda body: fails(urllib.error.URLError("no route")), "connect to the network"),
    "slow network": (lambda body: fails(TimeoutError("timed out")), "connect to the network"),
    "broken connection": (
        lambda body: fails(http.client.IncompleteRead(body[:100], len(body))),
        "connect to the network",
    ),
    "half a download": (lambda body: lambda: body[: len(body) // 2], "damaged or incomplete"),
    "a damaged byte": (lambda body: lambda: body[:-1] + b"?", "damaged or incomplete"),
    "a page instead": (lambda body: lambda: b"<html>Log in</html>", "damaged or incomplete"),
}


def assert_nothing_is_left(cache):
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


@pytest.mark.parametrize("failure", FAILURES)
def test_failed_download_leaves_nothing_behind(cifar10, monkeypatch, failure):
    read, text = FAILURES[failure]
    body = cifar10.archive.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(urllib.request, "urlopen", lambda *a, **k: answer(read(body)))
        with pytest.raises(data.DataError, match=text):
            data.load("cifar10")
    assert_nothing_is_left(cifar10.cache)
    assert_holds(data.load("cifar10"), cifar10.arrays)


def test_what_another_process_downloads_meanwhile_is_not_downloaded_again(cifar10, monkeypatch):
    body = cifar10.archive.read_bytes()

    class Slow(FileLock):
        def acquire(self, *arguments, **settings):
            monkeypatch.setattr(sources, "FileLock", FileLock)
            data.load("cifar10")  # by the other process, while this one waits
            monkeypatch.setattr(urllib.request, "urlopen", lambda *a, **k: pytest.fail("again"))
            return super().acquire(*arguments, **settings)

    monkeypatch.setattr(urllib.request, "urlopen", lambda *a, **k: answer(lambda: body))
    monkeypatch.setattr(sources, "FileLock", Slow)
    assert_holds(data.load("cifar10"), cifar10.arrays)


def test_full_disk_is_named(cifar10, monkeypatch):
    def full(path, **arrays):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    text = r"cifar10\.npz .*No space left.*make room for 1 GB there, or set CIFAR_HOME"
    with pytest.raises(data.DataError, match=text):
        data.load("cifar10")
    assert_nothing_is_left(cifar10.cache)


def test_unpacking_that_is_interrupted_leaves_nothing_behind(cifar10, monkeypatch):
    def interrupted(path, **arrays):
        path.write_bytes(b"half an archive")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", interrupted)
        with pytest.raises(KeyboardInterrupt):
            data.load("cifar10")
    assert_nothing_is_left(cifar10.cache)
    assert_holds(data.load("cifar10"), cifar10.arrays)


def test_what_a_killed_download_left_is_removed(cifar10):
    left, other = (cifar10.cache / f".{name}-abcd" for name in ("cifar10", "cifar100"))
    for folder in (left, other):
        folder.mkdir(parents=True)
        (folder / "archive.tar.gz").write_bytes(b"half")
    assert_holds(data.load("cifar10"), cifar10.arrays)
    assert not left.exists()
    assert other.exists()  # it may be under way


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("CIFAR_HOME", "~nouser/x", "~nouser/x has no home folder to lie in: set CIFAR_HOME"),
        ("https_proxy", "http://proxy:port", "could not be downloaded .*nonnumeric port"),
        ("https_proxy", "http://[proxy", "could not be downloaded"),
        ("https_proxy", "http:///", "could not be downloaded"),
        ("https_proxy", f"http://{'a' * 70}.org", "could not be downloaded"),
        ("https_proxy", "http://pro xy", "could not be downloaded"),
    ],
)
def test_settings_that_make_no_sense_give_the_sample(tmp_path, monkeypatch, variable, value, text):
    monkeypatch.setenv("CIFAR_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setattr(urllib.request, "_opener", None)  # which has the proxies of its first use
    monkeypatch.setenv(variable, value)
    with pytest.raises(data.DataError, match=text):
        data.load("cifar10")
    assert data.load("cifar10", allow_sample=True).is_sample


def test_a_cache_folder_by_a_relative_name_is_told_in_full(tmp_path, monkeypatch, no_network):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CIFAR_HOME", "here/")
    with pytest.raises(data.DataError, match=f"cifar10 is not in {tmp_path / 'here'} and"):
        data.load("cifar10")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(data.DataError, match="set CIFAR_HOME to a folder"):
        data.load("cifar10")


def test_no_home_at_all_is_a_data_error(monkeypatch):
    def unknown(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("CIFAR_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", unknown)
    with pytest.raises(data.DataError, match=r"~/\.cache/cifar-study has no home .*set CIFAR_HOME"):
        data.load("cifar10")


def test_unwritable_cache_folder(tmp_path, monkeypatch, no_network):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CIFAR_HOME", str(tmp_path / "file" / "cache"))
    with pytest.raises(data.DataError, match=r"cannot write.*set CIFAR_HOME"):
        data.load("cifar10")


def test_a_folder_that_may_not_be_entered_is_named(tmp_path, monkeypatch, no_network):
    closed = tmp_path / "closed"
    monkeypatch.setenv("CIFAR_HOME", str(closed / "cache"))
    usual = os.stat

    def stat(path, *arguments, **settings):
        if str(path).startswith(str(closed)):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return usual(path, *arguments, **settings)

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(Path, "mkdir", lambda path, **settings: stat(path))
    with pytest.raises(data.DataError, match=r"cannot write.*Permission.*set CIFAR_HOME"):
        data.load("cifar10")
    assert data.load("cifar10", allow_sample=True).is_sample


def test_a_file_that_may_not_be_read_is_not_called_damaged(cifar10, monkeypatch):
    data.load("cifar10")

    def refuse(file, **settings):
        raise PermissionError(errno.EACCES, "Permission denied", file.name)

    monkeypatch.setattr(files, "NpzFile", refuse)
    with pytest.raises(data.DataError, match=r"cannot be read .*that you may read"):
        data.load("cifar10")


# ---- damaged and foreign files


def change(path, **changes):
    """Rewrite some arrays of an .npz file; None leaves one out."""
    with np.load(path) as archive:
        arrays = dict(archive)
    for key, function in changes.items():
        array = arrays.pop(key)
        if function is not None:
            arrays[key] = function(array)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("key", "function", "text"),
    [
        ("x_train", lambda a: a[:, :16], r"x_train is uint8 \(50, 16, 32, 3\), not"),
        ("x_test", lambda a: a.transpose(0, 3, 1, 2), r"x_test is uint8 \(10, 3, 32, 32\), not"),
        ("x_train", lambda a: a / 255, "x_train is float64"),
        ("y_train", lambda a: a[:-1], r"y_train is uint8 \(49,\), not int \(50,\)"),
        ("y_test", lambda a: a[:, None], r"y_test is uint8 \(10, 1\), not"),
        ("y_test", lambda a: a.astype(float), "y_test is float64"),
        ("y_train", lambda a: a + 1, "labels 1 to 10, not 0 to 9"),
        ("y_train", lambda a: a.astype(int) - 1, "labels -1 to 8, not 0 to 9"),
        ("y_test", None, "y_test missing"),
        ("x_train", lambda a: a[::-1], "x_train are not the official arrays"),
        ("y_train", lambda a: a[::-1], "y_train are not the official arrays"),
        ("x_test", lambda a: a.astype(object), "damaged"),  # would have to be unpickled
    ],
)
def test_arrays_that_are_not_cifar10(cifar10, key, function, text):
    data.load("cifar10")
    change(cifar10.file, **{key: function})
    with pytest.raises(data.DataError, match=f"{text}.*delete .* and load again"):
        data.load("cifar10")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: b"not an archive",
        lambda content: content[: len(content) // 2],
        lambda content: content[:1000] + b"?" + content[1001:],
    ],
    ids=["empty", "text", "half", "one byte"],
)
def test_damaged_file_is_refused(cifar10, spoil):
    data.load("cifar10")
    cifar10.file.write_bytes(spoil(cifar10.file.read_bytes()))
    with pytest.raises(data.DataError, match=r"cifar10\.npz is damaged.*delete"):
        data.load("cifar10")


# ---- the sample in place of the whole


def test_sample_stands_in_where_allowed_and_says_so(tmp_path, monkeypatch, no_network, capsys):
    monkeypatch.setenv("CIFAR_HOME", str(tmp_path))
    assert data.load("cifar10", allow_sample=True) is data.load_sample()
    assert "EMBEDDED SAMPLE: 2,000 training and 1,000 test images" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "allow"), [("cifar10", False), ("cifar100", True)])
def test_sample_stands_in_for_nothing_else(tmp_path, monkeypatch, no_network, name, allow):
    monkeypatch.setenv("CIFAR_HOME", str(tmp_path))
    with pytest.raises(data.DataError, match="connect to the network, or set CIFAR_HOME"):
        data.load(name, allow_sample=allow)


def test_damaged_file_is_not_hidden_by_the_sample(tmp_path, monkeypatch):
    monkeypatch.setenv("CIFAR_HOME", str(tmp_path))
    (tmp_path / "cifar10.npz").write_bytes(b"not an archive")
    with pytest.raises(data.DataError, match="damaged"):
        data.load("cifar10", allow_sample=True)


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("name", ["labels.npz", "train.webp", "test.webp"])
@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (cut, "is damaged"),
        (lambda path: path.write_bytes(b""), "is damaged"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1"), "is damaged"),
        (Path.unlink, "is missing: it belongs to the study: restore it"),
    ],
    ids=["cut", "empty", "pointer", "missing"],
)
def test_a_damaged_sample_is_named(tmp_path, monkeypatch, name, damage, text):
    folder = shutil.copytree(config.SAMPLE, tmp_path / "sample")
    monkeypatch.setattr(config, "SAMPLE", folder)
    damage(folder / name)
    unkept = [data.load_sample.__wrapped__]
    unkept += [data.official_labels.__wrapped__] if name == "labels.npz" else []
    for load in unkept:
        with pytest.raises(data.DataError, match=text) as told:
            load()
        assert str(told.value).startswith(str(folder / name))
        assert "\n" not in str(told.value)
