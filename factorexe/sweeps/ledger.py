"""Which runs of a sweep are settled, as a supervisor keeps count of them.

ledger = Ledger(plan, shard=None)
ledger.open          {"3f2a9c01be77": Planned(...)}     neither finished nor failed when it was last looked at
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from factorexe.sweeps import status as statuses
from factorexe.sweeps import varying
from factorexe.sweeps.plan import Plan, Planned
from factorexe.sweeps.worker import Shard, of_shard

_LOOK_EVERY_S = 10.0


class Outcome(NamedTuple):
    """What came of a sweep."""

    total: int  # runs of the plan, or of the shard
    finished: int
    failed: tuple[tuple[Planned, str], ...]  # and the first line of the error
    stopped: bool  # because it was asked to
    fault: str  # why no worker could go on; empty if all went well

    @property
    def left(self) -> int:
        """Runs that are neither finished nor failed."""
        return self.total - self.finished - len(self.failed)


class Ledger:
    """The runs of a plan, or of one shard of it.

    Attributes:
        planned: every run by its id.
        open: those that are not settled.
        failed: ids of those that are not tried again.
    """

    def __init__(self, plan: Plan, shard: Shard | None) -> None:
        self.plan = plan
        self.planned: Mapping[str, Planned] = {run.id: run for run in of_shard(plan.planned, shard)}
        self.open = dict(self.planned)
        self.failed: set[str] = set()
        self.look()

    @property
    def settled(self) -> int:
        """How many are finished or failed."""
        return len(self.planned) - len(self.open)

    def look(self) -> None:
        """Strike off what is settled by now, by whomever."""
        self._looked = time.monotonic()
        for run, planned in list(self.open.items()):
            if found := statuses.settled(self.plan.directory(planned)):
                self.settle(run, failed=found == "failed")

    def look_now_and_then(self) -> None:
        """Look, unless that was just done."""
        if time.monotonic() - self._looked > _LOOK_EVERY_S:
            self.look()

    def settle(self, run: str, *, failed: bool) -> None:
        """Strike a run off."""
        self.open.pop(run, None)
        if failed:
            self.failed.add(run)

    def outcome(self, *, stopped: bool, fault: str) -> Outcome:
        """How things stand."""
        self.look()
        failed = [run for identity, run in self.planned.items() if identity in self.failed]
        errors = [statuses.read(self.plan.directory(run)).error or "no reason is known" for run in failed]
        told = tuple(zip(failed, errors, strict=True))
        return Outcome(len(self.planned), self.settled - len(failed), told, stopped, fault)


def described(planned: Planned) -> str:
    """A run by its id and what tells it from the others."""
    values = varying.described(planned, tuple(planned.values))
    return f"{planned.id} ({values})" if values else planned.id
