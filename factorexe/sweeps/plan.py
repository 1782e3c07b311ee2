"""The plan of a sweep: every run with its id, and what tells it from the others.

    plan = read(SweepDirectory("sweeps/widths"))
    plan.planned[0].values          {"model.width": 32, "seed": 0}
    plan.resolved(plan.planned[0])  the run, as ``fit`` takes it

In a file the first line holds what all runs have in common and each of the others one run, so that ten thousand
are read at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from factorexe.blocks import by_path, nested
from factorexe.config import Resolved
from factorexe.rundir import RunError, write
from factorexe.sweeps.bindings import bindings_of
from factorexe.sweeps.directory import SweepDirectory


class Planned(NamedTuple):
    """One run of a plan."""

    id: str
    path: str  # of its directory, below the runs
    values: Mapping[str, Any]  # option path -> value: what axes, seeds and derived options say


class Plan(NamedTuple):
    """Every run of a sweep."""

    name: str
    runs: Path  # where runs are kept
    preset: str | None
    base: Mapping[str, Any]  # options that all runs have in common
    axes: tuple[str, ...]  # the options in ``Planned.values``, in the order of the file
    planned: tuple[Planned, ...]

    def directory(self, planned: Planned) -> Path:
        """Where a run is, or will be."""
        return self.runs / planned.path

    def resolved(self, planned: Planned) -> Resolved:
        """A run as ``factorexe.fit`` takes it.

        Raises:
            ConfigError: it cannot be described here, as where a plug-in is missing.
        """
        return bindings_of(json.dumps(by_path(self.base)), self.preset).resolved(planned.values)


def save(plan: Plan, directory: SweepDirectory) -> None:
    """Write the plan; where runs are is kept relative to the directory, which may be mounted elsewhere."""
    common = {
        "name": plan.name,
        "runs": os.path.relpath(plan.runs.resolve(), directory.path.resolve()),
        "preset": plan.preset,
        "base": by_path(plan.base),
        "axes": list(plan.axes),
    }
    lines = [json.dumps(common), *(json.dumps(planned._asdict()) for planned in plan.planned)]
    write(directory.plan, "\n".join(lines) + "\n")


def read(directory: SweepDirectory) -> Plan:
    """The plan in a sweep's directory.

    Raises:
        RunError: there is none, or it is damaged.
    """
    try:
        common, *runs = map(json.loads, directory.plan.read_text(encoding="utf-8").splitlines())
        planned = tuple(Planned(run["id"], run["path"], run["values"]) for run in runs)
        root = Path(os.path.normpath(directory.path.resolve() / common["runs"]))
        return Plan(common["name"], root, common["preset"], nested(common["base"]), tuple(common["axes"]), planned)
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{directory.path} is not a sweep: it has no {directory.plan.name}") from None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunError(f"{directory.plan} is damaged ({error}); factorexe sweep plan FILE writes it again") from None
