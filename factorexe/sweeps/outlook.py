"""What a planned sweep will take, as tables: its axes, how many runs, what they cost, what exists already.

axis          values  from which
------------  ------  ----------
model.width        3  32, 64, 128
seed               5  0, 1, 2, 3, 4

                           least   median     most     in all
parameters                12,480   46,720  210,048
multiply-adds of training 1.2e+9   5.1e+9   2.3e+10   1.6e+11
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from factorexe.sweeps.varying import value_text

_LETTERS = 70  # of the values of one axis


def outlook(sweep: Any, standing: Any) -> str:
    """The tables of a ``PlannedSweep`` and how its runs stand."""
    return "\n\n".join([_counts(sweep), _axes(sweep.plan), _costs(sweep.costs), str(standing)])


def _counts(sweep: Any) -> str:
    runs = len(sweep.plan.planned)
    combinations = runs + sweep.skipped + sweep.repeated
    left_out = f": {combinations} combinations, {sweep.skipped} skipped" if sweep.skipped else ""
    return f"{sweep.plan.name}: {runs} {'run' if runs == 1 else 'runs'}{left_out}"


def _axes(plan: Any) -> str:
    rows = []
    for option in plan.axes:
        values = dict.fromkeys(value_text(planned.values, option) for planned in plan.planned)
        rows.append([option, len(values), _short(list(values))])
    return tabulate(rows, ["option", "values", ""], disable_numparse=True) if rows else "nothing varies"


def _short(values: Sequence[str]) -> str:
    text = ", ".join(values)
    return text if len(text) <= _LETTERS else f"{text[:_LETTERS]}..., {values[-1]}"


def _costs(costs: Sequence[Any]) -> str:
    parameters = sorted(cost.parameters for cost in costs)
    adds = sorted(cost.multiply_adds for cost in costs)
    middle = statistics.median_low
    rows = [
        ["parameters", f"{parameters[0]:,}", f"{middle(parameters):,}", f"{parameters[-1]:,}", ""],
        ["multiply-adds of training", *(f"{number:.2e}" for number in (adds[0], middle(adds), adds[-1], sum(adds)))],
    ]
    head = ["a run takes", "least", "median", "most", "all runs"]
    return tabulate(rows, head, disable_numparse=True, colalign=("left", *["right"] * 4))
