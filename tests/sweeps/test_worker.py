"""What a worker does with each run: trains it once, tries again what failed, leaves alone what is another's."""

import csv
import errno
import json
import os
import signal

import pytest
from handmade import plan_of
from stops import StopAfter

from factorexe.callbacks.samples import Samples
from factorexe.config import ConfigError
from factorexe.rundir import RunDirectory, RunError
from factorexe.sweeps import attempt
from factorexe.sweeps import status as statuses
from factorexe.sweeps.claims import Claims
from factorexe.sweeps.directory import SweepDirectory
from factorexe.sweeps.plan import save
from factorexe.sweeps.status import Status
from factorexe.sweeps.worker import Idle, work


class Sweep:
    """A sweep in a directory, and what its worker told of it."""

    def __init__(self, path, **how):
        self.plan, self.path, self.events = plan_of(path, **how), path / "sweep", []
        self.directories = [self.plan.directory(run) for run in self.plan.planned]

    def work(self, **how):
        work(self.path, report=self.events.append, **how)

    @property
    def told(self):
        """Kind and number of the run of each event."""
        number = {run.id: at for at, run in enumerate(self.plan.planned)}
        return [(event.kind, number[event.run]) for event in self.events]

    @property
    def states(self):
        return [statuses.read(path).state for path in self.directories]

    @property
    def attempts(self):
        return [statuses.read(path).attempts for path in self.directories]

    @property
    def claims(self):
        return list(SweepDirectory(self.path).claims.iterdir())


@pytest.fixture
def trained(monkeypatch):
    """Trains nothing: a function that says what happens to the run of each seed; an error is raised."""

    def happens(**by_seed):
        def train(plan, resolved, stop):
            error = by_seed.get(f"seed_{resolved.config.seed}")
            if error is not None:
                raise error
            identity = attempt_at["run"]
            (plan.directory(identity) / "result.json").write_text("{}")

        monkeypatch.setattr(attempt, "train", train)

    attempt_at = {}
    made = attempt.Attempt.made

    def remembered(self, threads):
        attempt_at["run"] = self.planned
        return made(self, threads)

    monkeypatch.setattr(attempt.Attempt, "made", remembered)
    return happens


def test_each_run_is_trained_to_its_end_and_let_go_of(tmp_path):
    sweep = Sweep(tmp_path, seeds=(0, 1))
    sweep.work(threads=1)
    assert sweep.told == [("started", 0), ("finished", 0), ("started", 1), ("finished", 1)]
    assert (sweep.states, sweep.attempts, sweep.claims) == (["finished"] * 2, [1, 1], [])
    for path in sweep.directories:
        assert json.loads((path / "result.json").read_text())["steps"] == 4
        with open(path / "metrics.csv", newline="") as file:
            assert [row["step"] for row in csv.DictReader(file)] == ["2", "4"]


def test_what_is_finished_is_not_touched(tmp_path, trained):
    trained()
    sweep = Sweep(tmp_path, seeds=(0, 1, 2))
    sweep.directories[1].mkdir(parents=True)
    (sweep.directories[1] / "result.json").write_text("{}")
    sweep.work()
    assert sweep.told == [("started", 0), ("finished", 0), ("started", 2), ("finished", 2)]
    sweep.work()
    assert len(sweep.events) == 4
    assert not (sweep.directories[1] / "status.json").exists()


def test_shards_are_disjoint_and_together_everything(tmp_path, trained):
    trained()
    sweep = Sweep(tmp_path, seeds=range(7))
    for number in range(3):
        sweep.work(shard=(number, 3))
    started = [run for kind, run in sweep.told if kind == "started"]
    assert started == [0, 3, 6, 1, 4, 2, 5]


def test_a_run_that_always_fails_is_tried_again_after_all_others_and_then_given_up(tmp_path, trained):
    trained(seed_0=ValueError("no such base\nmore"))
    sweep = Sweep(tmp_path, seeds=(0, 1))
    sweep.work(retries=2)
    assert sweep.told == [
        *(("started", 0), ("again", 0), ("started", 1), ("finished", 1)),
        *(("started", 0), ("again", 0), ("started", 0), ("failed", 0)),
    ]
    status = statuses.read(sweep.directories[0])
    assert (status.state, status.attempts, status.error) == ("failed", 3, "ValueError: no such base")
    assert status.traceback.startswith("Traceback")
    assert status.traceback.rstrip().endswith("no such base\nmore")
    sweep.work(retries=9)
    assert len(sweep.events) == 8
    assert sweep.claims == []


