"""Where a process is, and whether it is still there.

A process number means something within one boot of one machine, and within one namespace of process numbers
(a container has its own).  With the time at which it started it names one process for good::

    Place("node3", "0e8f... pid:[4026531836]", pid=4711, started=918273)

``gone`` is only ever said of a process of this very place; of all others nothing can be known from here.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any, NamedTuple

_PROC = Path("/proc")


class Place(NamedTuple):
    """One process among all that have ever been."""

    host: str
    space: str  # boot of the machine and namespace of its process numbers; empty where neither can be told
    pid: int
    started: int  # in the machine's own ticks; 0 where it cannot be told

    @property
    def worker(self) -> str:
        """Who this is, for people."""
        return f"{self.host} {self.pid}"

    def is_here(self) -> bool:
        """Whether its number means the same to this process."""
        return bool(self.space) and (self.host, self.space) == (socket.gethostname(), _space())

    def gone(self) -> bool:
        """Whether this is a process of this place that exists no more."""
        if not self.is_here():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # another user's
            pass
        found = _started(self.pid)
        return found is not None and self.started > 0 and found != self.started


def here() -> Place:
    """This process."""
    pid = os.getpid()
    return Place(socket.gethostname(), _space(), pid, _started(pid) or 0)


def place_of(content: Any) -> Place | None:
    """The place in a dictionary; None if it holds none."""
    try:
        place = Place(*(content[name] for name in Place._fields))
    except (LookupError, TypeError):
        return None
    kinds = (str, str, int, int)
    fits = all(type(value) is kind for value, kind in zip(place, kinds, strict=True)) and place.pid > 0
    return place if fits else None


def _space() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink(_PROC / 'self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    """When a process started; 0 if it has ended and only waits to be noticed, None where it cannot be told."""
    try:
        state, *fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return 0 if state in "ZX" else int(fields[18])
    except (OSError, ValueError, IndexError):
        return None
