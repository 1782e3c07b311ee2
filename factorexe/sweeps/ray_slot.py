"""A place for an actor of Ray's, as its supervisor sees it.

Ray tells of a death at length; what is kept of it are a few words::

    its worker died without a word (killed, crashed, or out of memory?)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from factorexe.sweeps.actor import Arrived
from factorexe.sweeps.attempt import Event
from factorexe.sweeps.child import Ended, Job, log_of
from factorexe.sweeps.slot import Slot

_ARRIVES_WITHIN_S = 30.0
_ANSWERS_WITHIN_S = 2.0
_DEATHS = {  # as Ray words them
    "running low on memory": "its worker was killed, since its node ran low on memory",
    "node has died": "the node of its worker was lost",
    "worker process has died": "its worker died without a word (killed, crashed, or out of memory?)",
}


class RaySlot(Slot):
    """A place for an actor.

    Attributes:
        answer: what the actor is going to say next.
    """

    def __init__(self, job: Job, hire: Callable[[Job], Any]) -> None:
        super().__init__(job)
        self._hire = hire
        self.answer: Any = None
        self._actor: Any = None
        self._heard = 0  # words
        self._death = ""
        self._asked: float | None = None  # when it was, to stop
        self._hired = 0.0

    def _start(self) -> None:
        self._actor, self._heard, self._death, self._asked = self._hire(self.job), 0, "", None
        self._hired = time.monotonic()
        self._listen()

    def _listen(self) -> None:
        self.answer = self._actor.hear.remote(self._heard)

    @property
    def waits(self) -> bool:
        """Whether Ray has found no place for it, and should have by now."""
        return self.taken and self.place is None and time.monotonic() - self._hired > _ARRIVES_WITHIN_S

    @property
    def taken(self) -> bool:
        """Whether there is an actor."""
        return self._actor is not None

    @property
    def over(self) -> bool:
        """Whether the actor has died, or said its last word."""
        return self.taken and (bool(self._death) or self.ended is not None)

    @property
    def log(self) -> Path | None:
        """What the latest actor wrote on stderr; None if it never ran."""
        return None if self.place is None else log_of(self.job.directory, self.place.worker)

    def _said(self) -> Iterator[Event | Ended]:
        import ray

        while self.answer is not None and ray.wait([self.answer], timeout=0)[0]:
            try:
                words = ray.get(self.answer)
            except ray.exceptions.ActorUnavailableError:  # for the moment, says Ray
                self._listen()
                break
            except ray.exceptions.RayError as error:
                self.answer, self._death = None, cause_of(error)
                break
            self._heard += len(words)
            self._listen()
            for word in words:
                if isinstance(word, Arrived):
                    self.place = word.place
                else:
                    yield word
        if self._asked and self.place is None and time.monotonic() - self._asked > _ANSWERS_WITHIN_S:
            yield Ended()  # it has found no place, and needs none any more

    def buried(self) -> str:
        """How the actor died; what it had is free again."""
        self._kill()
        self._actor = self.answer = None
        return self._death

    def ask_to_stop(self) -> None:
        """Let the actor save its run and end."""
        if self._actor is not None and self._asked is None:
            self._asked = time.monotonic()
            self._actor.stop.remote()

    def _kill(self) -> None:
        import ray

        if self._actor is not None:
            ray.kill(self._actor)


def cause_of(error: Exception) -> str:
    """What became of an actor, from what Ray says of it at length."""
    text = str(error)
    for words, meaning in _DEATHS.items():
        if words in text:
            return meaning
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"its worker died: {lines[-1] if lines else type(error).__name__}"
