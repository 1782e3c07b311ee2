"""One attempt at a run whose claim is held: begun, trained, and what came of it written down.

    started    status.json says running, with one attempt more
    finished   ... finished
    again      ... stopped, with the error: it will be tried again
    failed     ... failed, with the error: it will not
    left       ... stopped, and the attempt is taken back: asked to stop, or the machine is to blame

Once another worker has the run, nothing of it is written here any more.
"""

from __future__ import annotations

import contextlib
import errno
import signal
import time
import traceback
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from factorexe.config import ConfigError
from factorexe.registry import PluginError
from factorexe.rundir import RunInUse
from factorexe.sweeps import status as statuses
from factorexe.sweeps.claims import Claim
from factorexe.sweeps.place import here
from factorexe.sweeps.plan import Plan, Planned
from factorexe.sweeps.single import OtherRun, described, train

THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)  # is to blame, not the run

Kind = Literal["started", "finished", "again", "failed", "left"]


class Event(NamedTuple):
    """What happens to a run."""

    kind: Kind
    run: str  # its id
    line: str = ""  # what went wrong


Report = Callable[[Event], None]


class Attempt:
    """An attempt at one run.

    Args:
        stop: a ``callbacks.checkpoints.Stop``.
        final: whether the run is not tried again should it fail.
    """

    def __init__(self, plan: Plan, planned: Planned, claim: Claim, stop: Any, report: Report, *, final: bool) -> None:
        self.plan, self.planned, self.claim, self.stop = plan, planned, claim, stop
        self.report, self.final, self.path = report, final, plan.directory(planned)
        self._before = self._begun = statuses.read(self.path)
        self._began = time.perf_counter()

    def made(self, threads: int | None) -> bool:
        """Train the run; whether nothing is left to do for it.

        Args:
            threads: processor threads, if the run says nothing of them.

        Raises:
            RunInUse: it is being trained by somebody who has no claim.
            OtherRun: it would be another one here.
            OSError: the machine is to blame.
            KeyboardInterrupt: asked to stop at once.
        """
        self._begun = self._before.begun(here().worker)
        statuses.write(self.path, self._begun)
        self._tell("started")
        self._began = time.perf_counter()
        try:
            train(self.plan, described(self.plan, self.planned, threads), _Watch(self.stop, self.claim))
        except BaseException as error:
            if self.claim.lost or _is_nobodys_fault(error):
                self._left(error)
                if _ends_the_worker(error):
                    raise
                return False
            return self._failed(error)
        self._finished()
        return True

    def _finished(self) -> None:
        if not self.claim.lost:
            done = self._begun._replace(state="finished", seconds=self._seconds(), error=None, traceback=None)
            statuses.write(self.path, done)
        self._tell("finished")

    def _failed(self, error: BaseException) -> bool:
        final = self.final or isinstance(error, ConfigError | PluginError)  # which would only fail again
        line, whole = first_line(error), "".join(traceback.format_exception(error))
        statuses.write(self.path, self._begun.ended_badly(line, whole, self._seconds(), final=final))
        self._tell("failed" if final else "again", line)
        return final

    def _left(self, error: BaseException) -> None:
        if not self.claim.lost:
            untried = isinstance(error, RunInUse | OtherRun)
            status = self._before if untried else self._begun.taken_back(self._seconds())
            try:
                statuses.write(self.path, status)
            except OSError:  # a full disk still lets files be deleted
                with contextlib.suppress(OSError):
                    (self.path / "status.json").unlink()
        self._tell("left")

    def _seconds(self) -> float:
        return round(time.perf_counter() - self._began, 3)

    def _tell(self, kind: Kind, line: str = "") -> None:
        self.report(Event(kind, self.planned.id, line))


class _Watch:
    """Ends a run when its worker is to stop, and without saving once another worker has it."""

    def __init__(self, stop: Any, claim: Claim) -> None:
        self._stop, self._claim = stop, claim

    @property
    def abandoned(self) -> bool:
        """Whether the run is another worker's by now."""
        return self._claim.lost

    @property
    def requested(self) -> bool:
        """Whether to stop before the next step."""
        return bool(self._stop.requested) or self._claim.lost

    def arm(self) -> None:
        """Training is under way."""
        self._stop.arm()


def first_line(error: BaseException) -> str:
    """An error as ``ValueError: no such base``."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _is_nobodys_fault(error: BaseException) -> bool:
    from factorexe.callbacks.checkpoints import Stopped

    return isinstance(error, Stopped) or _ends_the_worker(error)


def _ends_the_worker(error: BaseException) -> bool:
    """Whether a run ended by what concerns the whole worker, or is not the worker's to train."""
    if isinstance(error, KeyboardInterrupt):  # where Ctrl-C is ignored, the run itself has called sys.exit
        return signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    return isinstance(error, RunInUse | OtherRun) or (isinstance(error, OSError) and error.errno in THE_MACHINE)
