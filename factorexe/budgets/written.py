"""Budgets as tables.

split    model.steps      solved    95 % interval    problems    compute    multiply-adds
-------  -------------  --------  ---------------  ----------  ---------  ---------------
val      3                 0.383   0.282 to 0.534          55       45.1         2.50e+06
val      4 (trained)       0.760   0.611 to 0.851          55       60.1         3.34e+06

and, where a split holds several difficulties, what is solved of each at every position of the dial.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from factorexe.budgets.comparison import Comparison
from factorexe.budgets.record import Budget, Curve, Point


def budget_tables(budget: Budget) -> str:
    """Everything that a reader wants of a run's budgets."""
    lines = [f"{budget.path}: {budget.checkpoint} weights, of step {budget.step}"]
    lines += [f"CHANGED  {path}: {value} here" for path, value in budget.changed.items()]
    parts = ["\n".join(lines)]
    for curve in budget.curves:
        parts += [part for part in (_headline(budget, curve), _by_difficulty(budget, curve), _remarks(curve)) if part]
        parts.append(_overthinking(budget, curve))
    return "\n\n".join(parts)


def _headline(budget: Budget, curve: Curve) -> str:
    rows = []
    for split in budget.splits:
        points = [(position(point, budget), point) for point in curve.on(split)]
        if budget.running and split in budget.running.scores:
            points.append((f"{budget.unturned}, every token running", budget.running))
        rows += [[split, name, *_scored(point, split)] for name, point in points]
    head = ["split", curve.dial, "solved", "95 % interval", "problems", "compute", "multiply-adds"]
    return tabulate(rows, head, disable_numparse=True, colalign=("left", "left", *["right"] * 5))


def _scored(point: Point, split: str) -> list[str]:
    one = point.scores[split]
    low, high = one.interval
    return [
        f"{one.solved:.3f}",
        f"{low:.3f} to {high:.3f}",
        str(one.n),
        f"{one.compute:.1f}",
        f"{one.multiply_adds:.2e}",
    ]


def position(point: Point, budget: Budget) -> str:
    """The value of a dial, as a reader is told it."""
    value = "" if point.value is None else str(point.value)
    return f"{value} ({budget.unturned})".strip() if point.trained else value


def _by_difficulty(budget: Budget, curve: Curve) -> str:
    """A row for each difficulty; nothing where no split has several."""
    rows = []
    for split in budget.splits:
        for level in curve.on(split)[0].scores[split].by_difficulty:
            rates = [point.scores[split].by_difficulty[level].rate for point in curve.on(split)]
            rows.append([split, level, *(f"{rate:.3f}" for rate in rates)])
    if len(rows) == len(budget.splits):
        return ""
    head = ["split", "difficulty", *(position(point, budget) for point in curve.on(budget.splits[0]))]
    title = f"solved by difficulty, at each {curve.dial}:\n" if curve.dial else ""
    return title + tabulate(rows, head, disable_numparse=True, colalign=("left", *["right"] * (len(head) - 1)))


def _remarks(curve: Curve) -> str:
    return "\n".join(f"{curve.dial} {point.value}: refused: {point.refused}" for point in curve.points if point.refused)


def _overthinking(budget: Budget, curve: Curve) -> str:
    found = [f"{split} {curve.overthinking(split):.3f}" for split in budget.splits]
    return f"overthinking (solved with the best budget minus with the largest): {', '.join(found)}"


def comparison_tables(comparison: Comparison) -> str:
    """The runs, by what they are held equal, and what each solves for what it spends."""
    runs = [
        [run.name, f"{run.parameters:,}", f"{run.train_multiply_adds:.2e}", "" if run.label == run.name else run.label]
        for run in comparison.runs
    ]
    about = tabulate(runs, ["run", "parameters", "training multiply-adds", "differs in"], disable_numparse=True)
    rows: list[list[Any]] = [
        [split, run.name, curve.dial, position(point, run.budget), *_scored(point, split)]
        for split in comparison.splits
        for run in comparison.runs
        for curve in run.budget.curves
        for point in curve.on(split)
    ]
    head = ["split", "run", "dial", "", "solved", "95 % interval", "problems", "compute", "multiply-adds"]
    curves = tabulate(rows, head, disable_numparse=True, colalign=(*["left"] * 4, *["right"] * 5))
    return "\n\n".join([about, verdict(comparison), curves])


def verdict(comparison: Comparison) -> str:
    """Which runs are equal and which are not, in a line or two."""
    what = comparison.in_words
    groups: Sequence[Sequence[Any]] = comparison.groups
    if len(groups) == 1:
        return f"equal {what}: all within 10 % of one another ({comparison.spread(groups[0])})"
    told = [f"{', '.join(run.name for run in group)} ({comparison.spread(group)})" for group in groups]
    return f"NOT of equal {what}; within 10 % of one another are only\n" + "\n".join(f"  {line}" for line in told)
