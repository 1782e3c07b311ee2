"""A place for one worker, as its supervisor sees it: started, listened to, asked to stop, killed, replaced.

    slot.start()  ->  slot.words(): Event("started", ...), ...  ->  slot.over  ->  slot.buried(): what became of it

What a worker runs on is an executor's business: a process of this machine (``local``), an actor of Ray's (``on_ray``).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from factorexe.sweeps.attempt import Event
from factorexe.sweeps.child import Ended, Job
from factorexe.sweeps.place import Place


class Slot(ABC):
    """One worker after the other.

    Attributes:
        run: id of the run at hand.
        reason: why its worker is being killed.
        barren: workers in a row that died before they began any run.
        ended: the last word of a worker that ended by itself.
        place: where the worker is, if only those who started it can tell that it is gone.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.run: str | None = None
        self.reason: str | None = None
        self.barren = 0
        self.ended: Ended | None = None
        self.place: Place | None = None
        self._since = 0.0

    def start(self) -> None:
        """Start a worker.

        Raises:
            OSError, EOFError: none can be started.
        """
        self.run = self.reason = self.ended = self.place = None
        self._start()

    def words(self) -> Iterator[Event]:
        """What the worker has said of runs since it was last asked."""
        for word in self._said():
            if isinstance(word, Ended):
                self.ended = word
                continue
            if word.kind == "started":
                self.run, self._since, self.barren = word.run, time.monotonic(), 0
            else:
                self.run = None
            yield word

    @property
    def seconds(self) -> float:
        """How long the run at hand has been at work."""
        return time.monotonic() - self._since if self.run else 0.0

    def kill(self, reason: str | None = None) -> None:
        """End the worker at once."""
        self.reason = reason
        self._kill()

    @property
    @abstractmethod
    def taken(self) -> bool:
        """Whether there is a worker, or one that has ended and is not buried yet."""

    @property
    @abstractmethod
    def over(self) -> bool:
        """Whether the worker has ended and is not buried yet."""

    @property
    @abstractmethod
    def log(self) -> Path | None:
        """What the latest worker wrote on stderr; None if it never got so far."""

    @abstractmethod
    def buried(self) -> str:
        """What became of the worker, which has ended."""

    @abstractmethod
    def ask_to_stop(self) -> None:
        """Let the worker save its run and end."""

    @abstractmethod
    def _start(self) -> None: ...

    @abstractmethod
    def _said(self) -> Iterator[Event | Ended]: ...

    @abstractmethod
    def _kill(self) -> None: ...


class Crew(Protocol):
    """The workers of one supervisor."""

    @property
    def slots(self) -> Sequence[Slot]:
        """A place for each of them."""

    def wait(self, seconds: float) -> None:
        """Return as soon as there is something to hear of a worker, or after a while."""


class Executor(Protocol):
    """What workers run on."""

    def prepare(self) -> None:
        """Get ready in the background; workers will be needed soon."""

    def crew(self, job: Job, most: int, say: Callable[[str], None]) -> AbstractContextManager[Crew]:
        """Places for workers, none of which is started yet.

        Args:
            most: workers that would find something to do.
            say: takes each line worth a user's attention.

        Raises:
            RunError: no worker can run there.
        """
