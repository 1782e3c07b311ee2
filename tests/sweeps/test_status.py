"""What is said of a run: counted when it begins, taken back after a clean stop, readable whatever stands there."""

import json

import pytest

from factorexe.sweeps.status import Status, forget, read, settled, write


def test_it_is_read_as_it_was_written(tmp_path):
    status = Status("failed", 2, "node3 4711", "2026-01-01T10:00:00+0000", 12.5, "ValueError: no", "Traceback ...")
    write(tmp_path / "new" / "run", status)
    assert read(tmp_path / "new" / "run") == status
    assert [path.name for path in (tmp_path / "new" / "run").iterdir()] == ["status.json"]


def test_an_attempt_counts_when_it_begins_and_a_clean_stop_takes_it_back():
    once = Status().begun("a 1")
    assert (once.state, once.attempts) == ("running", 1)
    assert (once.taken_back(2.0).state, once.taken_back(2.0).attempts) == ("stopped", 0)
    assert once.ended_badly("no", None, 1.0, final=False).begun("b 2").attempts == 2
    assert Status().taken_back(0.0).attempts == 0


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '"text"', "{}x", '{"state": "asleep"}', '{"attempts": -1}', '{"attempts": "two"}',
     '{"attempts": true}', '{"attempts": 1.5}', '{"error": 3}', '{"state": []}', '{"more": 1}', "[" * 5000, "\x00"],
)  # fmt: skip
def test_one_that_is_damaged_is_none(tmp_path, content):
    (tmp_path / "status.json").write_text(content)
    assert read(tmp_path) == Status()
    assert settled(tmp_path) is None


def test_bytes_that_are_no_text_are_none(tmp_path):
    (tmp_path / "status.json").write_bytes(b"\xff\xfe\x00")
    assert read(tmp_path) == Status()


def test_a_result_is_the_truth_whatever_the_status_says(tmp_path):
    assert settled(tmp_path) is None
    write(tmp_path, Status("finished"))
    assert settled(tmp_path) is None
    write(tmp_path, Status("failed", 4))
    assert settled(tmp_path) == "failed"
    (tmp_path / "result.json").write_text(json.dumps({}))
    assert settled(tmp_path) == "finished"


def test_a_failure_is_forgotten_with_its_attempts_and_nothing_else_is(tmp_path):
    write(tmp_path / "failed", Status("failed", 4, error="no"))
    write(tmp_path / "begun", Status("running", 1))
    assert [forget(tmp_path / name) for name in ("failed", "begun", "absent")] == [True, False, False]
    assert read(tmp_path / "failed") == Status("stopped", 0, error="no")
    assert read(tmp_path / "begun").attempts == 1
