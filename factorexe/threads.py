"""How many processor threads the arithmetic of a run uses.

Small models gain little from many threads, and torch takes every core of the machine, whoever else needs them.
The number is fixed when a run is created, since sums over another number of threads round differently::

    with threads(2):
        ...                       # and as many as before afterwards
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

MOST = 4


def default_threads() -> int:
    """The processors this process may use, at most ``MOST``."""
    return min(processors(), MOST, _said() or MOST)


def processors() -> int:
    """The processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _said() -> int | None:
    """What the environment already allows: a scheduler's or a user's OMP_NUM_THREADS."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdigit() and int(said) > 0 else None


@contextlib.contextmanager
def threads(count: int | None) -> Iterator[None]:
    """torch's threads within this block; None leaves them."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
