"""What the processes of a sweep find around them: processor threads, devices, no rank.

A scheduler that starts several workers numbers them, and Lightning, once it is imported, takes such a number for the
rank in one run over several processes, all but the first of which keep silent.  A worker is alone in its run::

    SLURM_PROCID=2 RANK=2 WORLD_SIZE=3     taken away
    OMP_NUM_THREADS=1                      so that eight workers do not start eight threads each
    CUDA_VISIBLE_DEVICES=1                 for the workers 1, 3, 5, ... of a machine with two devices
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from factorexe.threads import default_threads, processors

_RANKS = ("RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
_RANK_PREFIXES = ("SLURM_", "PMI_", "PMIX_", "OMPI_", "MASTER_", "TORCHELASTIC_", "JSM_NAMESPACE_")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_NVIDIA = Path("/proc/driver/nvidia/gpus")


def without_ranks(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment as if no scheduler had started the process."""
    return {
        name: value for name, value in environment.items() if name not in _RANKS and not name.startswith(_RANK_PREFIXES)
    }


def threads_each(workers: int) -> int:
    """Processor threads of a run, so that ``workers`` of them share what this process may use."""
    return max(1, min(default_threads(), processors() // workers))


def devices() -> list[str]:
    """The CUDA devices that this process may use, found without starting CUDA."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [device.strip() for device in allowed.split(",") if device.strip()]
    return [str(number) for number, _ in enumerate(_NVIDIA.iterdir())] if _NVIDIA.is_dir() else []


def surroundings(threads: int) -> dict[str, str]:
    """The environment of a worker."""
    return {**without_ranks(os.environ), **dict.fromkeys(_THREADS, str(threads))}


def enter(environment: Mapping[str, str]) -> None:
    """Make it this process's own, for good."""
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)


@contextlib.contextmanager
def entered(environment: Mapping[str, str]) -> Iterator[None]:
    """This process's own within the block, for what is started there."""
    before = dict(os.environ)
    enter(environment)
    try:
        yield
    finally:
        enter(before)
