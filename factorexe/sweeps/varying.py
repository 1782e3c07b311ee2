"""Which options tell the runs of a sweep apart, and the words for it.

varying(plan)                       ("model.width", "seed"), where lr is an axis with a single value
described(plan.planned[3], names)   "model.width 64, seed 1"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from factorexe.config import RunConfig
from factorexe.labels import flat
from factorexe.sweeps.plan import Plan, Planned

SEED = "seed"


def is_option(column: str) -> bool:
    """Whether a column of results is an option of the runs: ``model.width``, but not ``solved.val.final``."""
    return column.partition(".")[0] in RunConfig.model_fields


def varying(plan: Plan) -> tuple[str, ...]:
    """Options whose value is not the same in all runs, in the order of the file."""
    options = dict.fromkeys([*plan.axes, *(option for planned in plan.planned for option in planned.values)])
    texts = {option: {value_text(planned.values, option) for planned in plan.planned} for option in options}
    return tuple(option for option in options if len(texts[option]) > 1)


def described(planned: Planned, options: Sequence[str]) -> str:
    """What tells a run from the others."""
    return ", ".join(f"{option} {value_text(planned.values, option)}" for option in options if option in planned.values)


def value_text(values: Mapping[str, Any], option: str) -> str:
    """A value as it is written; ``-`` where the option is not given."""
    if option not in values:
        return "-"
    return ", ".join(flat({option: values[option]}).values())
