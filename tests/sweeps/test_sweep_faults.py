"""A sweep while workers, supervisors, disks and runs fail: nothing is lost, nothing is done twice."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from handmade import plan_of

from factorexe.sweeps import status as statuses

pytestmark = pytest.mark.slow

KILLS, RUNS = 50, 40
LONGER = {"trainer__max_steps": 60, "trainer__val_check_interval": 15, "model__dropout": 0.1}
TIMES = ("wall_time_s", "evaluation_time_s", "examples_per_s")
MOODY = """
import os, signal, sys, time
from typing import Literal
from factorexe.tasks.addition import Addition

class Moody(Addition):
    '''Addition, for which some mood or other is needed.'''

    mood: Literal["calm", "fails", "hangs", "dies", "leaves", "exits"] = "calm"

    def sample(self, difficulty, rng, *, chain=True):
        if self.mood == "fails":
            raise RuntimeError("out of luck")
        if self.mood == "hangs":
            time.sleep(1000)
        if self.mood == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.mood == "leaves":
            os._exit(3)
        if self.mood == "exits":
            sys.exit(4)
        return super().sample(difficulty, rng, chain=chain)
"""


def start(*words, site=None, **how):
    """A command, in a session of its own as a terminal gives it one."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **how.pop("env", {})}
    if site:
        environment["PYTHONPATH"] = str(site)
    command = [sys.executable, "-m", "factorexe", "sweep", *map(str, words)]
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True, **how}
    return subprocess.Popen(command, env=environment, **how)


def ended(process, code=0, timeout=300):
    """What it said on stdout and stderr."""
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == code, err[-3000:]
    assert "Traceback" not in err
    return out, err


def wait_until(true, timeout=120):
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def said(plan):
    return [statuses.read(plan.directory(run)) for run in plan.planned]


def outcome(plan):
    """Everything a run found, by id; each has exactly one result."""
    found = {}
    for run in plan.planned:
        path = plan.directory(run)
        record = json.loads((path / "result.json").read_text())
        with open(path / "metrics.csv", newline="") as file:
            rows = [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(file)]
        found[run.id] = ({name: value for name, value in record.items() if name not in TIMES}, rows)
    assert len(list(plan.runs.glob("*/*/*"))) == len(plan.planned)
    return found


def assert_tidy(path):
    """No claim and no log is left, and nobody is at work."""
    assert list((path / "sweep" / "claims").iterdir()) == []
    assert list((path / "sweep" / "logs").iterdir()) == []


def workers_of(path):
    """Workers that live now, by the logs that each has while it does."""
    pids = [int(log.stem.rpartition("-")[2]) for log in (path / "sweep" / "logs").glob("*.log")]
    return [pid for pid in pids if alive(pid)]


