"""Add the numbers from 1 to n: the control beside ``factorial``, with a short cut that the factorial does not have.

The chain holds the running sums, from n downwards or from 1 upwards::

    4    >4>7>9>10           4, 4 + 3, 7 + 2, 9 + 1 (digits reversed: >4>7>9>01)
         >1>3>6>10           upwards
    answer 10                4 x 5 / 2

The same problem in the same form, but n (n + 1) / 2 gives the answer in one step.  The GitHub repository
Fchaubard/factorial_experiments names it as the recursion that can be reduced.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np

from factorexe.tasks.base import IntArray
from factorexe.tasks.recurrence import RUN, TINY, Recurrence, State


class Triangular(Recurrence):
    """Add the numbers from 1 to n; the chain holds the running sums."""

    paper: ClassVar[str] = "Fchaubard/factorial_experiments (GitHub)"

    order: Literal["descending", "ascending"] = "descending"
    """Begin with n and add downwards, or with 1 and upwards."""

    presets: ClassVar = {"default": RUN, "tiny": TINY}

    def _greatest(self, number: int) -> int:
        return number * (number + 1) // 2

    def _states(self, number: IntArray) -> Iterator[State]:
        most = int(number.max(initial=0))
        total = self._limbs.zeros(len(number), self._greatest(most))
        for step in range(most):
            addend = np.full_like(number, step + 1) if self.order == "ascending" else np.maximum(number - step, 0)
            total = total.copy()
            total[:, 0] += addend
            total = self._limbs.settled(total)
            yield (total,)
