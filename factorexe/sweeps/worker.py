"""A worker: claims one run of a sweep after the other, trains it, writes what came of it.

    work(Path("sweeps/widths"), shard=(0, 4), retries=3)      every fourth run, beginning with the first

Any number of workers, here or elsewhere, share a sweep by its claims.  A run that fails is tried again after all
others; one that was finished, or failed for good, is left alone.  What the machine is to blame for (a full disk, say)
counts against no run: it ends the worker.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from factorexe.rundir import RunInUse
from factorexe.sweeps import status as statuses
from factorexe.sweeps.attempt import Attempt, Event, Report
from factorexe.sweeps.claims import Claim, Claims
from factorexe.sweeps.directory import SweepDirectory
from factorexe.sweeps.plan import Plan, Planned, read

LOOK_EVERY_S = 1.0  # while all that is left is claimed by others

Shard = tuple[int, int]
Found = Literal["settled", "later", "alive", "uncertain"]


class Idle:
    """Never asks to stop."""

    requested = False

    def arm(self) -> None:
        """Nothing to get ready."""


def work(
    directory: Path,
    *,
    shard: Shard | None = None,
    retries: int = 3,
    threads: int | None = None,
    stop: Any = None,
    report: Report | None = None,
    claims: Claims | None = None,
) -> None:
    """Compute what is left of a sweep; returns when nothing is, or when asked to stop and all is saved.

    Args:
        directory: the sweep's.
        shard: ``(i, n)``: only every n-th run, beginning with number i, counted from 0.
        retries: how often a run is tried again after it failed, or after its worker died.
        threads: processor threads of a run that says nothing of them.
        stop: a ``callbacks.checkpoints.Stop``.
        report: takes what happens to each run.

    Raises:
        RunError: there is no such sweep, or its runs would be other ones here.
        OSError: the machine cannot go on, as with a full disk.
    """
    from factorexe.preflight import refuse_unwritable

    sweep = SweepDirectory(directory)
    plan = read(sweep)
    refuse_unwritable(plan.runs)
    report = report or (lambda event: None)
    worker = _Worker(plan, claims or Claims(sweep.claims), retries, threads, stop or Idle(), report)
    worker.work(of_shard(plan.planned, shard))


def of_shard(planned: Sequence[Planned], shard: Shard | None) -> Sequence[Planned]:
    """The runs that are a shard's."""
    return planned if shard is None else planned[shard[0] :: shard[1]]


class _Worker:
    def __init__(
        self, plan: Plan, claims: Claims, retries: int, threads: int | None, stop: Any, report: Report
    ) -> None:
        self.plan, self.claims, self.retries, self.threads = plan, claims, retries, threads
        self.stop, self.report = stop, report
        self._in_use: dict[str, float] = {}  # since when a run has been held by somebody without a claim

    def work(self, planned: Sequence[Planned]) -> None:
        """Every run in order, then again and again those that were put off."""
        later = self._pass(planned, first=True)
        while later and not self.stop.requested:
            later = self._pass([run for run, _ in later])
            if any(found == "later" for _, found in later):
                continue
            if all(found == "alive" for _, found in later):  # their workers will see to them
                return
            self._pause()

    def _pass(self, planned: Sequence[Planned], first: bool = False) -> list[tuple[Planned, Found]]:
        """Try each run once; those that are not settled, with what was found."""
        left: list[tuple[Planned, Found]] = []
        for run in planned:
            if self.stop.requested:
                break
            found = self._met(run, first)
            if found != "settled":
                left.append((run, found))
        return left

    def _met(self, planned: Planned, first: bool) -> Found:
        path = self.plan.directory(planned)
        if statuses.settled(path):
            return "settled"
        if first and statuses.read(path).attempts:
            return "later"
        claim = self.claims.take(planned.id)
        if not isinstance(claim, Claim):
            return "alive" if claim == "alive" else "uncertain"
        leave = claim.release
        try:
            return "settled" if statuses.settled(path) else self._claimed(planned, path, claim)
        except RunInUse:
            leave = claim.give_back
            return self._held(planned.id)
        finally:
            leave()

    def _claimed(self, planned: Planned, path: Path, claim: Claim) -> Found:
        """What comes of a run that is this worker's, and open."""
        before = statuses.read(path)
        if before.attempts > self.retries:
            error = before.error or f"its worker ended without a word in each of {before.attempts} attempts"
            statuses.write(path, before._replace(state="failed", error=error))
            self.report(Event("failed", planned.id, error))
            return "settled"
        final = before.attempts >= self.retries
        attempt = Attempt(self.plan, planned, claim, self.stop, self.report, final=final)
        return "settled" if attempt.made(self.threads) else "later"

    def _held(self, run: str) -> Found:
        """A run that somebody trains without a claim, or a worker that is just dying."""
        since = self._in_use.setdefault(run, self.claims.clock())
        return "alive" if self.claims.clock() - since > self.claims.expire else "uncertain"

    def _pause(self) -> None:
        until = time.monotonic() + LOOK_EVERY_S
        while time.monotonic() < until and not self.stop.requested:
            time.sleep(0.05)