def workers_with_a_run(path):
    """Workers that have claimed one."""
    found = []
    for claim in (path / "sweep" / "claims").glob("*.*"):
        with contextlib.suppress(OSError, ValueError):  # released, or not written yet
            found.append(json.loads(claim.read_text())["pid"])
    return list(filter(alive, found))


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What the runs of a longer sweep find when nobody disturbs them."""
    path = tmp_path_factory.mktemp("undisturbed")
    plan = plan_of(path, seeds=range(RUNS), **LONGER)
    out, _ = ended(start("run", path / "sweep", "--workers", "2"))
    assert out == f"{RUNS} of {RUNS} runs finished\n"
    assert {(status.state, status.attempts) for status in said(plan)} == {("finished", 1)}
    assert_tidy(path)
    return outcome(plan)


def test_a_sweep_whose_workers_are_killed_fifty_times_ends_as_if_nothing_had_happened(tmp_path, undisturbed):
    plan = plan_of(tmp_path, seeds=range(RUNS), **LONGER)
    sweep = start("run", tmp_path / "sweep", "--workers", "2", "--retries", str(KILLS))
    chance, kills = random.Random(0), 0
    while kills < KILLS and sweep.poll() is None:
        living = workers_of(tmp_path) if chance.random() < 0.2 else workers_with_a_run(tmp_path)
        living = [pid for pid in living if pid != sweep.pid]  # it claims runs to note why a worker ended
        if living:
            os.kill(chance.choice(living), signal.SIGKILL)
            kills += 1
        time.sleep(chance.uniform(0.05, 0.5))
    ended(sweep)
    assert kills == KILLS
    assert outcome(plan) == undisturbed
    assert sum(status.attempts for status in said(plan)) > RUNS
    assert_tidy(tmp_path)


def test_two_supervisors_on_one_sweep_share_it(tmp_path, undisturbed):
    plan = plan_of(tmp_path, seeds=range(RUNS), **LONGER)
    both = [start("run", tmp_path / "sweep", "--workers", "1") for _ in range(2)]
    for one in both:
        ended(one)
    assert {(status.state, status.attempts) for status in said(plan)} == {("finished", 1)}
    assert len({status.worker for status in said(plan)}) == 2
    assert outcome(plan) == undisturbed
    assert_tidy(tmp_path)


def test_ctrl_c_saves_every_run_and_retyping_the_command_goes_on(tmp_path, undisturbed):
    plan = plan_of(tmp_path, seeds=range(RUNS), **LONGER)
    words = ("run", tmp_path / "sweep", "--workers", "2")
    first = start(*words)
    wait_until(lambda: sum(status.state == "finished" for status in said(plan)) >= 3)
    os.killpg(first.pid, signal.SIGINT)
    out, err = ended(first, code=130, timeout=60)
    assert "save" in err
    assert f"retype the command:\n  factorexe sweep run {tmp_path / 'sweep'} --workers 2" in err
    assert " left\n" in out
    assert {status.state for status in said(plan)} == {"finished", "stopped"}
    assert all(status.attempts == (status.state == "finished") for status in said(plan))
    assert_tidy(tmp_path)
    ended(start(*words))
    assert outcome(plan) == undisturbed


def test_workers_of_a_supervisor_that_was_killed_save_their_runs_and_end(tmp_path, undisturbed):
    plan = plan_of(tmp_path, seeds=range(RUNS), **LONGER)
    first = start("run", tmp_path / "sweep", "--workers", "2")
    wait_until(lambda: sum(status.state == "finished" for status in said(plan)) >= 3)
    workers = workers_of(tmp_path)
    assert len(workers) == 2
    first.kill()
    first.communicate()
    wait_until(lambda: not any(map(alive, workers)), timeout=30)
    assert {status.state for status in said(plan)} == {"finished", "stopped"}
    assert_tidy(tmp_path)
    ended(start("run", tmp_path / "sweep", "--workers", "2"))
    assert outcome(plan) == undisturbed


def test_a_full_disk_ends_the_sweep_with_one_line_and_counts_against_no_run(tmp_path):
    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # less than a checkpoint takes

    plan = plan_of(tmp_path, seeds=range(4))
    words = ("run", tmp_path / "sweep", "--workers", "2")
    _, err = ended(start(*words, preexec_fn=little_room), code=1)
    assert "factorexe sweep run: error: File too large" in err
    assert "retype the command" in err
    assert {(status.state, status.attempts) for status in said(plan)} == {("stopped", 0)}
    ended(start(*words))
    assert len(outcome(plan)) == 4


@pytest.fixture
def moody(tmp_path, install):
    """A sweep of three calm runs, and one in the mood that is asked for, between them."""
    install("moody", {"factorexe.tasks": ["moody = moody_task:Moody"]}, moody_task=MOODY)

    def planned(mood):
        values = [{"task.mood": "calm", "seed": 0}, {"task.mood": mood, "seed": 0}]
        values += [{"task.mood": "calm", "seed": seed} for seed in (1, 2)]
        return plan_of(tmp_path, values=values, task="moody")

    return planned


@pytest.mark.parametrize(
    ("mood", "error"),
    [
        ("fails", "RuntimeError: out of luck"),
        ("hangs", "time limit of 8 s"),
        ("dies", "its worker was killed by signal 9 (SIGKILL; out of memory?)"),
        ("leaves", "its worker ended with exit code 3"),
        ("exits", "SystemExit: 4"),
    ],
)
def test_a_run_that_always_goes_wrong_is_given_up_and_the_others_finish(tmp_path, moody, mood, error):
    plan = moody(mood)
    words = ("run", tmp_path / "sweep", "--workers", "2", "--retries", "1", "--time-limit", "8")
    out, err = ended(start(*words, site=tmp_path / "site"), code=1)
    assert out == "3 of 4 runs finished, 1 failed\n"
    assert f"{plan.planned[1].id} (task.mood {mood}, seed 0): {error}" in err
    bad = said(plan)[1]
    assert (bad.state, bad.attempts, bad.error) == ("failed", 2, error)
    assert ("out of luck" in (bad.traceback or "")) == (mood == "fails")
    assert [status.state for status in said(plan)] == ["finished", "failed", "finished", "finished"]
    assert_tidy(tmp_path)


def test_workers_that_cannot_even_begin_are_given_up_with_their_last_words(tmp_path):
    plan_of(tmp_path, seeds=range(3))
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "torch.py").write_text("raise ImportError('libcudart.so.12: cannot open shared object file')")
    _, err = ended(start("worker", tmp_path / "sweep", site=tmp_path / "site"), code=1)
    assert "3 workers in a row ended before they began a run" in err
    assert "libcudart.so.12: cannot open shared object file" in err


def test_a_damaged_claim_and_a_damaged_status_stop_nothing(tmp_path):
    plan = plan_of(tmp_path, seeds=range(2))
    claims = tmp_path / "sweep" / "claims"
    claims.mkdir()
    (claims / f"{plan.planned[0].id}.1").write_text("{")  # nobody knows whose, so its heart is watched for 90 s
    path = plan.directory(plan.planned[1])
    path.mkdir(parents=True)
    (path / "status.json").write_text('{"attempts": "many"')
    ended(start("worker", tmp_path / "sweep"))
    assert [(status.state, status.attempts) for status in said(plan)] == [("finished", 1)] * 2
    assert_tidy(tmp_path)


@pytest.mark.parametrize("sharded", [False, True])
def test_workers_that_a_scheduler_numbers_do_each_run_once_with_all_its_files(tmp_path, sharded):
    plan = plan_of(tmp_path, seeds=range(9), trainer__logger="tensorboard")
    workers = []
    for rank in range(3):
        numbers = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "RANK": rank, "LOCAL_RANK": rank, "PMI_RANK": rank}
        sizes = {"SLURM_NTASKS": 3, "SLURM_JOB_ID": 7, "SLURM_JOB_NAME": "sweep", "SLURM_NODELIST": "node[1-3]"}
        world = {"WORLD_SIZE": 3, "MASTER_ADDR": "node1", "MASTER_PORT": 12345}
        environment = {name: str(value) for name, value in {**numbers, **sizes, **world}.items()}
        shard = ("--shard", f"{rank}/3") if sharded else ()
        workers.append(start("worker", tmp_path / "sweep", *shard, env=environment))
    for worker in workers:
        out, _ = ended(worker)
        assert not sharded or out == "3 of 3 runs finished\n"
    assert {(status.state, status.attempts) for status in said(plan)} == {("finished", 1)}
    assert all([row["step"] for row in rows] == ["2", "4"] for _, rows in outcome(plan).values())
    assert all(list(plan.directory(run).glob("events.out.*")) for run in plan.planned)
    if sharded:
        assert len({status.worker for status in said(plan)}) == 3
        assert [status.worker for status in said(plan)][:3] * 3 == [status.worker for status in said(plan)]
    assert_tidy(tmp_path)
