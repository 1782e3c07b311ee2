"""How a problem on two numbers is written, the zeros in front, and how it is read.

``padding`` puts zeros in front.  "results", the default, gives computed numbers fixed widths: an answer of N + M
digits always has N + M tokens.  With "all" operands are brought to equal length as well (Shen et al. 2023,
arXiv:2311.14737; Cho et al. 2024, arXiv:2405.20671), and those zeros are worked through like any digit; with "none"
no computed number has a zero in front::

    12*3, second_digits 1    none  12*3  +63  63       results  12*3  +630  630       all  12*03  +630+000>0630  0630
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from pydantic import model_validator

from factorexe.tasks.base import IntArray
from factorexe.tasks.formats import NumberFormat, column, length

MOST_DIGITS = 4096

# Tokens (N, any) of a computed number (N, width) whose lowest digit has the given significance, 0 for ones.
Writer = Callable[[IntArray, int], IntArray]


class ProblemFormat(NumberFormat):
    """A task on two numbers and an operation, and all ways to write it."""

    scratchpad: Literal["simplified", "detailed"] = "simplified"
    """What the chain holds: results alone, or every step in full with all that it uses."""

    @model_validator(mode="after")
    def _hints_can_be_written(self) -> ProblemFormat:
        if self.index_hints and self.scratchpad == "detailed":
            raise ValueError('index_hints go with scratchpad "simplified" alone; leave one of the two out')
        return self

    # -- what an operation says of itself; the operator is the first of its signs

    def _result_width(self, first: int, second: int) -> int:
        """Digits of the result of numbers with so many digits."""
        raise NotImplementedError

    # -- how it is written

    @property
    def _operator(self) -> int:
        """Token of the operation; every token up to ``base`` is a digit."""
        return self.base + 1

    def _writer(self, start: IntArray | None) -> Writer:
        """Writes computed numbers; ``start`` (N,) is the hint of ones."""

        def write(number: IntArray, place: int) -> IntArray:
            cut = length(number) if self.padding == "none" else None
            return self._hinted(number, self.digit_order, place, start, cut)

        return write

    def _equalled(self, first: IntArray, second: IntArray) -> tuple[IntArray, IntArray]:
        """Both numbers, with zeros up to the longer one's length if operands are padded."""
        if self.padding != "all":
            return first, second
        wide = max(first.shape[1], second.shape[1])
        upper, lower = (np.pad(number, ((0, 0), (0, wide - number.shape[1]))) for number in (first, second))
        return upper, lower

    def _prompt(self, first: IntArray, second: IntArray, start: IntArray | None) -> IntArray:
        left, right = (self._hinted(number, "plain", 0, start) for number in (first, second))
        return np.concatenate([left, column(len(first), self._operator), right], axis=1)

    # -- how it is read

    def _operands(self, prompt: IntArray) -> tuple[IntArray, IntArray]:
        """Digits of both numbers, least significant first, zeros above: rows may differ in length."""
        width = prompt.shape[1]
        reach = np.arange(width)
        cut = (prompt == self._operator).argmax(axis=1)[:, None]
        end = (prompt != 0).sum(axis=1)[:, None]
        first = np.where(reach < cut, np.take_along_axis(prompt, np.maximum(cut - 1 - reach, 0), axis=1) - 1, 0)
        inside = end - 1 - reach
        second = np.where(inside > cut, np.take_along_axis(prompt, np.maximum(inside, 0), axis=1) - 1, 0)
        longest = max(1, int(cut.max(initial=1)), int((end - cut).max(initial=2)) - 1)
        return first[:, :longest], second[:, :longest]

    # -- index hints

    def _longest(self, first: int, second: int) -> int:
        """Digits of the longest number in a problem on numbers with so many digits."""
        if self.padding == "all":
            first = second = max(first, second)
        return self._result_width(first, second)

    def _hinted_from(self, prompt: IntArray, first: IntArray, second: IntArray, sizes: IntArray) -> IntArray:
        """The hint of ones (N,) of typed prompts, whose hints are to be those that it implies."""
        first_hint = np.zeros(1, dtype=np.int64)
        asked = [
            self._prompt(first[row : row + 1, :wide], second[row : row + 1, :high], first_hint)[0]
            for row, (wide, high) in enumerate(sizes.tolist())
        ]
        needed = [self._longest(wide, high) for wide, high in sizes.tolist()]
        return self._starts(prompt, asked, needed, self._as_typed(self.symbols[self._operator]))

    def _as_typed(self, sign: str) -> str:
        """A problem as it is to be typed, for messages."""
        if not self.index_hints:
            return f"12{sign}34"
        low, high = self.symbols[self._first_hint : self._first_hint + 2]
        return self.separator.join([high, "1", low, "0", sign, high, "1", low, "1"])
