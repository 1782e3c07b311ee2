"""The largest value of an option with which a run keeps within a budget.

    largest(Budget("parameters", 200_000, multiple_of=16), spent)       112

The quantity has to grow with the option: the value is doubled until it is too large, and the place where it becomes so
is found by halves.
"""

from __future__ import annotations

from collections.abc import Callable

from factorexe.config import ConfigError
from factorexe.sweeps.derived import Budget

_MOST_DOUBLINGS = 40


def largest(budget: Budget, spent: Callable[[int], float]) -> int:
    """The largest multiple within the budget.

    Args:
        spent: what a run with a value of the option takes; raises ConfigError where it cannot be made.

    Raises:
        ConfigError: no run is within it, or every one.
    """
    unit = budget.multiple_of
    quantity = budget.quantity.replace("_", "-")
    try:
        least = spent(unit)
    except ConfigError as error:
        raise ConfigError(f"{unit} is refused ({error}); every multiple of multiple_of has to be allowed") from None
    if least > budget.limit:
        raise ConfigError(f"{unit} takes {least:,.0f} {quantity} already, more than {budget.limit:,.0f}; allow more")
    within, beyond = 1, 2
    for _ in range(_MOST_DOUBLINGS):
        if not _fits(spent, beyond * unit, budget.limit):
            return unit * _halved(lambda count: _fits(spent, count * unit, budget.limit), within, beyond)
        within, beyond = beyond, 2 * beyond
    raise ConfigError(f"{within * unit} is still within {budget.limit:,.0f} {quantity}; derive another")


def _fits(spent: Callable[[int], float], value: int, limit: float) -> bool:
    """Whether a value is within the limit; one that the option does not allow is not."""
    try:
        return spent(value) <= limit
    except ConfigError:
        return False


def _halved(fits: Callable[[int], bool], within: int, beyond: int) -> int:
    while beyond - within > 1:
        middle = (within + beyond) // 2
        within, beyond = (middle, beyond) if fits(middle) else (within, middle)
    return within
