"""The n-th Fibonacci number: F(1) = F(2) = 1, and each one after is the sum of the two before.

The chain holds pairs (F(k), F(k+1)), from which the next is found without looking further back::

    6    >1,1>1,2>2,3>3,5>5,8>8,31        F(6) = 8; 31 is 13 reversed
    answer 8

The chain of n begins with the chain of every smaller number: whoever has seen a larger n has only to know where to
stop.  Without the chain there is no short way through small steps but doubling, F(2k) = F(k) (2 F(k+1) - F(k)).

Named beside the factorial by the GitHub repository Fchaubard/factorial_experiments as a recursion that one pass
through a few layers cannot follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from factorexe.tasks.base import IntArray
from factorexe.tasks.formats import column
from factorexe.tasks.recurrence import RUN, TINY, Recurrence, State
from factorexe.tasks.recurrence_format import Writer


class Fibonacci(Recurrence):
    """The n-th Fibonacci number; the chain holds pairs of neighbours."""

    paper: ClassVar[str] = "Fchaubard/factorial_experiments (GitHub)"

    presets: ClassVar = {"default": RUN, "tiny": TINY}

    @property
    def _signs(self) -> tuple[str, ...]:
        """``>`` before each pair, and ``,`` within."""
        return (*super()._signs, ",")

    def _greatest(self, number: int) -> int:
        here, following = 0, 1
        for _ in range(number):
            here, following = following, here + following
        return following

    def _states(self, number: IntArray) -> Iterator[State]:
        most = int(number.max(initial=0))
        here = self._limbs.zeros(len(number), 2**most)  # F(n+1) < 2**n
        here[:, 0] = 1
        following = here
        for _ in range(most):
            yield here, following
            here, following = following, self._limbs.settled(here + following)

    def _line(self, state: State, number: IntArray, step: int, write: Writer) -> list[IntArray]:
        comma = column(len(number), self._mark(","))
        return [*super()._line(state, number, step, write), comma, write(state[1])]

    def _line_width(self, digits: Sequence[int], number: int, step: int) -> int:
        return 2 + self._written_width(digits[0]) + self._written_width(digits[1])
