"""What is written of a run whose worker died, by a supervisor that outlived it.

    status.json   "state": "stopped", "attempts": 1, "error": "its worker was killed by signal 9 (SIGKILL; ...)"

The run is claimed for it, so that two supervisors, or a worker that has taken the run over by now, never write at once.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

from factorexe.sweeps import status as statuses
from factorexe.sweeps.attempt import Event
from factorexe.sweeps.claims import Claim, Claims
from factorexe.sweeps.plan import Plan, Planned


def noted(plan: Plan, planned: Planned, claims: Claims, error: str, seconds: float, retries: int) -> Event | None:
    """Note why an attempt ended; what that means for the run, or None if somebody else sees to it."""
    claim = claims.take(planned.id)
    if not isinstance(claim, Claim):
        return None
    path = plan.directory(planned)
    try:
        if statuses.settled(path):
            return None
        before = statuses.read(path)
        final = before.attempts > retries
        statuses.write(path, before.ended_badly(error, None, round(seconds, 3), final=final))
        return Event("failed" if final else "again", planned.id, error)
    finally:
        claim.release()


def last_lines(log: Path, count: int = 3) -> str:
    """The end of what a worker wrote on stderr, in one line."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            return " | ".join(line.strip() for line in deque(file, count) if line.strip())
    except OSError:
        return ""