def test_a_failure_that_is_forgotten_is_tried_again(tmp_path, trained):
    trained(seed_0=ValueError("no"))
    sweep = Sweep(tmp_path)
    sweep.work(retries=0)
    assert sweep.states == ["failed"]
    trained()
    statuses.forget(sweep.directories[0])
    sweep.work(retries=0)
    assert sweep.states == ["finished"]
    assert statuses.read(sweep.directories[0]).error is None


def test_a_description_that_is_wrong_is_not_tried_again(tmp_path, trained):
    trained(seed_0=ConfigError("model.width: no"))
    sweep = Sweep(tmp_path)
    sweep.work()
    assert sweep.told == [("started", 0), ("failed", 0)]
    assert statuses.read(sweep.directories[0]).error == "ConfigError: model.width: no"


@pytest.mark.parametrize("error", [MemoryError(), RunError("no checkpoint can be used"), OSError(errno.EMFILE, "no")])
def test_other_errors_are_tried_again(tmp_path, trained, error):
    trained(seed_0=error)
    sweep = Sweep(tmp_path)
    sweep.work(retries=1)
    assert [kind for kind, _ in sweep.told] == ["started", "again", "started", "failed"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_what_the_machine_is_to_blame_for_ends_the_worker_and_counts_against_no_run(tmp_path, trained, number):
    trained(seed_0=OSError(number, os.strerror(number)))
    sweep = Sweep(tmp_path, seeds=(0, 1))
    with pytest.raises(OSError, match=os.strerror(number)):
        sweep.work()
    assert sweep.told == [("started", 0), ("left", 0)]
    assert (sweep.states[0], sweep.attempts[0], sweep.claims) == ("stopped", 0, [])


def test_a_disk_too_full_for_a_status_forgets_the_attempt_all_the_same(tmp_path, trained, monkeypatch):
    full = OSError(errno.ENOSPC, "no space")
    trained(seed_0=full)
    sweep, write = Sweep(tmp_path), statuses.write

    def written(path, status):
        if status.state != "running":
            raise full
        write(path, status)

    monkeypatch.setattr(statuses, "write", written)
    with pytest.raises(OSError, match="no space"):
        sweep.work()
    assert sweep.attempts == [0]


def test_a_stop_saves_the_run_counts_no_attempt_and_goes_on_where_it_was(tmp_path):
    sweep = Sweep(tmp_path, trainer__val_check_interval=4)
    sweep.work(stop=StopAfter(3), threads=1)  # asked once by the worker, then before each step
    assert sweep.told[-1] == ("left", 0)
    assert (sweep.states, sweep.attempts, sweep.claims) == (["stopped"], [0], [])
    assert (sweep.directories[0] / "checkpoints" / "last.ckpt").exists()
    sweep.work(threads=1)
    assert (sweep.states, sweep.attempts) == (["finished"], [1])


def test_ctrl_c_is_passed_on_and_counts_no_attempt(tmp_path, trained):
    trained(seed_0=KeyboardInterrupt())
    sweep = Sweep(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        sweep.work()
    assert (sweep.states, sweep.attempts, sweep.claims) == (["stopped"], [0], [])


def test_a_run_that_leaves_python_is_a_failure_where_ctrl_c_is_ignored(tmp_path, trained):
    trained(seed_0=KeyboardInterrupt())  # what Lightning makes of sys.exit
    sweep = Sweep(tmp_path)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        sweep.work(retries=0)
    finally:
        signal.signal(signal.SIGINT, before)
    assert sweep.states == ["failed"]


class Superseded(Idle):
    """Never asks to stop; ``now`` gives the run to another worker."""

    def __init__(self, claim, sweep):
        self.claim, self.sweep, self.kept = claim, sweep, {}

    def now(self):
        (path,), (run,) = self.sweep.claims, self.sweep.directories
        path.with_suffix(".2").write_text("{}")
        statuses.write(run, Status("running", 2, "another 1"))
        self.kept = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
        self.claim.beat()


@pytest.mark.parametrize("hook", ["on_validation_start", "on_train_batch_end", "on_validation_epoch_end"])
def test_a_run_that_another_worker_has_by_now_is_abandoned_without_a_word(tmp_path, monkeypatch, hook):
    sweep = Sweep(tmp_path, trainer__max_steps=8)
    (planned,) = sweep.plan.planned
    claim = Claims(SweepDirectory(sweep.path).claims).take(planned.id)
    stop = Superseded(claim, sweep)

    def lost(self, trainer, *rest):
        if trainer.global_step == 4 and not stop.kept:
            stop.now()

    monkeypatch.setattr(Samples, hook, lost)
    made = attempt.Attempt(sweep.plan, planned, claim, stop, sweep.events.append, final=True)
    assert not made.made(1)
    claim.release()
    assert sweep.told == [("started", 0), ("left", 0)]
    assert sweep.directories[0] / "metrics.csv" in stop.kept
    assert {file: file.read_bytes() for file in sweep.directories[0].rglob("*") if file.is_file()} == stop.kept
    assert [claim.name for claim in sweep.claims] == [f"{planned.id}.2"]


def test_a_run_that_somebody_trains_by_hand_is_left_to_them(tmp_path):
    sweep = Sweep(tmp_path)
    claims = Claims(SweepDirectory(sweep.path).claims, expire=0.1)
    with RunDirectory(sweep.directories[0]).locked():
        sweep.work(claims=claims, threads=1)
    assert {kind for kind, _ in sweep.told} == {"started", "left"}
    assert (sweep.attempts, sweep.claims) == ([0], [])
    sweep.work(threads=1)
    assert sweep.states == ["finished"]


def test_runs_that_live_workers_have_are_left_to_them(tmp_path, trained):
    trained()
    sweep = Sweep(tmp_path, seeds=(0, 1, 2))
    claim = Claims(SweepDirectory(sweep.path).claims).take(sweep.plan.planned[1].id)
    sweep.work()
    assert sweep.states == ["finished", "stopped", "finished"]
    claim.release()
    sweep.work()
    assert sweep.states == ["finished"] * 3


def test_a_run_whose_workers_died_too_often_is_given_up(tmp_path, trained):
    trained()
    sweep = Sweep(tmp_path, seeds=(0, 1))
    statuses.write(sweep.directories[0], Status("running", 4, "a 1"))
    statuses.write(sweep.directories[1], Status("stopped", 4, "a 1", error="time limit of 60 s"))
    sweep.work(retries=3)
    assert sweep.told == [("failed", 0), ("failed", 1)]
    errors = [statuses.read(path).error for path in sweep.directories]
    assert errors == ["its worker ended without a word in each of 4 attempts", "time limit of 60 s"]


def test_a_damaged_status_stops_nothing(tmp_path, trained):
    trained()
    sweep = Sweep(tmp_path)
    sweep.directories[0].mkdir(parents=True)
    (sweep.directories[0] / "status.json").write_text("{{{")
    sweep.work()
    assert (sweep.states, sweep.attempts) == (["finished"], [1])


def test_a_run_that_would_be_another_one_here_ends_the_worker_and_counts_no_attempt(tmp_path):
    sweep = Sweep(tmp_path)
    planned = sweep.plan.planned[0]._replace(id="000000000000", path="addition/other/000000000000")
    save(sweep.plan._replace(planned=(planned,)), SweepDirectory(sweep.path))
    with pytest.raises(RunError, match=r"run 000000000000 .* addition from factorexe .*factorexe sweep plan FILE"):
        sweep.work()
    path = sweep.plan.directory(planned)
    assert [file.name for file in path.iterdir()] == ["status.json"]
    assert statuses.read(path) == Status()
    assert sweep.claims == []


def test_a_run_that_cannot_be_described_fails_and_the_others_go_on(tmp_path, trained):
    trained()
    sweep = Sweep(tmp_path, seeds=(0, 1))
    wrong = sweep.plan.planned[0]._replace(values={"seed": 0, "model.widht": 3})
    save(sweep.plan._replace(planned=(wrong, sweep.plan.planned[1])), SweepDirectory(sweep.path))
    sweep.work()
    assert sweep.states == ["failed", "finished"]
    assert "there is no such option; did you mean" in statuses.read(sweep.directories[0]).error


def test_there_is_no_sweep_without_a_plan(tmp_path):
    with pytest.raises(RunError, match=r"is not a sweep: it has no plan\.jsonl"):
        work(tmp_path)
