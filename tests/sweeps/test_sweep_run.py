"""``sweep run`` and ``sweep worker`` before any worker starts: what is refused, and what is finished already."""

import pytest
from handmade import plan_of

from factorexe.cli import main
from factorexe.sweeps import status as statuses
from factorexe.sweeps.status import Status
from factorexe.sweeps.supervisor import supervise


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("worker nowhere", "sweep worker: error: nowhere is not a sweep: it has no plan.jsonl"),
        ("worker sweep --shard 3/2", "--shard: expected I/N with I from 0 to N-1, such as 0/4 (got '3/2')"),
        ("worker sweep --shard 2", "--shard: expected I/N with I from 0 to N-1, such as 0/4 (got '2')"),
        ("run sweep --workers 0", "--workers: expected auto or a whole number from 1 on (got '0')"),
        ("run sweep --retries -1", "--retries: expected a whole number from 0 on (got '-1')"),
        ("run sweep --time-limit 0", "expected seconds, more than 0 (got '0')"),
        ("run sweep --runs other", "sweep is planned already: --dir, --runs"),
        ("run absent.yaml", "absent.yaml"),
    ],
)
def test_bad_input_is_refused_in_one_line(tmp_path, monkeypatch, capsys, words, line):
    monkeypatch.chdir(tmp_path)
    plan_of(tmp_path)
    assert main(["sweep", *words.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert line in err
    assert len(err.splitlines()) == 1


@pytest.fixture
def settled(tmp_path):
    """A sweep of four runs: three finished, one failed."""
    plan = plan_of(tmp_path, seeds=range(4))
    for run in plan.planned[:3]:
        plan.directory(run).mkdir(parents=True)
        (plan.directory(run) / "result.json").write_text("{}")
    statuses.write(plan.directory(plan.planned[3]), Status("failed", 4, error="ValueError: no such base"))
    return plan


def test_a_sweep_with_nothing_left_starts_no_worker(tmp_path, settled):
    outcome = supervise(tmp_path / "sweep", None)  # nothing to run on
    assert (outcome.total, outcome.finished, outcome.left) == (4, 3, 0)
    assert outcome.failed == ((settled.planned[3], "ValueError: no such base"),)
    assert supervise(tmp_path / "sweep", None, shard=(0, 2))[:3] == (2, 2, ())


def test_failures_are_told_and_make_the_exit_code(tmp_path, settled, capsys):
    assert main(["sweep", "worker", str(tmp_path / "sweep")]) == 1
    out, err = capsys.readouterr()
    assert out == "3 of 4 runs finished, 1 failed\n"
    assert f"failed: {settled.planned[3].id} (seed 3): ValueError: no such base" in err
    assert main(["sweep", "worker", str(tmp_path / "sweep"), "--shard", "0/2"]) == 0


def test_failures_are_forgotten_when_asked_to(tmp_path, settled, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "factorexe.sweeps.supervisor._Supervisor.lead", lambda self, *how: asked.append([*self.ledger.open]) or ""
    )
    assert main(["sweep", "run", str(tmp_path / "sweep"), "--retry-failed", "--workers", "1"]) == 0
    assert asked == [[settled.planned[3].id]]
    assert "1 run that failed will be tried again" in capsys.readouterr().err
    assert statuses.read(settled.directory(settled.planned[3])).attempts == 0
