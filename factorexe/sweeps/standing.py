"""How a sweep stands: what is finished, at work, failed, begun or waiting, and how long the rest will take.

    finished  result.json is there              begun    there is a run.json, and nobody is at work on it
    failed    its status.json says so           waiting  nothing is there yet
    running   somebody has its claim

    40 runs: 36 finished, 2 running, 2 waiting; the latest 20 took 30 s each on average
    2 workers x 60 / 30 s = 4 runs a minute, and 4 runs are left: a minute

Directories are listed and few files are opened, so ten thousand runs are looked at in a second.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from factorexe.sweeps import status
from factorexe.sweeps.claims import Claims
from factorexe.sweeps.plan import Plan, Planned

State = Literal["finished", "running", "failed", "begun", "waiting"]
STATES: tuple[State, ...] = ("finished", "running", "failed", "begun", "waiting")
_LATEST = 20  # finished runs from which the pace is taken


class Failure(NamedTuple):
    """A run that is not tried again, and why."""

    planned: Planned
    error: str  # one line
    where: Path  # of the traceback


class Standing(NamedTuple):
    """A sweep at one moment."""

    states: Mapping[str, State]  # of each run, in the order of the plan
    failures: tuple[Failure, ...]
    per_minute: float | None  # runs; None where nobody is at work or nothing is finished yet

    @property
    def counts(self) -> dict[str, int]:
        """How many runs are in each state."""
        found = Counter(self.states.values())
        return {state: found[state] for state in STATES}

    def __str__(self) -> str:
        return counted(self.states.values())

    @property
    def left(self) -> int:
        """Runs that are neither finished nor given up."""
        return len(self.states) - self.counts["finished"] - self.counts["failed"]

    @property
    def seconds_left(self) -> float | None:
        """Until the last run is finished, at the pace of the latest ones."""
        return 60 * self.left / self.per_minute if self.per_minute else None


def counted(states: Iterable[str]) -> str:
    """``37 of 40 runs are finished; 2 failed, 1 is running``."""
    found = Counter(states)
    others = [f"{found['failed']} failed"] if found["failed"] else []
    others += [f"{_are(found[state])} {state}" for state in ("running", "begun", "waiting") if found[state]]
    head = f"{found['finished']} of {sum(found.values())} runs are finished"
    return "; ".join([head, ", ".join(others)] if others else [head])


def _are(count: int) -> str:
    return f"{count} {'is' if count == 1 else 'are'}"


def look(plan: Plan, claimed: Collection[str] = ()) -> Standing:
    """How a sweep stands; ``claimed`` are the runs that somebody is at work on."""
    there = _there(plan)
    finished = _finished(plan, there)
    states = {planned.id: _state(plan, planned, finished, claimed, there) for planned in plan.planned}
    failed = [planned for planned in plan.planned if states[planned.id] == "failed"]
    running = sum(state == "running" for state in states.values())
    return Standing(states, tuple(_failure(plan, one) for one in failed), _pace(plan, finished, running))


def live(plan: Plan, claims: Claims) -> set[str]:
    """The runs of a plan that somebody has; with the same ``claims`` a later look knows who has fallen silent."""
    ours = {planned.id for planned in plan.planned}
    listed = {run: generation for run, generation in claims.listed().items() if run in ours}
    return {run for run, generation in listed.items() if claims.judge(run, generation) in ("alive", "uncertain")}


def _there(plan: Plan) -> set[str]:
    """Paths of the runs that have a directory: thousands of runs have a handful of parents to list."""
    found: set[str] = set()
    for parent in {os.path.dirname(planned.path) for planned in plan.planned}:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found.update(f"{parent}/{name}" for name in os.listdir(plan.runs / parent))
    return found


def _finished(plan: Plan, there: Collection[str]) -> dict[str, float]:
    """When each finished run got its result, by id."""
    root, found = str(plan.runs), {}
    for planned in plan.planned:
        if planned.path in there:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                found[planned.id] = os.stat(f"{root}/{planned.path}/result.json").st_mtime
    return found


def _state(
    plan: Plan, planned: Planned, finished: Collection[str], claimed: Collection[str], there: Collection[str]
) -> State:
    if planned.id in finished:
        return "finished"
    if planned.path not in there:
        return "running" if planned.id in claimed else "waiting"
    directory = plan.directory(planned)
    if status.read(directory).state == "failed":
        return "failed"
    if planned.id in claimed:
        return "running"
    return "begun" if (directory / "run.json").exists() else "waiting"


def _failure(plan: Plan, planned: Planned) -> Failure:
    directory = plan.directory(planned)
    said = (status.read(directory).error or "").strip()
    return Failure(planned, said.partition("\n")[0] or "no reason is known", directory / "status.json")


def _pace(plan: Plan, finished: Mapping[str, float], running: int) -> float | None:
    """Runs per minute: as many at a time as now, each as long as the latest were on average."""
    latest = set(sorted(finished, key=lambda run: finished[run])[-_LATEST:])
    said = [status.read(plan.directory(planned)) for planned in plan.planned if planned.id in latest]
    seconds = [one.seconds for one in said if one.seconds is not None]
    return 60 * running * len(seconds) / sum(seconds) if running and sum(seconds) > 0 else None
