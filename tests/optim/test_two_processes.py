"""Two processes that train together come to what one does alone."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close
from trained import configured, learned, weights

PROCEDURES = {
    "plain": {},
    "mean of parts": {"measure": {"name": "microbatch", "parts": 3}},
    "median of parts": {"measure": {"name": "microbatch", "parts": 3}, "aggregate": "median"},
    "guided": {"measure": {"name": "guide", "inner": "microbatch"}, "aggregate": "guide-project"},
    "half of the coordinates": {"aggregate": {"name": "random-mask", "keep": 0.5}},
}
SCRIPT = """
import sys, torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from lightning.pytorch.strategies import DDPStrategy
from trained import configured, learned, weights
from test_two_processes import PROCEDURES
found = {}
for name, procedure in PROCEDURES.items():
    learner = learned(configured(procedure), strategy=DDPStrategy(process_group_backend="gloo"), devices=2)
    found[name] = weights(learner)
torch.save(found, sys.argv[2])
"""


def _port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return str(free.getsockname()[1])


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The weights that each of two processes ends with, by procedure."""
    place = tmp_path_factory.mktemp("ranks")
    here = str(Path(__file__).parent)
    port = _port()
    started = []
    for rank in (0, 1):
        told = {"LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
        words = [sys.executable, "-c", SCRIPT, here, str(place / f"{rank}.pt")]
        started.append(subprocess.Popen(words, env={**os.environ, **told, "OMP_NUM_THREADS": "1"}))
    assert [process.wait(timeout=300) for process in started] == [0, 0]
    return [torch.load(place / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("name", PROCEDURES)
def test_both_end_with_the_same_weights(both, name):
    assert torch.equal(both[0][name], both[1][name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "mean of parts"])
def test_they_train_as_one_does_on_the_whole_batch(both, name):
    # 12 rows of unequal lengths, 6 in each process
    assert_close(both[0][name], weights(learned(configured())), rtol=0, atol=1e-5)
