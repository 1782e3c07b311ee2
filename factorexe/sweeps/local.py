"""Worker processes on this machine.

Processes come from a server that has imported torch and Lightning once and forks itself, so that a worker that died
is replaced in milliseconds; where the operating system cannot do that, each imports them for itself::

    with Local(workers=2).crew(job, most=40, say=print) as crew:
        crew.slots[0].start()
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from factorexe.sweeps import child
from factorexe.sweeps.attempt import Event
from factorexe.sweeps.child import Ended, Job, log_of
from factorexe.sweeps.place import here
from factorexe.sweeps.slot import Slot
from factorexe.sweeps.surroundings import devices, entered, surroundings, threads_each
from factorexe.threads import processors

_METHOD = "forkserver" if sys.platform == "linux" else "spawn"
_IMPORTED_ONCE = ["factorexe.training", "factorexe.run", "factorexe.sweeps.child"]


class Local:
    """This machine.

    Args:
        workers: as many as this process may use processors if not given.
        threads: of each worker; as many as its share of the processors if not given.
    """

    def __init__(self, workers: int | None = None, threads: int | None = None) -> None:
        self.workers, self.threads = workers, threads

    def prepare(self) -> None:
        """Have the server import what workers need, in the background."""
        _run_server(surroundings(self.threads or threads_each(self.workers or processors())))

    @contextlib.contextmanager
    def crew(self, job: Job, most: int, say: Callable[[str], None]) -> Iterator[LocalCrew]:
        """Places for workers; see ``slot.Executor``."""
        workers = min(self.workers or processors(), most)
        yield LocalCrew(job._replace(threads=self.threads or threads_each(workers)), workers)


class LocalCrew:
    """Workers that share processors and devices."""

    def __init__(self, job: Job, workers: int) -> None:
        found = devices()
        self.slots: list[LocalSlot] = []
        for number in range(workers):
            own = {"CUDA_VISIBLE_DEVICES": found[number % len(found)]} if found else {}
            self.slots.append(LocalSlot(job, {**surroundings(job.threads), **own}))

    def wait(self, seconds: float) -> None:
        """Return as soon as one has something to say, or ends."""
        wait([part for slot in self.slots for part in slot.waited_for], timeout=seconds)


class LocalSlot(Slot):
    """A place for a process."""

    def __init__(self, job: Job, environment: Mapping[str, str]) -> None:
        super().__init__(job)
        self.environment = environment
        self._process: BaseProcess | None = None
        self._last_pid: int | None = None
        self._connection: Connection | None = None

    def _start(self) -> None:
        context: Any = multiprocessing.get_context(_METHOD)
        ours, theirs = context.Pipe()
        process = context.Process(target=child.run, args=(self.job, dict(self.environment), theirs))
        _run_server(self.environment)
        with entered(self.environment):
            process.start()
        theirs.close()
        self._process, self._connection, self._last_pid = process, ours, process.pid

    @property
    def waited_for(self) -> list[Any]:
        """What becomes readable when there is something to hear."""
        return [part for part in (self._connection, self._process and self._process.sentinel) if part is not None]

    @property
    def taken(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    @property
    def over(self) -> bool:
        """Whether the process has ended."""
        return self._process is not None and not self._process.is_alive()

    @property
    def log(self) -> Path | None:
        """What the latest process wrote on stderr."""
        return log_of(self.job.directory, f"{here().host} {self._last_pid}") if self._last_pid else None

    def _said(self) -> Iterator[Event | Ended]:
        while self._connection is not None:
            try:
                if not self._connection.poll():
                    return
                word = self._connection.recv()
            except (EOFError, OSError):
                self._connection.close()
                self._connection = None
                return
            yield word

    def buried(self) -> str:
        """How the process ended."""
        assert self._process is not None
        self._process.join()
        code = self._process.exitcode or 0
        self._process.close()
        self._process = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if code >= 0:
            return f"its worker ended with exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
        hint = "; out of memory?" if -code == signal.SIGKILL else ""
        return f"its worker was killed by signal {-code} ({name}{hint})"

    def ask_to_stop(self) -> None:
        """Let the process save its run and end."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.send(child.STOP)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()


def _run_server(environment: Mapping[str, str]) -> None:
    """Start the server, if it does not run yet."""
    if _METHOD == "forkserver":
        multiprocessing.get_context("forkserver").set_forkserver_preload(_IMPORTED_ONCE)
        with entered(environment), _deaf():  # it would take Ctrl-C while it imports
            forkserver.ensure_running()


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Without Ctrl-C, for what is started within the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
