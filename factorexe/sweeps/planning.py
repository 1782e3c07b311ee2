"""From a sweep's file to its plan: every run described, computed options filled in, and refused before anything starts.

    planned = plan_sweep("widths.yaml")
    len(planned.plan.planned), planned.skipped      (120, 8)
    planned.costs[0].parameters                     12480

Each combination of the file is completed, unless a condition leaves it out, then validated, and its kind of run built.
What is wrong anywhere is said at once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from factorexe.blocks import merged, nested
from factorexe.config import ConfigError, Resolved, run_id, run_place
from factorexe.contents import Contents
from factorexe.registry import Registry
from factorexe.rundir import RunError
from factorexe.sweeps.bindings import Bindings
from factorexe.sweeps.completion import Completion
from factorexe.sweeps.costs import Cost, Costs
from factorexe.sweeps.directory import SweepDirectory
from factorexe.sweeps.file import SweepFile, read
from factorexe.sweeps.plan import Plan, Planned, save
from factorexe.sweeps.refusals import Refusals

RUNS, SWEEPS = Path("runs"), Path("sweeps")
Watch = Callable[[Iterable[Any]], Iterable[Any]]


class PlannedSweep(NamedTuple):
    """A sweep that can be run."""

    directory: SweepDirectory
    plan: Plan
    costs: tuple[Cost, ...]  # of each run of the plan, where they were asked for
    skipped: int  # combinations that a condition leaves out
    repeated: int  # combinations that are the same run as another


def plan_sweep(
    file: str | Path,
    *,
    runs: str | Path | None = None,
    directory: str | Path | None = None,
    logger: str | None = None,
    priced: bool = True,
    watch: Watch = iter,
    before_new: Callable[[], None] = lambda: None,
) -> PlannedSweep:
    """Plan the sweep in a file, and write the plan into its directory.

    Args:
        runs: where runs are kept; ``runs`` if not given.
        directory: the sweep's; ``sweeps/NAME`` if not given.
        logger: what keeps the curves of the runs, whatever the file says.
        priced: whether to find out what each run costs, which takes a while.
        before_new: called once, before the first run is looked at that has not begun yet: from there on it takes torch.
        watch: is handed the combinations and hands them on, as a progress bar does.

    Raises:
        ConfigError: with one message for each thing that is wrong with the file or its runs; nothing is written.
        RunError: the directory cannot be written.
    """
    sweep = _with_logger(read(file), logger)
    if "task" not in sweep.base and "task" not in sweep.axes:
        known = ", ".join(Registry("tasks").names())
        raise ConfigError(f"{file}: no run has a task; say base: {{task: NAME}} with one of: {known}")
    name = name_of(sweep.path)
    planner = _Planner(sweep, Path(runs or RUNS), priced, before_new)
    for combination in watch(sweep.combinations):
        planner.add(combination)
    planner.refusals.raise_all()
    if not planner.found:
        raise ConfigError(f"{file}: every one of its {planner.skipped} runs is skipped; skip fewer")
    found = planner.found.values()
    plan = Plan(
        name,
        Path(runs or RUNS),
        sweep.preset,
        sweep.base,
        tuple(dict.fromkeys([*sweep.axes, *sweep.derive])),
        tuple(planned for planned, _ in found),
    )
    place = SweepDirectory(directory or _home(sweep.path, name))
    _write(plan, place, sweep.path)
    return PlannedSweep(place, plan, tuple(cost for _, cost in found if cost), planner.skipped, planner.repeated)


def name_of(file: Path) -> str:
    """What a sweep is called: its file's name; its folder's, if that is sweep.yaml."""
    return file.stem if file.stem != "sweep" else file.resolve().parent.name or "sweep"


def _home(file: Path, name: str) -> Path:
    """The directory of a sweep; a file that lies in one is planned there again."""
    return file.parent if SweepDirectory(file.parent).plan.exists() else SWEEPS / name


def _with_logger(sweep: SweepFile, logger: str | None) -> SweepFile:
    return sweep._replace(base=merged(sweep.base, nested({"trainer.logger": logger}))) if logger else sweep


class _Planner:
    """Goes through the combinations of one file."""

    def __init__(self, sweep: SweepFile, runs: Path, priced: bool, before_new: Callable[[], None]) -> None:
        self.sweep, self.runs, self.priced, self.before_new = sweep, runs, priced, before_new
        self.bindings, self.kinds, self.contents = Bindings(sweep.base, sweep.preset), Costs(), Contents()
        self.completion = Completion(sweep, self.bindings, self.kinds)
        self.found: dict[str, tuple[Planned, Cost | None]] = {}
        self._any_new = False
        self.refusals = Refusals(len(sweep.combinations))
        self.skipped = self.repeated = 0

    def add(self, combination: Mapping[str, Any]) -> None:
        """One run more, unless it is skipped, refused, or there already."""
        try:
            values = self.completion.of(combination)
            if values is None:
                self.skipped += 1
                return
            resolved = self.bindings.resolved(values)
            planned = self._planned(values, resolved)
            self._check(planned, resolved.config)
            cost = self.kinds.of(resolved.config) if self.priced else None
        except ConfigError as error:
            self.refusals.add(combination, error.messages)
            return
        self.repeated += planned.id in self.found
        self.found.setdefault(planned.id, (planned, cost))

    def _check(self, planned: Planned, config: Any) -> None:
        """Whether the run could begin; one that has begun could."""
        if (self.runs / planned.path / "run.json").exists():
            return
        if not self._any_new:
            self._any_new = True
            self.before_new()
        self.kinds.check(config)

    def _planned(self, values: Mapping[str, Any], resolved: Resolved) -> Planned:
        identity = run_id(resolved.config, resolved.plugins, self.contents.of(resolved.config))
        return Planned(identity, run_place(resolved.config, identity), values)


def _write(plan: Plan, place: SweepDirectory, file: Path) -> None:
    try:
        place.path.mkdir(parents=True, exist_ok=True)
        place.claims.mkdir(exist_ok=True)
        if not (place.file.exists() and os.path.samefile(file, place.file)):
            shutil.copyfile(file, place.file)
        save(plan, place)
    except OSError as error:
        raise RunError(f"{place.path} cannot be written: {error.strerror}; choose another place with --dir") from None
