"""Tables of modular arithmetic, written so that the operation is an addition.

Waves over a table tell a rule only in coordinates in which the rule is a shift.  Here x and y run from 0 to n - 1 and
the answer depends on (x + y) mod n alone.  Modulo 7, of which 3 is a primitive root (its powers are 1 3 2 6 4 5)::

    a + b    n = 7    a = x      b = y
    a - b    n = 7    a = x      b = -y
    a * b    n = 6    a = 3^x    b = 3^y     x = 1, y = 2:   3 * 2 = 6 = 3^3
    a / b    n = 6    a = 3^x    b = 3^-y

Products and quotients leave out 0, which has no logarithm.  The other operations of the task, and products modulo
a number that is not prime, have no such coordinates.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


class Coordinates(NamedTuple):
    """The operands that stand at each coordinate."""

    first: IntArray  # (n,) a at x
    second: IntArray  # (n,) b at y

    @property
    def pairs(self) -> IntArray:
        """(n * n, 2) both operands of every cell, row by row."""
        n = len(self.first)
        return np.stack([np.repeat(self.first, n), np.tile(self.second, n)], axis=1)

    def cells(self, first: IntArray, second: IntArray) -> IntArray:
        """Where pairs of operands (N,) stand in ``pairs``; those that have no coordinates are left out."""
        most = 1 + int(max(self.first.max(), self.second.max(), first.max(initial=0), second.max(initial=0)))
        x, y = np.full(most, -1), np.full(most, -1)
        x[self.first], y[self.second] = np.arange(len(self.first)), np.arange(len(self.second))
        at, beside = x[first], y[second]
        found: IntArray = (at * len(self.first) + beside)[(at >= 0) & (beside >= 0)]
        return found


def coordinates(operation: str, modulus: int) -> Coordinates | None:
    """Those in which ``operation`` is an addition of at least three numbers; None where there are none."""
    numbers = np.arange(modulus)
    if operation in ("multiply", "divide"):
        powers = _powers(modulus)
        if powers is None:
            return None
        numbers = powers
    if len(numbers) < 3 or operation not in ("add", "subtract", "multiply", "divide"):
        return None
    inverted = operation in ("subtract", "divide")
    return Coordinates(numbers, numbers[-np.arange(len(numbers))] if inverted else numbers)


def _powers(modulus: int) -> IntArray | None:
    """The powers (modulus - 1,) of the least primitive root of a prime, from its zeroth; None for other numbers."""
    if any(modulus % divisor == 0 for divisor in range(2, int(modulus**0.5) + 1)):
        return None
    for root in range(1, modulus):
        powers = [1]
        while (following := powers[-1] * root % modulus) != 1:
            powers.append(following)
        if len(powers) == modulus - 1:
            return np.array(powers)
    return None
