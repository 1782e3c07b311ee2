"""A sweep on a Ray cluster of two nodes, while workers are killed, a node is lost and runs go wrong."""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest
from handmade import plan_of
from test_sweep_faults import LONGER, MOODY, assert_tidy, ended, outcome, said, start, wait_until, workers_with_a_run

pytestmark = pytest.mark.slow

RUNS = 8
RANKS = {"SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NTASKS": "2", "RANK": "1", "LOCAL_RANK": "1"}
STUCK = "        if self.mood == 'stuck':\n            import ctypes\n            ctypes.PyDLL(None).sleep(1000)\n"


class Nodes:
    """A cluster whose nodes have one processor each and share nothing but the disk of this machine."""

    def __init__(self, home, site):
        from ray.cluster_utils import Cluster

        self.home, self.site = home, site
        self.cluster = Cluster()
        self.first, self.second = self.add(dashboard_port=0), self.add()

    def add(self, **has):
        return self.cluster.add_node(
            **{"num_cpus": 1, "num_gpus": 0, "object_store_memory": 80_000_000, "include_dashboard": False, **has}
        )

    def start(self, path, *words):
        """``sweep run`` on the cluster, from a process that sees neither GPUs nor ranks."""
        address = ("--executor", "ray", "--address", self.cluster.address)
        return start("run", path / "sweep", *address, *words, site=self.site)

    def left(self):
        """Commands of the processes that Ray keeps."""
        commands = []
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                commands.append(process.read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return [command for command in commands if str(self.home) in command]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    pytest.importorskip("ray")
    home = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # a longer path would be too long for its sockets
    site = tmp_path_factory.mktemp("site")
    quick = {"RAY_health_check_period_ms": "500", "RAY_health_check_failure_threshold": "3"}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {**quick, "RAY_TMPDIR": home, "RAY_AUTH_MODE": "disabled"}.items():
            patched.setenv(name, value)
        patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
        with pytest.MonkeyPatch.context() as numbered:  # as a scheduler numbers the processes of a job
            for name, value in {**RANKS, "PYTHONPATH": str(site)}.items():
                numbered.setenv(name, value)
            found = Nodes(home, site)
        yield found
        found.cluster.shutdown()
        wait_until(lambda: not found.left(), timeout=30)
    shutil.rmtree(home, ignore_errors=True)


def parents(pids):
    """The process that started each; for a worker of Ray's that is its node."""
    return {int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in pids}


def begun(path, count):
    """Workers that are at a run, as soon as there are so many."""
    wait_until(lambda: len(workers_with_a_run(path)) >= count)
    return workers_with_a_run(path)


def finished(plan):
    return sum(status.state == "finished" for status in said(plan))


def test_what_two_nodes_compute_while_a_worker_is_killed_is_what_is_computed_undisturbed(tmp_path, nodes):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    undisturbed = plan_of(tmp_path / "here", seeds=range(RUNS), trainer__logger="tensorboard", **LONGER)
    ended(start("run", tmp_path / "here" / "sweep", "--workers", "2"))
    path = tmp_path / "there"
    plan = plan_of(path, seeds=range(RUNS), trainer__logger="tensorboard", **LONGER)
    sweep = nodes.start(path)
    workers = begun(path, 2)
    assert len(parents(workers)) == 2
    wait_until(lambda: finished(plan) >= 2)
    os.kill(begun(path, 1)[0], signal.SIGKILL)
    out, err = ended(sweep)
    assert out == f"{RUNS} of {RUNS} runs finished\n"
    assert "Ray cluster of 2 nodes with 2 CPUs; workers: 2, each with 1 CPU" in err
    assert "its worker died without a word (killed, crashed, or out of memory?); it will be tried again" in err
    told = [line for line in err.splitlines() if not re.match(r"\d+ of \d+ finished", line)]  # a slow machine says more
    assert len(told) == 2
    assert outcome(plan) == outcome(undisturbed)
    assert sorted(status.attempts for status in said(plan)) == [1] * (RUNS - 1) + [2]
    assert all(list(plan.directory(run).glob("events.out.*")) for run in plan.planned)  # by workers without a rank
    assert_tidy(path)
    began = time.monotonic()
    assert ended(nodes.start(path)) == (out, "")
    assert time.monotonic() - began < 5  # no cluster is asked for


def test_ctrl_c_saves_every_run_and_retyping_the_command_goes_on(tmp_path, nodes):
    plan = plan_of(tmp_path, seeds=range(4), **LONGER)
    first = nodes.start(tmp_path)
    wait_until(lambda: finished(plan) >= 1)
    os.killpg(first.pid, signal.SIGINT)
    _, err = ended(first, code=130, timeout=60)
    assert "retype the command" in err
    assert all(status.attempts == (status.state == "finished") for status in said(plan))
    assert_tidy(tmp_path)
    ended(nodes.start(tmp_path))
    assert {(status.state, status.attempts) for status in said(plan)} == {("finished", 1)}


def test_runs_that_always_go_wrong_are_given_up_and_the_other_finishes(tmp_path, nodes, install):
    source = MOODY.replace('"exits"]', '"exits", "stuck"]') + "\n"
    source = source.replace("        return super()", STUCK + "        return super()")
    install("moody", {"factorexe.tasks": ["moody = moody_task:Moody"]}, moody_task=source)
    shutil.copytree(tmp_path / "site", nodes.site, dirs_exist_ok=True)
    moods = ("fails", "stuck", "dies", "calm")
    plan = plan_of(tmp_path, values=[{"task.mood": mood} for mood in moods], task="moody")
    out, err = ended(nodes.start(tmp_path, "--retries", "0", "--time-limit", "6"), code=1)
    assert out == "1 of 4 runs finished, 3 failed\n"
    errors = [status.error for status in said(plan)]
    assert errors[:2] == ["RuntimeError: out of luck", "time limit of 6 s"]
    assert errors[2:] == ["its worker died without a word (killed, crashed, or out of memory?)", None]
    assert f"{plan.planned[1].id} (task.mood stuck): time limit of 6 s" in err
    assert_tidy(tmp_path)


def test_two_runs_share_a_gpu_and_those_of_a_node_that_is_lost_wait_for_another(tmp_path, nodes):
    plan = plan_of(tmp_path, seeds=range(5), **LONGER)
    _, err = ended(nodes.start(tmp_path, "--gpus-per-run", "0.5"), code=2)
    assert "no node has room for a worker with 1 CPU and 0.5 GPU: 2 nodes with 2 CPUs" in err
    with_gpu = nodes.add(num_cpus=3, num_gpus=1)
    sweep = nodes.start(tmp_path, "--gpus-per-run", "0.5")
    assert len(parents(begun(tmp_path, 2))) == 1
    wait_until(lambda: finished(plan) >= 1)
    nodes.cluster.remove_node(with_gpu, allow_graceful=False)
    wait_until(lambda: any(status.error for status in said(plan)), timeout=60)
    nodes.add(num_cpus=3, num_gpus=1)
    out, err = ended(sweep)
    assert out == "5 of 5 runs finished\n"
    assert "workers: 2, each with 1 CPU and 0.5 GPU" in err
    assert "it will be tried again" in err
    assert_tidy(tmp_path)
