"""Files that are written whole or not at all, and what a kill or a full disk leaves behind."""

import errno
import io
import zipfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from helpers import config, files
from helpers.results import plots, tables


def fill(path):
    """As a disk does that has room for a part."""
    path.write_bytes(b"half")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_gets_its_name_at_the_end(tmp_path):
    path = tmp_path / "new" / "file.npz"
    with files.whole(path, 10) as beside:
        assert beside.name == "file.writing.npz"
        np.savez(beside, x=np.arange(3))
        assert not path.exists()
    assert [found.name for found in path.parent.iterdir()] == ["file.npz"]
    assert files.arrays(path, "none")["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("before", [None, b"old"])
def test_a_full_disk_leaves_what_was_there_and_says_what_it_takes(tmp_path, before):
    path = tmp_path / "file.npz"
    if before:
        path.write_bytes(before)
    text = r"file\.npz cannot be written \(No space left on device\): it takes 12 MB, in a folder"
    with pytest.raises(files.NotWritten, match=text), files.whole(path, 11_000_001) as beside:
        fill(beside)
    assert (path.read_bytes() if path.exists() else None) == before
    assert len(list(tmp_path.iterdir())) == bool(before)


def test_one_full_disk_is_told_of_once(tmp_path):
    def record():
        with files.whole(tmp_path / "run", 1) as folder:
            folder.mkdir()
            with files.whole(folder / "run.json", 1) as beside:
                fill(beside)

    with pytest.raises(files.NotWritten) as told:
        record()
    assert str(told.value).count("cannot be written (No space left on device)") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing_half_written(tmp_path):
    def record():
        with files.whole(tmp_path / "run", 1) as folder:
            folder.mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record()
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_is_replaced(tmp_path):
    left = files.unfinished(tmp_path / "run")
    left.mkdir()
    (left / "half").touch()
    with files.whole(tmp_path / "run", 1) as folder:
        folder.mkdir()
    assert list((tmp_path / "run").iterdir()) == []


def test_figures_that_cannot_be_written_are_shown_and_that_is_said_once(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "figures").touch()  # no folder: as good as read-only, also for root
    monkeypatch.setattr(config, "FIGURES", tmp_path / "figures")
    table = pd.DataFrame({"x": [0.123456]})
    for name in ("02_cnn/one", "02_cnn/two"):
        figure = plt.figure()
        assert plots.save(figure, name) == tmp_path / "figures" / f"{name}.png"
        assert tables.save(table, name)["x"].tolist() == [0.1235]
        assert plt.fignum_exists(figure.number)
        plt.close(figure)
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "figures cannot be written to (" in said
    assert "figures and tables are only shown" in said


def test_long_work_is_refused_where_its_result_could_not_be_written(tmp_path):
    files.require_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(files.NotWritten, match="file cannot be written"):
        files.require_writable(tmp_path / "file")


@pytest.mark.parametrize("shape", [(10**12, 3), (10**6, 10**9)])
def test_a_header_that_claims_terabytes_is_damage_and_not_a_lack_of_memory(tmp_path, shape):
    header = io.BytesIO()
    about = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, about)
    path = tmp_path / "file.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(12))
    text = r"file\.npz is damaged \(x\.npy claims more .*: delete it"
    with pytest.raises(ValueError, match=text):
        files.arrays(path, "delete it")


def test_a_lack_of_memory_is_no_damage(tmp_path, monkeypatch):
    def lacking(self, key):
        raise MemoryError

    np.savez(tmp_path / "file.npz", x=np.arange(3))
    monkeypatch.setattr(files.NpzFile, "__getitem__", lacking)
    with pytest.raises(MemoryError):
        files.arrays(tmp_path / "file.npz", "delete it")
