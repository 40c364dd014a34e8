"""What a result was made with, and what two sessions of a training differ in."""

import pytest

from helpers import backend, config
from helpers.records import provenance


def made_with(**changes):
    hardware = {"cpu": "x", "cores": changes.pop("cores", 2), "gpu": None}
    return {
        "backend": "tensorflow",
        "versions": {"python": "3.11", "numpy": "2.4"},
        "hardware": hardware,
        "code_version": "abc",
        "code_sha256": "1",
        "onednn": "1",
        "arithmetic": "float32",
        "alone": True,
    } | changes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"alone": False}, []),
        ({"code_version": "def"}, []),  # a commit of something else
        ({"code_sha256": "2"}, ["code"]),
        ({"cores": 1}, ["threads"]),
        ({"versions": {"python": "3.11", "numpy": "2.5"}}, ["package versions"]),
        ({"onednn": "0", "arithmetic": "bfloat16"}, ["TF_ENABLE_ONEDNN_OPTS", "arithmetic"]),
        ({"devices": 2}, ["devices"]),
    ],
)
def test_differences_are_those_that_can_change_numbers(changes, words):
    assert provenance.differences(made_with(), made_with(**changes)) == words


def older():
    late = ("code_sha256", "onednn", "arithmetic", "alone")
    return {key: value for key, value in made_with().items() if key not in late}


def test_what_an_older_record_lacks_is_no_difference_and_joined_all_the_same():
    assert provenance.differences(older(), made_with()) == []
    assert provenance.differences(older(), made_with(code_version="def")) == ["code"]
    joined = provenance.joined([older(), made_with(cores=1)])
    assert joined["code_sha256"] == "None, then 1"
    assert joined["hardware"]["cores"] == "2, then 1"
    assert joined["versions"] == made_with()["versions"]
    assert joined["alone"] is None


def test_over_how_many_devices_is_told_where_they_are_several():
    assert "devices" not in provenance.record() | provenance.joined([older(), made_with()])
    assert provenance.record(devices=2)["devices"] == 2
    one, two = made_with(), made_with(devices=2)
    assert provenance.joined([two, two])["devices"] == 2
    assert provenance.joined([one, two])["devices"] == "1, then 2"
    assert provenance.joined([two, one])["devices"] == "2, then 1"


@pytest.mark.parametrize(
    ("sessions", "together"),
    [([True, True], True), ([None, True], None), ([True, None, False], False)],
)
def test_a_training_was_alone_if_all_its_sessions_were(sessions, together):
    records = [made_with(alone=alone) for alone in sessions]
    assert provenance.joined(records)["alone"] is together


@pytest.mark.parametrize(
    ("others", "alone"),
    [(0.0, True), (1.5, True), (2.5, False), (20.0, False)],  # of 10 s on 2 cores
)
def test_what_others_compute_meanwhile_is_counted(others, alone, monkeypatch, tmp_path):
    monkeypatch.setattr(backend, "on_gpu", lambda: False)
    monkeypatch.setattr(provenance, "cores", lambda: 2)
    monkeypatch.setattr(provenance, "CPU_TIMES", tmp_path / "stat")
    monkeypatch.setattr(provenance.os, "sysconf", lambda name: 100, raising=False)

    def at(clock, busy, own):
        # User, nice, system, idle, iowait, irq, softirq, steal, guest, in hundredths.
        (tmp_path / "stat").write_text(f"cpu {busy * 100:.0f} 0 0 777 7 0 0 0 5 0\ncpu0 1 2 3\n")
        monkeypatch.setattr(provenance.time, "monotonic", lambda: clock)
        monkeypatch.setattr(provenance.time, "process_time", lambda: own)

    at(100.0, 50.0, 3.0)
    since = provenance.computed()
    at(110.0, 50.0 + 15.0 + others, 3.0 + 15.0)
    assert provenance.alone(since) is alone


def test_whether_it_was_alone_is_not_known_everywhere(monkeypatch, tmp_path):
    monkeypatch.setattr(backend, "on_gpu", lambda: False)
    monkeypatch.setattr(provenance, "CPU_TIMES", tmp_path / "none")
    assert provenance.computed() is None
    assert provenance.alone(None) is None


def test_code_s_digest_tells_states_apart_and_leaves_out_tests(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "ROOT", tmp_path)
    module, test = tmp_path / "helpers" / "room" / "a.py", tmp_path / "helpers" / "tests" / "t.py"
    for path in (module, test):
        path.parent.mkdir(parents=True)
        path.write_text("one")
    first = provenance.code_sha256()
    test.write_text("two")
    assert provenance.code_sha256() == first
    module.write_text("two")
    assert provenance.code_sha256() != first
    module.write_text("one")
    module.rename(module.with_name("b.py"))
    assert provenance.code_sha256() != first
