"""Factors: choices of which each run of a sweep takes one, and the runs that they make together.

widths = Factor("grid", [{"model.width": 32}, {"model.width": 64}])
seeds = Factor("seeds", [{"seed": 0}, {"seed": 1}])
combinations([widths, seeds])           four runs, {"model.width": 32, "seed": 0} first; seeds vary fastest
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from factorexe.config import ConfigError
from factorexe.sweeps.paths import within

MOST = 1_000_000  # runs; more are a slip of the pen


class Factor(NamedTuple):
    """Choices of which each run takes one."""

    place: str  # in the file
    choices: Sequence[Mapping[str, Any]]  # option path -> value


def combinations(factors: Sequence[Factor]) -> tuple[dict[str, Any], ...]:
    """Every run as option path -> value; the last factor varies fastest.

    Raises:
        ConfigError: there are too many.
    """
    count = math.prod(len(factor.choices) for factor in factors)
    if count > MOST:
        raise ConfigError(f"expected at most {MOST:,} runs (got {count:,}); divide them among several files")
    runs = product(*(factor.choices for factor in factors))
    return tuple({path: value for choice in run for path, value in choice.items()} for run in runs)


def options_of(factors: Sequence[Factor]) -> tuple[str, ...]:
    """Every option that a factor gives."""
    return tuple(dict.fromkeys(path for factor in factors for choice in factor.choices for path in choice))


def collisions(factors: Sequence[Factor], derived: Iterable[str]) -> Iterator[str]:
    """One line for each option that two factors give, or that is derived as well."""
    givers: dict[str, str] = {}
    for place, choices in [*factors, Factor("derive", [dict.fromkeys(derived)])]:
        given = (inner for choice in choices for path, value in choice.items() for inner in within(path, value))
        for path in dict.fromkeys(given):
            if path in givers:
                where = f"by {givers[path]} and by {place}" if givers[path] != place else f"twice by {place}"
                yield f"{path} is given {where}; keep one"
            givers.setdefault(path, place)
