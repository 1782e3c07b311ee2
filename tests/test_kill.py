"""A run killed again and again ends as if nothing had happened.

The driver below imports everything once and forks a child for every attempt, so that dozens of kills fit into
a minute: some at random instants, some at the moment a checkpoint is being written.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow

KILLS = 60
DRIVER = """
import json, os, random, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
import factorexe
from factorexe import training
from factorexe.config import resolve

runs, kills = Path(sys.argv[1]), int(sys.argv[2])
options = {
    "task": "multiplication", "model.dropout": 0.1, "trainer.accumulate_grad_batches": 2, "trainer.max_steps": 1500,
    "trainer.val_check_interval": 8, "trainer.log_every_n_steps": 3, "data.eval_size": 20,
    "trainer.enable_progress_bar": False,
}
chance, finished, deaths = random.Random(0), False, {"anywhere": 0, "writing": 0}

def attempt():
    child = os.fork()
    if child == 0:
        factorexe.fit(options, preset="tiny", runs=runs)
        os._exit(0)
    return child

while sum(deaths.values()) < kills:
    child = attempt()
    inside_a_write = chance.random() < 0.4
    end = time.monotonic() + (5 if inside_a_write else chance.uniform(0.05, 0.9))
    caught = False
    while time.monotonic() < end and not caught:
        if os.waitpid(child, os.WNOHANG)[0]:
            print(json.dumps(deaths)); sys.exit(0)
        caught = inside_a_write and any(runs.glob("*/*/*/checkpoints/writing.ckpt"))
        time.sleep(0 if inside_a_write else 0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    deaths["writing" if caught else "anywhere"] += 1
child = attempt()
assert os.waitpid(child, 0)[1] == 0
print(json.dumps(deaths))
"""


def driven(runs: Path, kills: int) -> tuple[Path, str]:
    """The run's directory, and what the driver said."""
    command = [sys.executable, "-c", DRIVER, str(runs), str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = [found.parent for found in runs.glob("*/*/*/result.json")]
    return path, done.stdout


def rows(path: Path) -> list[dict[str, str]]:
    with open(path / "metrics.csv", newline="") as file:
        return [{k: v for k, v in row.items() if k != "wall_time_s"} for row in csv.DictReader(file)]


def result(path: Path) -> dict:
    times = {"wall_time_s", "evaluation_time_s", "examples_per_s"}
    return {k: v for k, v in json.loads((path / "result.json").read_text()).items() if k not in times}


def test_a_run_killed_sixty_times_equals_the_undisturbed_one(tmp_path):
    undisturbed, _ = driven(tmp_path / "whole", 0)
    killed, said = driven(tmp_path / "killed", KILLS)
    deaths = json.loads(said)
    assert deaths["anywhere"] >= 10
    assert deaths["writing"] >= 5
    assert rows(killed) == rows(undisturbed)
    assert result(killed) == result(undisturbed)
    for name in ("last", "best", "previous"):
        one, other = (
            torch.load(path / "checkpoints" / f"{name}.ckpt", weights_only=True) for path in (killed, undisturbed)
        )
        assert one["global_step"] == other["global_step"]
        for key, weight in one["state_dict"].items():
            assert torch.equal(weight, other["state_dict"][key]), f"{name}: {key}"
        first, second = (content["optimizer_states"][0]["state"] for content in (one, other))
        for number, state in first.items():
            for key, value in state.items():
                assert torch.equal(value, second[number][key]), f"{name}: {key} of parameter {number}"
