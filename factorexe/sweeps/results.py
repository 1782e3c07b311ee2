"""The results of a sweep as rows, one for each run: what tells it from the others, and what it found.

    id            state     model.width  seed  solved.val.final  t_mem  t_gen  t_gen.at_least  ...
    3f2a9c01be77  finished           32     0             0.996   1000   1200
    81d0c2aa4f10  finished           32     1             0.870    900                   1250
    5c77e0b3d9f2  failed             64     0

An event that a run did not reach has no number: what is known, that it lies beyond the run's last step, stands in a
column of its own.  (Three evaluations in a row tell that it is reached: a run that ends on the second of them has not
reached it.)  The delay, t_gen - t_mem, is beyond what was left after t_mem where t_gen was not reached; where
t_mem was not, nothing is known of it.  Of a split that was not scored nothing is said.  What ``test`` has found of a
run stands in its row too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from factorexe.metrics import EVENTS, SOONER
from factorexe.rundir import RunDirectory, RunError, read_json
from factorexe.sweeps.censored import Measured
from factorexe.sweeps.plan import Plan, Planned
from factorexe.sweeps.standing import State, look
from factorexe.sweeps.varying import value_text, varying

AT_LEAST = ".at_least"  # ends the name of a column that holds a bound in place of a number
DELAY = "delay"
EVENT_NAMES = (*EVENTS, *SOONER, DELAY)
_APART = ("events", "events_censored_at", "samples")
_OF_TEST = ("solved", "loss", "solved_by_difficulty", "n_by_difficulty", "compute_per_problem")

Row = dict[str, Any]


def rows(plan: Plan, claimed: Collection[str] = ()) -> list[Row]:
    """One row for each run, in the order of the plan, all with the same columns; None where nothing is known.

    Args:
        claimed: runs that somebody is at work on.

    Raises:
        RunError: a result is damaged.
    """
    states, options = look(plan, claimed).states, varying(plan)
    found = [_row(plan, planned, states[planned.id], options) for planned in plan.planned]
    columns = list(dict.fromkeys(column for row in found for column in row))
    return [{column: row.get(column) for column in columns} for row in found]


def measured(row: Mapping[str, Any], column: str) -> Measured | None:
    """A number of a row, or what is known in its place."""
    if (value := row.get(column)) is not None:
        return Measured(value) if is_number(value) else None
    bound = row.get(column + AT_LEAST)
    return None if bound is None else Measured(bound, ">")


def is_number(value: Any) -> bool:
    """Whether one can calculate with it."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def extended(found: Iterable[Row]) -> list[Row]:
    """Runs that went on after the last step of their plan: what they found is of more steps than that of others."""
    return [row for row in found if row.get("extended_from") is not None]


def _row(plan: Plan, planned: Planned, state: State, options: Iterable[str]) -> Row:
    row: Row = {"id": planned.id, "state": state}
    row |= {option: _plain(planned.values, option) for option in options}
    return row | _found(RunDirectory(plan.directory(planned))) if state == "finished" else row


def _plain(values: Mapping[str, Any], option: str) -> Any:
    value = values.get(option)
    return value_text(values, option) if isinstance(value, Mapping | list) else value


def _found(directory: RunDirectory) -> Row:
    """Everything that a run found, by its path in result.json; lists, as of samples, stay there."""
    result = read_json(directory.result)
    try:
        steps, scored = result["steps"], {split for split, solved in result["solved"].items() if solved}
        found = _leaves({name: part for name, part in result.items() if name not in _APART})
        events = _events(result["events"], steps, scored)
    except (AttributeError, LookupError, TypeError):
        raise RunError(f"{directory.result} is damaged: expected the record of a run") from None
    planned = _steps_at_first(directory)
    found |= _tested(directory)
    return found | events | ({} if planned in (None, steps) else {"extended_from": planned})


def _tested(directory: RunDirectory) -> Row:
    """What a last look at the run's best weights has found, if it was taken: ``solved.test.rate`` and so on."""
    if not directory.test.exists():
        return {}
    record = read_json(directory.test)
    return _leaves({name: record[name] for name in _OF_TEST if isinstance(record.get(name), Mapping)})


def _leaves(tree: Mapping[str, Any], path: str = "") -> Row:
    found: Row = {}
    for name, part in tree.items():
        if isinstance(part, Mapping):
            found |= _leaves(part, f"{path}{name}.")
        elif part is not None and not isinstance(part, list):
            found[path + name] = part
    return found


def _events(events: Mapping[str, int | None], steps: int, scored: Collection[str]) -> Row:
    found: Row = {}
    for event, split in EVENTS.items():
        if split in scored:
            found |= _known(event, events[event], steps)
    for event, (split, _) in SOONER.items():
        if split in scored and event in events:  # results from before it was told lack it
            found |= _known(event, events[event], steps)
    memorized, generalized = events["t_mem"], events["t_gen"]
    if memorized is not None and "val" in scored:
        delay = None if generalized is None else generalized - memorized
        found |= _known(DELAY, delay, steps - memorized)
    return found


def _known(event: str, step: int | None, limit: int) -> Row:
    """Both columns, so that they stand side by side."""
    return {event: step, event + AT_LEAST: limit if step is None else None}


def _steps_at_first(directory: RunDirectory) -> int | None:
    """The last step a run was planned with, if it has been extended since."""
    before = read_json(directory.record).get("extended") if directory.record.exists() else None
    return before[0]["from"] if before else None
