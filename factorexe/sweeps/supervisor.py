"""Workers under a supervisor: those that die are replaced, a run that takes too long is ended with its worker.

    outcome = supervise(Path("sweeps/widths"), Local(workers=2), time_limit=600)
    outcome.finished, outcome.total

The supervisor computes nothing and decides nothing about runs that workers can decide by themselves: it may be killed
at any moment, its workers then save their runs and end, and several may supervise one sweep at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from factorexe.sweeps import status as statuses
from factorexe.sweeps.attempt import Event
from factorexe.sweeps.board import Board
from factorexe.sweeps.child import Job, forget_if_empty
from factorexe.sweeps.claims import Claims
from factorexe.sweeps.directory import SweepDirectory
from factorexe.sweeps.ledger import Ledger, Outcome, described
from factorexe.sweeps.obituary import last_lines, noted
from factorexe.sweeps.plan import read
from factorexe.sweeps.slot import Crew, Executor, Slot
from factorexe.sweeps.worker import Idle, Shard

_LISTEN_S = 0.25
_BARREN = 3  # workers that may die in a row before they begin any run


def supervise(
    directory: Path,
    executor: Executor,
    *,
    shard: Shard | None = None,
    retries: int = 3,
    time_limit: float | None = None,
    stop: Any = None,
    say: Callable[[str], None] | None = None,
) -> Outcome:
    """Compute what is left of a sweep.

    Args:
        executor: what workers run on, and how many.
        shard: ``(i, n)``: only every n-th run, beginning with number i, counted from 0.
        retries: how often a run is tried again after it failed, or its worker died.
        time_limit: seconds that an attempt at a run may take.
        stop: a ``callbacks.checkpoints.Stop``; runs save themselves once it is requested.
        say: takes each line worth a user's attention.

    Raises:
        RunError: there is no such sweep, or no worker can run there.
    """
    stop, say = stop or Idle(), say or (lambda line: None)
    sweep = SweepDirectory(directory)
    ledger = Ledger(read(sweep), shard)
    fault = ""
    if ledger.open:
        job = Job(sweep.path, shard, retries)
        supervisor = _Supervisor(ledger, Claims(sweep.claims), job, time_limit)
        with executor.crew(job, len(ledger.open), say) as crew:
            stop.arm()  # Ray takes signals for itself
            fault = supervisor.lead(crew, stop, say)
    return ledger.outcome(stopped=bool(stop.requested), fault=fault)


class _Supervisor:
    def __init__(self, ledger: Ledger, claims: Claims, job: Job, limit: float | None) -> None:
        self.ledger, self.claims, self.job, self.limit = ledger, claims, job, limit
        self.fault, self._without = "", ""  # why nobody can go on; why one worker could not
        self._stopping = False

    def lead(self, crew: Crew, stop: Any, say: Callable[[str], None]) -> str:
        """Workers, until nothing is left for them; why they ended before that, if they did."""
        self.crew, self.stop = crew, stop
        self.board = Board(len(self.ledger.planned), self.ledger.settled, say)
        try:
            for slot in crew.slots:
                self._start(slot)
            while any(slot.taken for slot in crew.slots):
                self._turn()
        finally:
            for slot in crew.slots:
                slot.kill()
            self.board.close()
        return self.fault or (self._without if self.ledger.open else "")

    def _turn(self) -> None:
        """Hear every worker, and see to those that have ended."""
        self.crew.wait(_LISTEN_S)
        if (self.stop.requested or self.fault) and not self._stopping:
            self._ask_all_to_stop()
        for slot in self.crew.slots:
            if slot.taken:
                self._hear(slot)
                self._limit(slot)
                self._bury(slot)
            if not self.ledger.open:  # not even for a worker that has found no place yet
                slot.ask_to_stop()
        self.ledger.look_now_and_then()
        running = sum(slot.run is not None for slot in self.crew.slots)
        self.board.show(self.ledger.settled, running, len(self.ledger.failed))

    def _start(self, slot: Slot) -> None:
        try:
            slot.start()
        except (OSError, EOFError) as error:
            self._without = f"worker processes cannot be started: {error or type(error).__name__}"

    def _ask_all_to_stop(self) -> None:
        self._stopping = True
        for slot in self.crew.slots:
            slot.ask_to_stop()
        at_work = sum(slot.run is not None for slot in self.crew.slots)
        saving = "1 run saves itself" if at_work == 1 else f"{at_work} runs save themselves"
        self.board.line(f"stopping: {saving} (Ctrl-C to stop at once)")

    def _hear(self, slot: Slot) -> None:
        for event in slot.words():
            self._tell(event)

    def _tell(self, event: Event) -> None:
        if event.kind in ("finished", "failed"):
            self.ledger.settle(event.run, failed=event.kind == "failed")
        if event.kind in ("failed", "again"):
            again = "; it will be tried again" if event.kind == "again" else ""
            self.board.line(f"{described(self.ledger.planned[event.run])}: {event.line}{again}")

    def _limit(self, slot: Slot) -> None:
        """End a run that takes too long, and say so before its claim can pass on to another worker."""
        if self.limit is None or slot.run is None or slot.reason or slot.seconds <= self.limit:
            return
        reason = f"time limit of {self.limit:g} s"
        path = self.ledger.plan.directory(self.ledger.planned[slot.run])
        with contextlib.suppress(OSError):
            statuses.write(path, statuses.read(path)._replace(error=reason, traceback=None))
        slot.kill(reason)

    def _bury(self, slot: Slot) -> None:
        """See to a worker that has ended: replaced if it died and there is work left."""
        if not slot.over:
            return
        self._hear(slot)  # its last words
        death = slot.buried()
        if slot.ended is not None:
            self.fault = self.fault or slot.ended.fault
            return
        if slot.log is not None:
            forget_if_empty(slot.log)
        if slot.place is not None:
            self.claims.know_gone(slot.place)
        if slot.run is not None:
            self._note(slot.run, slot.reason or death, slot.seconds)
        slot.barren = 0 if slot.run is not None else slot.barren + 1
        if slot.barren >= _BARREN:
            said = (slot.log and last_lines(slot.log)) or death
            self._without = f"{_BARREN} workers in a row ended before they began a run; the last one said: {said}"
        elif self.ledger.open and not self._stopping:
            self._start(slot)

    def _note(self, run: str, error: str, seconds: float) -> None:
        """Write down why an attempt ended."""
        planned, retries = self.ledger.planned[run], self.job.retries
        try:
            event = noted(self.ledger.plan, planned, self.claims, error, seconds, retries)
        except OSError as problem:
            self.fault = self.fault or f"{problem.strerror}: {problem.filename or 'writing failed'}"
        else:
            if event is not None:
                self._tell(event)
