"""Add two numbers by hand.

The chain lists, for each column from the right, its sum with the carry that came in, always as two digits;
the second digit of each is the answer's, the other is carried on.  Reversed order::

    128+367    >51>90>40    8+7 = 15, 2+6+1 = 09, 1+3+0 = 04
    answer     5940         495 reversed, with the last carry

Lee et al. 2023 (arXiv:2307.03381) call the same information the simplified scratchpad.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from factorexe.tasks.arithmetic import DEFAULT, TINY, Arithmetic
from factorexe.tasks.base import Examples, IntArray, Widths
from factorexe.tasks.digits import carried, draw


class Addition(Arithmetic):
    """Add two numbers; the chain holds the column sums with their carries."""

    # With the plain transformer and 500 problems seen is solved at step 300 and val ends at 0.48; with 1,000 seen is
    # 0.999 and val 0.996 at step 400, both 1.000 at 600 (seed 0, one thread).  The default, seed 0: both reach 0.99 at
    # step 500 and end at 1.000.
    presets: ClassVar = {
        "default": {**DEFAULT, "data.train_size": 1000, "trainer.max_steps": 1000, "trainer.val_check_interval": 100},
        "tiny": TINY,
    }

    @property
    def symbols(self) -> tuple[str, ...]:
        """Digits, ``+``, and ``>`` before each column sum."""
        return (*self._glyphs, "+", ">")

    def widths(self, difficulty: int) -> Widths:
        """All numbers have fixed widths, so these are exact."""
        return Widths(2 * difficulty + 1, 3 * difficulty, difficulty + 1)

    def _drawn(self, level: int, count: int, rng: np.random.Generator, chain: bool) -> Examples:
        first, second = (draw(count, level, self.base, rng) for _ in range(2))
        return self._worked_out(first, second, chain)

    def _worked_out(self, first: IntArray, second: IntArray, chain: bool) -> Examples:
        wide = max(first.shape[1], second.shape[1])
        upper, lower = (np.pad(number, ((0, 0), (0, wide + 1 - number.shape[1]))) for number in (first, second))
        columns = upper + lower
        answer = carried(columns, self.base)
        count = len(first)
        steps = self._worked(columns[:, :-1], answer) if chain else np.zeros((count, 0), dtype=np.int64)
        return Examples(
            prompt=self._prompt(first, second),
            chain=steps,
            chain_step=np.broadcast_to(np.arange(steps.shape[1]) // 3, steps.shape),
            answer=self._written(answer),
            difficulty=np.full(count, first.shape[1], dtype=np.int64),
        )

    def _line(
        self, mark: IntArray, before: IntArray, first: IntArray, second: IntArray
    ) -> tuple[IntArray | int, IntArray | int]:
        is_column = mark == self._operator + 1
        return np.where(is_column, before, 0), np.where(is_column, 2, np.maximum(first, second) + 1)

    def _worked(self, columns: IntArray, answer: IntArray) -> IntArray:
        """The chain (N, 3 * digits): for each column its mark and its sum with the carry, in two digits."""
        digit = answer[:, :-1]
        came_in = (digit - columns) % self.base
        gone_on = (columns + came_in - digit) // self.base
        low, high = digit + 1, gone_on + 1
        mark = np.full_like(digit, self._operator + 1)
        order = (mark, low, high) if self.digit_order == "reversed" else (mark, high, low)
        return np.stack(order, axis=2).reshape(len(digit), -1)
