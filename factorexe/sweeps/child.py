"""What a worker process does: it settles in, works, and tells its supervisor through a pipe.

    to the supervisor     Event("started", "3f2a9c01be77")  ...  Ended() as the last word
    from the supervisor   STOP, or the end of the pipe when it is gone: stop after this step, saved

What is written on stderr goes to a file of the process's own in ``logs``.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from factorexe.config import ConfigError
from factorexe.rundir import RunError
from factorexe.sweeps.attempt import THE_MACHINE, Event, Report
from factorexe.sweeps.directory import SweepDirectory
from factorexe.sweeps.place import here
from factorexe.sweeps.surroundings import enter
from factorexe.sweeps.worker import Shard, work

STOP = "stop"


class Job(NamedTuple):
    """What a worker is started for."""

    directory: Path
    shard: Shard | None
    retries: int
    threads: int = 1


class Ended(NamedTuple):
    """The last word of a worker."""

    fault: str = ""  # why no worker of this sweep can go on here; empty if it just had nothing left to do


class _Asked:
    """Stops the worker: on a word from the supervisor, at its end, or on SIGTERM, as a scheduler sends it."""

    def __init__(self) -> None:
        self.requested = False

    def arm(self) -> None:
        """Take SIGTERM, which Lightning takes for itself when training begins."""
        signal.signal(signal.SIGTERM, self._terminated)

    def listen(self, connection: Connection) -> None:
        """Wait for a word; returns once there was one."""
        with contextlib.suppress(EOFError, OSError):
            connection.recv()
        self.requested = True

    def _terminated(self, number: int, frame: Any) -> None:
        self.requested = True


def run(job: Job, environment: Mapping[str, str], connection: Connection) -> None:
    """The whole life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the supervisor decides
    asked = _Asked()
    asked.arm()
    enter(environment)
    log = log_of(job.directory, here().worker)
    with contextlib.suppress(OSError):  # a full disk: the run at hand will say so
        write_into(log)
    threading.Thread(target=asked.listen, args=(connection,), daemon=True).start()
    import_all()
    ended = worked(job, functools.partial(_tell, connection), asked)
    _tell(connection, ended)
    forget_if_empty(log)


def worked(job: Job, report: Report, stop: Any) -> Ended:
    """The work itself, in a process that has settled in; returns the last word."""
    try:
        work(job.directory, shard=job.shard, retries=job.retries, threads=job.threads, stop=stop, report=report)
    except (ConfigError, RunError) as error:
        return Ended(str(error))
    except OSError as error:
        if error.errno not in THE_MACHINE and not isinstance(error, PermissionError):
            raise
        return Ended(f"{error.strerror}: {error.filename or 'writing failed'}")
    return Ended()


def _tell(connection: Connection, word: Event | Ended) -> None:
    with contextlib.suppress(OSError):  # a supervisor that is gone is noticed by whoever listens
        connection.send(word)


def log_of(directory: Path, worker: str) -> Path:
    """Where a worker's stderr goes."""
    return SweepDirectory(directory).logs / f"{worker.replace(' ', '-')}.log"


def forget_if_empty(log: Path) -> None:
    """Leave no log of a worker that had nothing to say."""
    with contextlib.suppress(OSError):
        if log.stat().st_size == 0:
            log.unlink()


def write_into(log: Path) -> None:
    """Send stdout and stderr of this process into a file, below Python too."""
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        stream.flush()
        os.dup2(descriptor, number)
    os.close(descriptor)


def import_all() -> None:
    """Everything a run needs, so that collecting garbage after each run never looks at it again."""
    import factorexe.run
    import factorexe.training  # noqa: F401

    gc.freeze()
