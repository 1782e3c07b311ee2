"""Numbers of which some are only known to be greater than a limit, and what can be said of several of them.

A run of 500 steps that has not generalized will do so after step 500, if ever.  To leave it out, or to count it as
500, would make slow learners look fast::

    steps                   median
    100  200  400              200    whatever the last one is, the middle one stays
    100  200  >500             200
    100  >500 >500            >500    not reached
    100  >500                 >300    halfway to the limit, at least
    >200  300  400           >=300    400, if the first one is greater still

A number without a sign holds wherever the unknown ones lie above their limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, inf, isnan, nan
from typing import NamedTuple


class Measured(NamedTuple):
    """A number, or what it is greater than (``>``) or at least (``>=``)."""

    value: float
    sign: str = ""

    @property
    def known(self) -> bool:
        """Whether it is a number and no bound."""
        return not self.sign


def quantile(numbers: Sequence[Measured], share: float) -> Measured:
    """The number below which a ``share`` of them lies, linear between two neighbours; NaN where one of them is NaN.

    Args:
        numbers: at least one.
        share: 0.5 for the median.
    """
    if any(isnan(number.value) for number in numbers):
        return Measured(nan)
    lowest = sorted(numbers)  # a limit stands behind the same number
    place = (len(lowest) - 1) * share
    first, part = floor(place), place - floor(place)
    least = _between([number.value for number in lowest], first, part)
    most = _between(sorted(number.value if number.known else inf for number in numbers), first, part)
    beyond = not all(number.known for number in lowest[first : first + (2 if part else 1)])
    return Measured(least, "" if least == most else ">" if beyond else ">=")


def mean(numbers: Sequence[Measured]) -> Measured:
    """Their mean, or what it is at least where one of them is unknown."""
    average = sum(number.value for number in numbers) / len(numbers)
    return Measured(average, "" if all(number.known for number in numbers) else ">=")


def _between(ordered: Sequence[float], first: int, part: float) -> float:
    low = ordered[first]
    if not part or ordered[first + 1] == low:
        return low
    return low + part * (ordered[first + 1] - low)
