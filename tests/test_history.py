"""Histories from directories of a few lines, and why some directories have none."""

import json

import pytest
from written import ROWS, changed, result, row, write_run

from factorexe.history import read, read_all
from factorexe.rundir import RunError


def test_an_unfinished_run_has_rows_and_levels_but_no_intervals(tmp_path):
    history = read(write_run(tmp_path / "run"))
    assert history.options["task"] == {"name": "addition", "digits": 3}
    assert history.rows == ROWS
    assert history.curve("solved/val") == {100: 0.25, 200: 0.9, 300: 0.99, 400: 0.99, 500: 0.99}
    assert history.levels("ood") == {4: 0.2, 5: 0.2}
    assert history.intervals == {}


def test_a_curve_begins_where_its_column_does(tmp_path):
    rows = [row(100), row(200) | {"canary/acc_wrong": 0.5}]
    assert read(write_run(tmp_path / "run", rows=rows)).curve("canary/acc_wrong") == {200: 0.5}


def test_levels_come_in_order_of_difficulty(tmp_path):
    more = {f"solved_by_difficulty/seen/{level}": 1.0 for level in (12, 10, 9)}
    assert list(read(write_run(tmp_path / "run", rows=[row(1) | more])).levels("seen")) == [2, 3, 9, 10, 12]


def test_a_finished_run_has_the_intervals_of_its_result(tmp_path):
    history = read(write_run(tmp_path / "run", record=result()))
    assert history.intervals["val"] == {2: (0.96, 1.0), 3: (0.95, 0.995)}


def test_a_run_that_is_being_extended_is_ahead_of_its_result(tmp_path):
    assert read(write_run(tmp_path / "run", record=result(steps=400))).intervals == {}


def test_what_only_the_test_verb_wrote_is_not_read(tmp_path):
    path = write_run(tmp_path / "run")
    (path / "test.json").write_text(json.dumps(result()))
    assert read(path).intervals == {}


def test_a_run_named_twice_is_read_once_and_the_order_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b", "a"):
        write_run(tmp_path / name)
    histories = read_all(["b", "a", tmp_path / "b", "a/../b"])
    assert [str(history.path) for history in histories] == ["b", "a"]


def test_runs_of_different_tasks_are_refused_by_name(tmp_path):
    first, second = write_run(tmp_path / "a"), write_run(tmp_path / "b", options=changed(task={"name": "sorting"}))
    with pytest.raises(RunError, match=r"expected runs of one task \(got addition \(.*a\), sorting \(.*b\)\)"):
        read_all([first, second])


def test_one_task_with_different_options_is_one_task(tmp_path):
    first, second = write_run(tmp_path / "a"), write_run(tmp_path / "b", options=changed(task__digits=4))
    assert len(read_all([first, second])) == 2


def refused(path):
    with pytest.raises(RunError) as caught:
        read(path)
    return str(caught.value)


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    assert "absent is not a run: it has no config.yaml" in refused(tmp_path / "absent")
    assert "is not a run" in refused(tmp_path)
    (tmp_path / "file").touch()
    assert "file is not a run" in refused(tmp_path / "file")


def test_a_run_without_an_evaluation_is_refused(tmp_path):
    path = write_run(tmp_path / "run", rows=None)
    assert "has no evaluation yet" in refused(path)
    (path / "metrics.csv").write_text("step,solved/val\n")
    assert "has no evaluation yet" in refused(path)


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("config.yaml", "task: [", "config.yaml cannot be read"),
        ("config.yaml", "- task\n", "config.yaml is damaged: expected the options of a run"),
        ("metrics.csv", "step,a\n1,half\n", "metrics.csv is damaged: line 2: expected numbers"),
        ("metrics.csv", "step,a\n1,2\n", "metrics.csv is damaged: expected columns solved_by_difficulty/"),
        ("metrics.csv", "step,solved_by_difficulty/val/x\n1,2\n", "metrics.csv is damaged: expected columns"),
        ("result.json", "{", "result.json cannot be read"),
        ("result.json", "[]", "result.json is damaged: expected the record of a run"),
        ("result.json", '{"steps": 500, "interval_by_difficulty": {"val": {"2": 1.0}}}', "result.json is damaged"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, text, part):
    path = write_run(tmp_path / "run")
    (path / name).write_text(text)
    assert part in refused(path)
