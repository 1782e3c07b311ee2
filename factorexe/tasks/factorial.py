"""Multiply the numbers from 1 to n.

The chain holds the running products, from n downwards or from 1 upwards::

    5    >5>20>60>120>120        5, 5 x 4, 20 x 3, 60 x 2, 120 x 1 (digits reversed: >5>02>06>021>021)
         >1>2>6>24>120           upwards

With ``detail long`` each product is worked out by hand: after ``;`` comes a problem of ``multiplication`` with the
steps that ``multiplication`` writes for it, token for token, and after the last ``;`` the result::

    4    ;4*3+21;12*2+420;24*1+420;24        4 x 3 = 12, 12 x 2 = 024, 24 x 1 = 024

Upwards, the chain of n begins with the chain of every smaller number: whoever has seen a larger n has only to know
where to stop.  Downwards, no chain is part of another.

The prompt, the numbers that are trained on and the form ``significant`` are those of the GitHub repository
Fchaubard/factorial_experiments, which also writes each step's factors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import model_validator

from factorexe.tasks.base import IntArray
from factorexe.tasks.formats import column, length, written
from factorexe.tasks.long_multiplication import written_out
from factorexe.tasks.recurrence import RUN, TINY, Recurrence, State
from factorexe.tasks.recurrence_format import Writer


class Factorial(Recurrence):
    """Multiply the numbers from 1 to n; the chain holds the running products."""

    paper: ClassVar[str] = "Fchaubard/factorial_experiments (GitHub)"

    order: Literal["descending", "ascending"] = "descending"
    """Begin with n and multiply downwards, or with 1 and upwards."""
    detail: Literal["product", "long"] = "product"
    """The chain holds each running product, or how it is worked out, as `multiplication` writes it."""

    presets: ClassVar = {
        "default": RUN,
        "tiny": TINY,
        "ancestor": {**RUN, "task.form": "significant"},
    }

    @model_validator(mode="after")
    def _long_products_are_exact(self) -> Factorial:
        if self.detail == "long" and self.form != "exact":
            raise ValueError(f"detail long works out exact products, so form must be exact (got {self.form})")
        if self.detail == "long" and (self.padding != "none" or self.index_hints):
            raise ValueError(
                "detail long writes as multiplication does, zeros of its results included, so padding must be none"
                f" and index_hints false (got {self.padding} and {str(self.index_hints).lower()})"
            )
        return self

    @property
    def tells_places(self) -> bool:
        """Not with long detail."""
        return self.detail == "product" and super().tells_places

    @property
    def _signs(self) -> tuple[str, ...]:
        """With long detail those of ``multiplication`` with the same ids, and ``;`` before each product."""
        return ("*", "+", ">", ";") if self.detail == "long" else super()._signs

    def _greatest(self, number: int) -> int:
        return math.factorial(number)

    def _states(self, number: IntArray) -> Iterator[State]:
        most = int(number.max(initial=0))
        product = self._limbs.zeros(len(number), self._greatest(most))
        product[:, 0] = 1
        for step in range(most):
            factor = self._factor(number, step)
            product = self._limbs.settled(product * factor[:, None])
            yield (product,)

    def _factor(self, number: IntArray, step: int) -> IntArray:
        """What is multiplied by at a step; 1 once a row has come to its end."""
        factor = np.full_like(number, step + 1) if self.order == "ascending" else number - step
        return np.where(step < number, factor, 1)

    def _line(self, state: State, number: IntArray, step: int, write: Writer) -> list[IntArray]:
        if self.detail == "product":
            return super()._line(state, number, step, write)
        product = self._limbs.digits(state[0])
        opened = [column(len(number), self._mark(";")), written(product, "plain", length(product))]
        going = np.where(number > step + 1, self._factor(number, step + 1), 0)
        size = length(going[:, None] // self.base ** np.arange(12) % self.base)
        worked = [self._multiplied(product, going, size == digits) for digits in np.unique(size[going > 0])]
        return [*opened, *worked]

    def _multiplied(self, product: IntArray, factor: IntArray, here: IntArray) -> IntArray:
        """``*``, the factor and the long multiplication, in those rows ``here`` whose factor is not 0.

        All the factors have the same number of digits.
        """
        rows = np.flatnonzero(here & (factor > 0))
        first, second = product[rows], self._limbs.digits(factor[rows, None])
        size, wide = length(first), first.shape[1]

        def fixed(digits: IntArray, place: int) -> IntArray:
            """As wide as if every first number had no zeros above."""
            return written(digits, self.digit_order, size + digits.shape[1] - wide)

        chain, _, _ = written_out(
            first,
            second,
            base=self.base,
            written=fixed,
            partial_mark=self._mark("+"),
            sum_mark=self._mark(">"),
        )
        line = np.concatenate([column(len(rows), self._mark("*")), written(second, "plain"), chain], axis=1)
        filled = np.zeros((len(factor), line.shape[1]), dtype=np.int64)
        filled[rows] = line
        return filled

    def _line_width(self, digits: Sequence[int], number: int, step: int) -> int:
        if self.detail == "product" or step == number - 1:
            return super()._line_width(digits, number, step)
        factor = self._factor(np.array([number]), step + 1)
        first, second = digits[0], int(length(self._limbs.digits(factor[:, None]))[0])
        sums = sum(first + place + 2 for place in range(1, second))
        return 1 + first + 1 + second + second * (first + 2) + sums
