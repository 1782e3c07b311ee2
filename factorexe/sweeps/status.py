"""status.json: what the last worker said of a run.

    {"state": "stopped", "attempts": 2, "worker": "node3 4711", "since": "2026-01-01T10:00:00+0000", "seconds": 12.3,
     "error": "ValueError: no such base", "traceback": "Traceback (most recent call last): ..."}

It is written by whoever has the run's claim.  An attempt is counted when it begins, so one that ends without a word
counts; a clean stop is taken back.  Whether a run is finished is told by its result.json alone.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from factorexe.rundir import RunDirectory
from factorexe.rundir import write as write_text

State = Literal["running", "failed", "finished", "stopped"]


class Status(NamedTuple):
    """The word of one worker about one run."""

    state: State = "stopped"
    attempts: int = 0  # how often a worker has begun with it
    worker: str = ""
    since: str = ""  # start of the latest attempt
    seconds: float | None = None  # its wall time, once it has ended
    error: str | None = None  # the first line of what went wrong last
    traceback: str | None = None

    def begun(self, worker: str) -> Status:
        """Another attempt."""
        since = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        return self._replace(state="running", attempts=self.attempts + 1, worker=worker, since=since, seconds=None)

    def taken_back(self, seconds: float) -> Status:
        """A stop that is nobody's fault: the attempt does not count."""
        return self._replace(state="stopped", attempts=max(0, self.attempts - 1), seconds=round(seconds, 3))

    def ended_badly(self, error: str, traceback: str | None, seconds: float, *, final: bool) -> Status:
        """An attempt that counts; ``final`` if none will follow."""
        state: State = "failed" if final else "stopped"
        return self._replace(state=state, seconds=round(seconds, 3), error=error, traceback=traceback)


def read(run: Path) -> Status:
    """The status of the run in a directory; a fresh one where there is none, or none that can be read."""
    try:
        content = json.loads((run / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return Status()
    return _checked(content) or Status()


def write(run: Path, status: Status) -> None:
    """Replace the status of the run in a directory, which is made if need be."""
    run.mkdir(parents=True, exist_ok=True)
    write_text(run / "status.json", json.dumps(status._asdict(), indent=2) + "\n")


def forget(run: Path) -> bool:
    """Forget that a run failed, so that it is begun again; whether it had."""
    if settled(run) != "failed":
        return False
    write(run, read(run)._replace(state="stopped", attempts=0))
    return True


def settled(run: Path) -> Literal["finished", "failed"] | None:
    """Whether nothing is left to do for the run in a directory."""
    if RunDirectory(run).result.exists():
        return "finished"
    return "failed" if read(run).state == "failed" else None


def _checked(content: Any) -> Status | None:
    try:
        status = Status(**content)
    except TypeError:
        return None
    texts = (status.error, status.traceback)
    fits = (
        status.state in get_args(State)
        and type(status.attempts) is int
        and status.attempts >= 0
        and isinstance(status.worker, str)
        and isinstance(status.since, str)
        and (status.seconds is None or isinstance(status.seconds, int | float))
        and all(text is None or isinstance(text, str) for text in texts)
    )
    return status if fits else None
