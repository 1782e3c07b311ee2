"""How a sweep stands, told from files of a few lines; and the verb that says it."""

import json
import os
import subprocess
import sys

import pytest
from sketched import leave, result, sketch

from factorexe.cli import main
from factorexe.sweeps.claims import Claims
from factorexe.sweeps.plan import read
from factorexe.sweeps.standing import counted, live, look

FAILED = {"state": "failed", "attempts": 4, "error": "ValueError: loss is nan\nmore", "traceback": "Traceback ..."}
STOPPED = {"state": "stopped", "attempts": 1, "seconds": 1.0}


def runs(*left):
    return [({"model.width": 32, "seed": seed}, one) for seed, one in enumerate(left)]


def standing(directory, claimed=()):
    return look(read(directory), claimed)


def test_each_run_is_in_the_state_that_its_files_tell(tmp_path):
    directory = sketch(tmp_path, runs(result(), FAILED, STOPPED, "begun", None, None))
    third = f"{4:012x}"
    found = standing(directory, {third})
    assert list(found.states.values()) == ["finished", "failed", "begun", "begun", "running", "waiting"]
    assert found.counts == {"finished": 1, "running": 1, "failed": 1, "begun": 2, "waiting": 1}
    assert found.left == 4


def test_a_result_is_the_truth_whatever_a_worker_said(tmp_path):
    directory = sketch(tmp_path, runs(FAILED))
    plan = read(directory)
    leave(plan.directory(plan.planned[0]), result())
    assert standing(directory, {plan.planned[0].id}).counts["finished"] == 1


def test_a_damaged_status_says_nothing(tmp_path):
    directory = sketch(tmp_path, runs("begun"))
    plan = read(directory)
    (plan.directory(plan.planned[0]) / "status.json").write_text("{")
    assert standing(directory).counts["begun"] == 1


def test_a_run_whose_worker_died_is_not_running(tmp_path):
    directory = sketch(tmp_path, runs(None, None))
    plan, claims = read(directory), Claims(directory.claims)
    died = "import sys; from pathlib import Path; from factorexe.sweeps.claims import Claims;"
    died += f"Claims(Path({str(directory.claims)!r})).take({plan.planned[0].id!r})"
    subprocess.run([sys.executable, "-c", died], check=True)
    alive = claims.take(plan.planned[1].id)
    assert len(claims.listed()) == 2
    assert live(plan, claims) == {plan.planned[1].id}
    alive.release()
    assert live(plan, claims) == set()


def test_the_pace_is_what_the_latest_runs_took_by_those_at_work(tmp_path):
    directory = sketch(tmp_path, runs(result(), result(), None, None, None, None, None))
    plan = read(directory)
    for planned, seconds in zip(plan.planned[:2], (10.0, 20.0), strict=True):
        leave(plan.directory(planned), {"state": "finished", "attempts": 1, "seconds": seconds})
    found = standing(directory, {planned.id for planned in plan.planned[2:4]})
    assert found.per_minute == pytest.approx(2 * 60 / 15)
    assert found.seconds_left == pytest.approx(5 * 60 / 8)
    idle = standing(directory)
    assert (idle.per_minute, idle.seconds_left) == (None, None)


def test_only_the_latest_twenty_results_tell_the_pace(tmp_path):
    directory = sketch(tmp_path, runs(*[result()] * 21, None))
    plan = read(directory)
    for number, planned in enumerate(plan.planned[:21]):
        seconds = 1000.0 if number == 0 else 6.0
        leave(plan.directory(planned), {"state": "finished", "attempts": 1, "seconds": seconds})
        os.utime(plan.directory(planned) / "result.json", (number, number))
    assert standing(directory, {plan.planned[-1].id}).per_minute == pytest.approx(10)


def test_counts_are_one_sentence():
    assert counted(["finished"] * 37 + ["failed"] * 2 + ["running"]) == (
        "37 of 40 runs are finished; 2 failed, 1 is running"
    )
    assert counted(["finished"]) == "1 of 1 runs are finished"
    assert counted(["begun", "waiting", "waiting"]) == "0 of 3 runs are finished; 1 is begun, 2 are waiting"


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Types a command below the place of a sketched sweep: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    return lambda line: (main(line.split()), *capsys.readouterr())


def test_status_names_what_failed_and_where_its_traceback_is(tmp_path, command):
    sketch(tmp_path, runs(result(), FAILED, None))
    code, out, err = command("sweep status sweeps/widths")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "widths: 1 of 3 runs are finished; 1 failed, 1 is waiting",
        "nobody is at work on it; to go on: factorexe sweep run sweeps/widths",
        "",
        "failed     000000000001  seed 1",
        "           ValueError: loss is nan",
        f"           traceback in {tmp_path}/runs/addition/transformer/000000000001/status.json",
    ]


def test_many_failures_are_cut_short_and_json_has_them_all(tmp_path, command):
    sketch(tmp_path, runs(*[FAILED] * 13))
    out = command("sweep status sweeps/widths")[1]
    assert out.count("ValueError") == 10
    assert out.endswith("3 more failed; --json has them all\n")
    found = json.loads(command("sweep status sweeps/widths --json")[1])
    assert [found[name] for name in ("name", "runs", "failed", "finished")] == ["widths", 13, 13, 0]
    assert found["failures"][12]["options"] == {"model.width": 32, "seed": 12}
    assert found["failures"][12]["error"] == "ValueError: loss is nan"


def test_watching_a_sweep_that_is_done_ends_at_once(tmp_path, command):
    sketch(tmp_path, runs(result(), result()))
    done = "widths: 2 of 2 runs are finished\nnothing is left to do\n"
    assert command("sweep status sweeps/widths --watch") == (0, done, "")


def test_watching_shows_each_change_once_and_ends_with_the_last(tmp_path, command, monkeypatch):
    directory = sketch(tmp_path, runs(result(), None))
    plan = read(directory)
    looks = []

    def later(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            leave(plan.directory(plan.planned[1]), result())

    monkeypatch.setattr("time.sleep", later)
    code, out, _ = command("sweep status sweeps/widths --watch")
    assert (code, looks) == (0, [2.0] * 3)
    assert [line for line in out.splitlines() if line.startswith("widths")] == [
        "widths: 1 of 2 runs are finished; 1 is waiting",
        "widths: 2 of 2 runs are finished",
    ]


@pytest.mark.parametrize("verb", ["status", "results", "plot --x width"])
def test_what_is_no_sweep_is_refused_in_one_line(tmp_path, command, verb):
    (tmp_path / "file").write_text("")
    name, *options = verb.split()
    for place in ("absent", "file"):
        code, out, err = command(" ".join(["sweep", name, place, *options]))
        assert (code, out) == (2, "")
        assert err == f"factorexe sweep {name}: error: {place} is not a sweep: it has no plan.jsonl\n"


@pytest.mark.parametrize("verb", ["status", "results", "plot --x model.width"])
def test_looking_at_a_sweep_imports_no_torch(tmp_path, verb):
    directory = sketch(tmp_path, [({"model.width": width}, result()) for width in (32, 64)])
    name, *options = verb.split()
    code = (
        f"import sys; from factorexe.cli import main; left = main(['sweep', {name!r}, {str(directory.path)!r},"
        f" *{options!r}]); sys.exit(left or 'torch' in sys.modules)"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert asked.returncode == 0, asked.stderr
