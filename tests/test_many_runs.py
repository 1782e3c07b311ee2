"""Many runs in one process leave it as they found it."""

import gc
import logging
import os
import threading
import warnings
from pathlib import Path

import pytest
import torch
from stops import StopAfter

import factorexe
from factorexe.callbacks.checkpoints import Stopped
from factorexe.config import ConfigError

OPTIONS = {
    "task": "addition",
    "data.batch_size": 8,
    "data.eval_size": 8,
    "trainer.max_steps": 2,
    "trainer.enable_progress_bar": False,
}
OPEN = Path("/proc/self/fd")


def fit(runs, seed, *, stop=None, **more):
    return factorexe.fit(OPTIONS | {"seed": seed} | more, preset="tiny", runs=runs, stop=stop)


def held():
    """What a process has of which a run may take more and not give it back."""
    return {
        "files": sorted(os.readlink(OPEN / name) for name in os.listdir(OPEN) if (OPEN / name).exists()),
        "threads": threading.active_count(),
        "torch threads": torch.get_num_threads(),
        "filters": list(warnings.filters),
        "logging": (logging.root.manager.disable, logging.getLogger("lightning.pytorch").level),
        "handlers": len(logging.getLogger("lightning.pytorch").handlers),
        "random": torch.get_rng_state().tolist(),
    }


@pytest.mark.slow
@pytest.mark.skipif(not OPEN.exists(), reason="open files are listed in /proc")
@pytest.mark.parametrize("logger", ["none", "csv", "tensorboard"])
def test_files_threads_filters_and_levels_do_not_grow(tmp_path, logger):
    fit(tmp_path, 0, **{"trainer.logger": logger})
    before = held()
    for seed in range(1, 16):
        fit(tmp_path, seed, **{"trainer.logger": logger})
    assert held() == before


@pytest.mark.slow
@pytest.mark.skipif(not OPEN.exists(), reason="open files are listed in /proc")
def test_runs_that_end_badly_leave_no_more_behind(tmp_path):
    fit(tmp_path, 0)
    before = held()
    for seed in range(1, 9):
        with pytest.raises(Stopped):
            fit(tmp_path, seed, stop=StopAfter(1))
        with pytest.raises(ConfigError):
            fit(tmp_path, seed, **{"data.train_fraction": 0.5, "data.train_size": 5})
    assert held() == before


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory in use is told in /proc")
def test_memory_stays_where_it_is_once_everything_has_been_used(tmp_path):
    def pages():
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1])

    for seed in range(5):
        fit(tmp_path, seed, **{"trainer.logger": "none"})
    before = pages()
    for seed in range(5, 45):
        fit(tmp_path, seed, **{"trainer.logger": "none"})
    assert (pages() - before) * os.sysconf("SC_PAGE_SIZE") < 16 * 2**20
