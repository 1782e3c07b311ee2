"""How a problem on two numbers is written: the zeros in front, hints that tell a digit's place, and how it is read.

``padding`` puts zeros in front.  "results", the default, gives computed numbers fixed widths: an answer of N + M
digits always has N + M tokens.  With "all" operands are brought to equal length as well (Shen et al. 2023,
arXiv:2311.14737; Cho et al. 2024, arXiv:2405.20671), and those zeros are worked through like any digit; with "none"
no computed number has a zero in front::

    12*3, second_digits 1    none  12*3  +63  63       results  12*3  +630  630       all  12*03  +630+000>0630  0630

``index_hints`` puts a letter before every digit, the same for the same significance, in alphabetical order from ones
upwards (Zhou et al. 2023, arXiv:2310.16028).  The first is drawn for each problem, so that training sees all of them::

    42+39    C4B2+C3B9    chain >B1C1>C8D0    answer B1C8D0
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from factorexe.tasks.base import IntArray
from factorexe.tasks.formats import NumberFormat, Order, column, hinted, length, packed, written

MOST_DIGITS = 4096
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# Tokens (N, any) of a computed number (N, width) whose lowest digit has the given significance, 0 for ones.
Writer = Callable[[IntArray, int], IntArray]


class ProblemFormat(NumberFormat):
    """A task on two numbers and an operation, and all ways to write it."""

    padding: Literal["none", "results", "all"] = "results"
    """Zeros in front: none; of computed numbers, to fixed widths; of operands too, to equal length."""
    index_hints: bool = False
    """A letter before every digit that tells its significance, counted from a random one."""
    hint_symbols: int | None = Field(None, ge=2, le=4 * MOST_DIGITS)
    """How many letters there are to hint with; twice as many as ood needs if not given."""
    scratchpad: Literal["simplified", "detailed"] = "simplified"
    """What the chain holds: results alone, or every step in full with all that it uses."""

    @model_validator(mode="after")
    def _hints_can_be_written(self) -> ProblemFormat:
        if self.hint_symbols is not None and not self.index_hints:
            raise ValueError("hint_symbols has no effect without index_hints; set index_hints or leave it out")
        if self.index_hints and self.scratchpad == "detailed":
            raise ValueError('index_hints go with scratchpad "simplified" alone; leave one of the two out')
        if self.hint_symbols is not None and self.hint_symbols < (needed := self._hints_needed):
            raise ValueError(
                f"hint_symbols ({self.hint_symbols}) must be at least {needed}, the most digits of a number in ood"
            )
        return self

    @property
    def symbols(self) -> tuple[str, ...]:
        """Digits, the signs of the operation, and what is hinted with."""
        count = self._hint_count
        hints = LETTERS[:count] if count <= len(LETTERS) else [f"h{number}" for number in range(count)]
        return (*self._glyphs, *self._signs, *hints)

    @property
    def tells_places(self) -> bool:
        """Not with hints, which tell them in tokens, nor where the width of a number shows only at its end."""
        return not self.index_hints and not (self.padding == "none" and self.digit_order == "plain")

    # -- what an operation says of itself

    @property
    def _signs(self) -> tuple[str, ...]:
        """Its symbols after the digits, the operator first."""
        raise NotImplementedError

    def _result_width(self, first: int, second: int) -> int:
        """Digits of the result of numbers with so many digits."""
        raise NotImplementedError

    @property
    def _hints_needed(self) -> int:
        """Digits of the longest number in the hardest problem."""
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

    def _hinted(
        self,
        number: IntArray,
        order: Order,
        place: int,
        start: IntArray | None,
        cut: IntArray | None = None,
    ) -> IntArray:
        """Tokens of a number, of its lowest ``cut`` (N,) digits, hints included."""
        tokens = written(number, order, cut)
        if start is None:
            return tokens
        hints = self._first_hint + start[:, None] + place + np.arange(number.shape[1])
        return hinted(tokens, hints if order == "reversed" else hints[:, ::-1])

    def _tokens(self, digits: int) -> int:
        """Tokens that a number of so many digits takes."""
        return digits * (2 if self.index_hints else 1)

    # -- how it is read

    def _bare(self, prompt: IntArray) -> IntArray:
        """The prompt without its hints."""
        if not self.index_hints:
            return prompt
        return packed([np.where(prompt >= self._first_hint, 0, prompt)])[0]

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

    @property
    def _hint_count(self) -> int:
        return (self.hint_symbols or 2 * self._hints_needed) if self.index_hints else 0

    @property
    def _first_hint(self) -> int:
        return self.base + 1 + len(self._signs)

    def _hinted_from(self, prompt: IntArray, first: IntArray, second: IntArray, sizes: IntArray) -> IntArray:
        """The hint of ones (N,) of typed prompts, whose hints are to be those that it implies."""
        filled = (prompt != 0).sum(axis=1)
        start = np.take_along_axis(prompt, (filled - 2)[:, None], axis=1)[:, 0] - self._first_hint
        for row, (wide, high) in enumerate(sizes.tolist()):
            one, text = slice(row, row + 1), self.text(prompt[row])
            asked = self._prompt(first[one, :wide], second[one, :high], start[one])[0]
            if not np.array_equal(asked, prompt[row, : filled[row]]):
                raise ValueError(f"expected hints as in {self._as_typed(self.symbols[self._operator])} (got {text!r})")
            if start[row] + (needed := self._longest(wide, high)) > self._hint_count:
                raise ValueError(f"{text!r} needs {needed} hints from its first on; there are {self._hint_count}")
        return start

    def _as_typed(self, sign: str) -> str:
        """A problem as it is to be typed, for messages."""
        if not self.index_hints:
            return f"12{sign}34"
        low, high = self.symbols[self._first_hint : self._first_hint + 2]
        return self.separator.join([high, "1", low, "0", sign, high, "1", low, "1"])
