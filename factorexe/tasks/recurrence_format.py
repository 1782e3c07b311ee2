"""How a problem on one number n is written, whose chain holds many: all digits, seven of them, or remainders.

``padding results`` gives every number that is computed the width of the problem's longest, in form modulus that of
the largest remainder; hints and places are those of two-number problems (``formats``).  The factorial of 5, which is
120, and that of 4 with hints::

    none  >5>02>06>021>021  021       results  >500>020>060>021>021  021       hints, from B on  B4  >B4>B2C1>B4C2>B4C2
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from factorexe.tasks.base import IntArray
from factorexe.tasks.formats import NumberFormat, length, opened, placed, read
from factorexe.tasks.limbs import MOST, Limbs, count_digits
from factorexe.tasks.significant import MARKS, in_figures, widest

# Tokens (N, any) of computed numbers (N, limbs), with gaps.
Writer = Callable[[IntArray], IntArray]


class RecurrenceFormat(NumberFormat):
    """A task on a number n, and all ways to write what is computed from it."""

    form: Literal["exact", "significant", "modulus"] = "exact"
    """All digits, seven significant ones as %.7g writes them (digit_order has no say), or remainders by `modulus`."""
    modulus: int = Field(97, ge=2, le=2**31)
    """What numbers are reduced by in form modulus."""
    padding: Literal["none", "results"] = "none"
    """Zeros in front: none; or of computed numbers, to the width of the problem's longest."""

    @model_validator(mode="after")
    def _seven_figures_are_decimal_text(self) -> RecurrenceFormat:
        if self.form != "significant":
            return self
        if self.base != 10:
            raise ValueError(f"form significant is decimal text, so base must be 10 (got {self.base})")
        if self.padding != "none":
            raise ValueError(
                f"form significant says how long numbers are, so padding must be none (got {self.padding})"
            )
        if self.index_hints:
            raise ValueError("form significant leaves digits out, so there can be no index_hints; use form exact")
        return self

    @property
    def tells_places(self) -> bool:
        """As far as numbers show all their digits."""
        return self.form != "significant" and super().tells_places

    def places(self, tokens: IntArray, prompt_length: IntArray) -> IntArray:
        """Significance of each digit, ones being 2; a mark stands one before the number that it opens."""
        reach, end = np.arange(tokens.shape[1]), (prompt_length - 1)[:, None]
        width = self._longest(self._value(np.where(reach < end, tokens, 0)))[:, None]
        opens = (reach >= end) & (tokens > self.base)
        place = placed(reach - opened(opens), width, self.digit_order)
        return np.where(tokens == 0, 0, np.where(reach < end, end + 1 - reach, place))

    # -- what a recurrence says of itself

    @property
    def _last(self) -> int:
        """The largest n."""
        raise NotImplementedError

    def _greatest(self, number: int) -> int:
        """The greatest number that is computed for n."""
        raise NotImplementedError

    # -- how it is written

    @property
    def _signs(self) -> tuple[str, ...]:
        """``>`` before each step, and in form significant those of %.7g."""
        return (">", *(MARKS if self.form == "significant" else ()))

    def _mark(self, symbol: str) -> int:
        return self.base + 1 + self._signs.index(symbol)

    @property
    def _limbs(self) -> Limbs:
        return Limbs(self.base, self.modulus if self.form == "modulus" else None)

    def _writer(self, number: IntArray) -> Writer:
        """Writes what is computed for each of ``number`` (N,); the first hint is that of ones."""
        size = self._longest(number) if self.padding == "results" else None

        def write(value: IntArray) -> IntArray:
            digits = self._limbs.digits(value)
            if self.form == "significant":
                return in_figures(digits, [self._mark(symbol) for symbol in MARKS])
            if size is not None:
                digits = np.pad(digits, ((0, 0), (0, max(0, int(size.max(initial=0)) - digits.shape[1]))))
            cut = length(digits) if size is None else size
            return self._hinted(digits, self.digit_order, 0, self._first(len(value)), cut)

        return write

    def _typed(self, number: IntArray) -> IntArray:
        """Tokens of small numbers (N,) as they stand in a prompt, with gaps."""
        digits = self._limbs.digits(number[:, None])
        return self._hinted(digits, "plain", 0, self._first(len(number)), length(digits))

    def _first(self, count: int) -> IntArray | None:
        """The first hint (N,), if there are any."""
        return np.zeros(count, dtype=np.int64) if self.index_hints else None

    def _written_width(self, digits: int) -> int:
        """The most tokens of a computed number with so many digits."""
        return widest(digits) if self.form == "significant" else self._tokens(digits)

    # -- how it is read

    def _value(self, prompt: IntArray) -> IntArray:
        """The number n (N,) of prompts."""
        digits = read(self._bare(prompt), "plain")[:, : MOST.bit_length()]
        number: IntArray = (digits * self.base ** np.arange(digits.shape[1])).sum(axis=1)
        return number

    # -- how long numbers are

    def _longest(self, number: IntArray) -> IntArray:
        """The most digits (N,) of a number that is computed for each n (N,)."""
        distinct, row_of = np.unique(number, return_inverse=True)
        return np.array([_most_digits(self, n) for n in distinct.tolist()], dtype=np.int64)[row_of]

    def _hints_for(self, number: IntArray) -> IntArray:
        """How many hints a problem (N,) takes."""
        return np.maximum(self._longest(number), length(self._limbs.digits(number[:, None])))

    @property
    def _hints_needed(self) -> int:
        return int(self._hints_for(np.array([self._last]))[0])


@functools.lru_cache(maxsize=MOST)
def _most_digits(task: RecurrenceFormat, number: int) -> int:
    greatest = task.modulus - 1 if task.form == "modulus" else task._greatest(number)
    return count_digits(greatest, task.base)
