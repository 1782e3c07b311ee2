"""A worker as an actor of Ray's: a process that Ray started somewhere settles in, works, and is listened to.

    hear(after=0)    [Arrived(place), Event("started", "3f2a9c01be77")]     waits until there is a word
    hear(after=2)    [Event("finished", "3f2a9c01be77"), Ended()]
    stop()           save the run at hand, and end

Words are numbered, so that whoever lost an answer on the way asks for it again.  Ray itself is named nowhere here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, NamedTuple

from factorexe.rundir import RunError
from factorexe.sweeps.attempt import Event, Report
from factorexe.sweeps.child import Ended, Job, forget_if_empty, import_all, log_of, worked, write_into
from factorexe.sweeps.directory import SweepDirectory
from factorexe.sweeps.place import Place, here
from factorexe.sweeps.plan import read
from factorexe.sweeps.surroundings import enter, surroundings

AT_ONCE = 4  # calls: listened to, perhaps by one whose answer was lost, and asked to stop
_PATIENCE_S = 60.0


class Arrived(NamedTuple):
    """The first word of a worker."""

    place: Place


Word = Arrived | Event | Ended


class Actor:
    """One worker.

    Args:
        folder: where the supervisor is, from which relative paths among the options count.
    """

    def __init__(self, job: Job, folder: str) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        enter(surroundings(job.threads))
        with contextlib.suppress(OSError):
            os.chdir(folder)
        self._words: list[Word] = [Arrived(here())]
        self._news = threading.Condition()
        self._asked = _Asked()
        threading.Thread(target=self._live, args=(job,), name="worker", daemon=True).start()

    def hear(self, after: int) -> list[Word]:
        """What it has said beyond its first words; waits for it, though not for ever."""
        with self._news:
            self._news.wait_for(lambda: len(self._words) > after, timeout=_PATIENCE_S)
            return self._words[after:]

    def stop(self) -> None:
        """Save the run at hand, and end."""
        self._asked.requested = True

    def _live(self, job: Job) -> None:
        try:
            ended = _lived(job, self._say, self._asked)
        except BaseException:  # what ends a process elsewhere has to end this one
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        self._say(ended)

    def _say(self, word: Word) -> None:
        with self._news:
            self._words.append(word)
            self._news.notify_all()


class _Asked:
    """Stops the worker once it is asked to."""

    requested = False

    def arm(self) -> None:
        """Nothing to get ready: signals are Ray's business."""


def _lived(job: Job, report: Report, stop: Any) -> Ended:
    """Settle in and work; returns the last word."""
    if fault := unfit(job.directory):
        return Ended(fault)
    log = log_of(job.directory, here().worker)
    with contextlib.suppress(OSError):  # a full disk: the run at hand will say so
        write_into(log)
    if not stop.requested:
        import_all()
    ended = worked(job, report, stop)
    forget_if_empty(log)
    return ended


def unfit(directory: Path) -> str:
    """Why a sweep cannot be computed on this node; empty if it can."""
    sweep, missing = SweepDirectory(directory), directory
    if sweep.plan.exists():
        try:
            missing = read(sweep).runs
        except RunError as error:
            return str(error)
        if missing.is_dir():
            return ""
    return (
        f"{here().host} does not see {missing}: the sweep and its runs have to be on a file system"
        " that all nodes of the cluster share (--dir DIR, --runs DIR)"
    )
