"""Measure several runs' budget curves, to be put side by side.

found = compare([loop, plain], at="parameters")
found.runs[0].budget.curves[0].points                what was known of the run, and what it was not
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from factorexe.budgets.comparison import At, Compared, Comparison
from factorexe.budgets.measuring import SPLITS, Say, known_budget, refuse_unfinished
from factorexe.config import ConfigError, flattened, resolve
from factorexe.labels import labels
from factorexe.run import Run


def compare(
    runs: Sequence[Run],
    changes: Mapping[str, Any] | None = None,
    *,
    at: At = "parameters",
    splits: Sequence[str] = SPLITS,
    checkpoint: str = "best",
    say: Say = lambda line: None,
) -> Comparison:
    """The budget curves of several runs; what is not known of them is measured.

    Args:
        changes: option path -> value, in every pass of every run.
        at: what the runs are meant to be equal in.

    Raises:
        ConfigError: the runs are of different problems, or as in ``budget``.
        RunError: as in ``budget``.
    """
    once = list({run.path.resolve(): run for run in runs}.values())
    for run in once:
        refuse_unfinished(run)
    _refuse_other_problems(once, changes)
    ends = [run.path.resolve().name for run in once]
    names = [end if ends.count(end) == 1 else str(run.path) for end, run in zip(ends, once, strict=True)]
    told = labels([run.path for run in once], [run.config.model_dump(mode="json") for run in once])
    found = []
    for run, name, label in zip(once, names, told, strict=True):
        say(f"{run.path}: {label}")
        known = known_budget(run, changes, splits, checkpoint, say)
        result = run.result or {}
        found.append(Compared(name, label, result["parameters"], result["train_multiply_adds"], known))
    return Comparison(at, tuple(found))


def _refuse_other_problems(runs: Sequence[Run], changes: Mapping[str, Any] | None) -> None:
    """Solved rates of different problems say nothing of one another."""
    first, *others = runs
    there = _problems(first, changes)
    for run in others:
        here = _problems(run, changes)
        for path in dict.fromkeys(("task.name", *there, *here)):
            if there.get(path) != here.get(path):
                hint = "" if path == "task.name" else f"; --{path} makes them the same where weights allow it"
                raise ConfigError(
                    f"expected runs of the same problems: {path} is {there.get(path)} in {first.path} and"
                    f" {here.get(path)} in {run.path}{hint}"
                )


def _problems(run: Run, changes: Mapping[str, Any] | None) -> dict[str, Any]:
    options = flattened(resolve(changes, files=[run.directory.config]).config)
    return {path: value for path, value in options.items() if path.startswith("task.")}
