"""What a worker finds around it: its share of the processors, one device, no rank."""

import os

import pytest

from factorexe import threads
from factorexe.sweeps import surroundings
from factorexe.sweeps.surroundings import devices, entered, threads_each, without_ranks


def test_a_worker_has_no_rank_whoever_started_it():
    numbered = {"RANK": "2", "LOCAL_RANK": "2", "WORLD_SIZE": "3", "SLURM_PROCID": "2", "SLURM_JOB_ID": "7"}
    numbered |= {"PMI_RANK": "2", "OMPI_COMM_WORLD_RANK": "2", "MASTER_ADDR": "node1", "MASTER_PORT": "1"}
    assert without_ranks({**numbered, "PATH": "/bin", "HOME": "/"}) == {"PATH": "/bin", "HOME": "/"}


@pytest.mark.parametrize(("cores", "workers", "each"), [(2, 2, 1), (2, 1, 2), (8, 3, 2), (64, 2, 4), (2, 8, 1)])
def test_workers_share_the_processors(monkeypatch, cores, workers, each):
    for module in (threads, surroundings):
        monkeypatch.setattr(module, "processors", lambda: cores)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert threads_each(workers) == each


def test_devices_are_those_that_may_be_seen(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-8a,")
    assert devices() == ["3", "GPU-8a"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices() == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(surroundings, "_NVIDIA", tmp_path)
    (tmp_path / "0000:01:00.0").mkdir()
    (tmp_path / "0000:02:00.0").mkdir()
    assert devices() == ["0", "1"]


def test_what_workers_are_started_in_is_left_again(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    before = dict(os.environ)
    with entered({**without_ranks(os.environ), "OMP_NUM_THREADS": "7"}):
        assert os.environ["OMP_NUM_THREADS"] == "7"
        assert "RANK" not in os.environ
    assert dict(os.environ) == before
