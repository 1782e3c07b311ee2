"""Add two numbers by hand.

The chain lists, for each column from the right, its sum with the carry that came in, always as two digits;
the second digit of each is the answer's, the other is carried on.  Reversed order::

    128+367    >51>90>40    8+7 = 15, 2+6+1 = 09, 1+3+0 = 04
    answer     5940         495 reversed, with the last carry

Lee et al. 2023 (arXiv:2307.03381) call the same information the simplified scratchpad.  Their detailed one holds all
that each column uses: what is left of both numbers, the digits A so far, the carry C.  In plain order without padding::

    128+367    [1,2,8]+[3,6,7],A=[],C=0,8+7+0=15,A>5,C>1;
               [1,2]+[3,6],A=[5],C=1,2+6+1=9,A>9,C>0;
               [1]+[3],A=[9,5],C=0,1+3+0=4,A>4,C>0;
               []+[],A=[4,9,5],C=0.
    answer     495

which is their text without the lines that count digits, without blanks, and with a full stop for END.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from factorexe.tasks.arithmetic import DEFAULT, TINY, Arithmetic
from factorexe.tasks.base import IntArray, Widths
from factorexe.tasks.digits import carried, draw
from factorexe.tasks.formats import column, packed, written
from factorexe.tasks.problem_format import Writer
from factorexe.tasks.scratchpads import Scratchpad

# Numbers as the paper writes them; ``reverse`` alone turns answers round.
_PAPER = {"objective": "chain", "task.digit_order": "plain", "task.padding": "none"}
_LINE = "{}+{},A={},C={},{}+{}+{}={},A>{},C>{};"
_END = "{}+{},A={},C={}."


class Addition(Arithmetic):
    """Add two numbers; the chain holds the column sums with their carries."""

    # With the plain transformer and 500 problems seen is solved at step 300 and val ends at 0.48; with 1,000 seen is
    # 0.999 and val 0.996 at step 400, both 1.000 at 600 (seed 0, one thread).  The default, seed 0: both reach 0.99 at
    # step 500 and end at 1.000.
    presets: ClassVar = {
        "default": {**DEFAULT, "data.train_size": 1000, "trainer.max_steps": 1000, "trainer.val_check_interval": 100},
        "tiny": TINY,
        # The four levels of Lee et al. (2023).
        "plain": {**_PAPER, "objective": "answer"},
        "reverse": {**_PAPER, "objective": "answer", "task.digit_order": "reversed"},
        "simplified": _PAPER,
        "detailed": {
            **_PAPER,
            "task.scratchpad": "detailed",
            "data.batch_size": 32,
            "data.eval_size": 100,
            "trainer.val_check_interval": 250,
        },
    }

    axis: ClassVar[str] = "digits of the first number"
    paper: ClassVar[str] = "Lee et al. 2023, arXiv:2307.03381"

    @property
    def _signs(self) -> tuple[str, ...]:
        """``+``, ``>`` before each column sum, and what a detailed scratchpad is written with."""
        return ("+", ">", *("[],=AC;." if self.scratchpad == "detailed" else ""))

    def widths(self, difficulty: int) -> Widths:
        """Exact where numbers have fixed widths."""
        chain = difficulty * (1 + self._tokens(2))
        if self.scratchpad == "detailed":
            lists = sum(2 * _listed(left) + _listed(difficulty - left) for left in range(difficulty + 1))
            blank = len((_LINE * difficulty + _END).replace("{}", ""))
            chain = lists + blank + 8 * difficulty + 1  # the digits of a line that are in no list, and the last carry
        return Widths(2 * self._tokens(difficulty) + 1, chain, self._tokens(difficulty + 1))

    def _drawn(self, level: int, count: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        return draw(count, level, self.base, rng), draw(count, level, self.base, rng)

    def _second(self, level: int) -> int:
        return level

    def _result_width(self, first: int, second: int) -> int:
        return max(first, second) + 1

    def _result(self, first: IntArray, second: IntArray) -> IntArray:
        return carried(_columns(first, second), self.base)

    def _by_hand(self, first: IntArray, second: IntArray, write: Writer) -> tuple[IntArray, IntArray, IntArray]:
        columns = _columns(first, second)
        result = carried(columns, self.base)
        carry = np.zeros_like(columns)  # into each column
        carry[:, 1:] = (columns + (result - columns) % self.base)[:, :-1] // self.base
        if self.scratchpad == "detailed":
            return *self._in_detail(first, second, result, carry, write), result
        mark = column(len(first), self._operator + 1)
        pieces, steps = [], []
        for place in range(columns.shape[1] - 1):
            pieces += [mark, write(_sum(result, carry, place), place)]
            steps += [place, place]
        return *packed(pieces, steps), result

    def _in_detail(
        self, first: IntArray, second: IntArray, result: IntArray, carry: IntArray, write: Writer
    ) -> tuple[IntArray, IntArray]:
        paper, wide = Scratchpad(self.symbols), result.shape[1] - 1
        pieces, steps = [], []
        for place in range(wide + 1):
            left = [paper.listed(written(number[:, place:], "plain")) for number in (first, second)]
            found = paper.listed(written(result[:, :place], self.digit_order))
            came_in = carry[:, place, None] + 1
            if place < wide:
                digits = [_digit(number, place) + 1 for number in (first, second)]
                total = write(_sum(result, carry, place), 0)
                digit, gone_on = result[:, place, None] + 1, carry[:, place + 1, None] + 1
                line = paper.line(_LINE, *left, found, came_in, *digits, came_in, total, digit, gone_on)
            else:
                line = paper.line(_END, *left, found, came_in)
            pieces += line
            steps += [place] * len(line)
        return packed(pieces, steps)

    def _line(
        self, mark: IntArray, before: IntArray, first: IntArray, second: IntArray
    ) -> tuple[IntArray | int, IntArray | int]:
        is_column = mark == self._operator + 1
        return np.where(is_column, before, 0), np.where(is_column, 2, np.maximum(first, second) + 1)


def _columns(first: IntArray, second: IntArray) -> IntArray:
    """The sums of both digits (N, width), one column more than the longer number has."""
    wide = max(first.shape[1], second.shape[1]) + 1
    upper, lower = (np.pad(number, ((0, 0), (0, wide - number.shape[1]))) for number in (first, second))
    columns: IntArray = upper + lower
    return columns


def _sum(result: IntArray, carry: IntArray, place: int) -> IntArray:
    """A column's sum with the carry that came in (N, 2)."""
    return np.stack([result[:, place], carry[:, place + 1]], axis=1)


def _digit(number: IntArray, place: int) -> IntArray:
    """The digit of a number (N, 1), 0 above it."""
    return number[:, place, None] if place < number.shape[1] else np.zeros((len(number), 1), dtype=np.int64)


def _listed(items: int) -> int:
    """Tokens of a list: its brackets, its items and the commas between them."""
    return 2 + max(2 * items - 1, 0)
