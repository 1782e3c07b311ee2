"""Multiply two numbers by hand.

The chain is long multiplication: for each digit of the second number the partial product and, from the
second digit on, the running sum, shifted to its place.  With three digits, base 10, reversed order::

    123*456    +8370            123 x 6 =   738
               +5160>88860      123 x 5 =   615, shifted by one and added: 6888
               +2940>880650     123 x 4 =   492, shifted by two and added: 56088
    answer     880650

Shen et al. 2023 (arXiv:2311.14737) and Deng et al. 2024 (arXiv:2405.14838) write the same steps.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from factorexe.tasks.arithmetic import DEFAULT, MOST_DIGITS, TINY, Arithmetic
from factorexe.tasks.base import Examples, IntArray, Widths
from factorexe.tasks.digits import carried, draw, times


class Multiplication(Arithmetic):
    """Multiply two numbers; the chain is long multiplication."""

    second_digits: int | None = Field(None, ge=1, le=MOST_DIGITS)
    """Digits of the second number; as many as the first if not given."""

    # How the defaults were found, with the plain transformer (2 layers of width 128, RMSNorm and GELU at that time; one
    # or two seeds each, solved by greedy decoding):
    #   rotary positions, 4 heads, no dropout   a seed finds the rule early or memorizes for good: with 2,000 to 6,000
    #                                           problems val ended anywhere from 0.85 to 1.00
    #   learned positions                       numbers have fixed widths, so where a digit stands says which it is:
    #                                           seen at step 500 was 0.91 instead of 0.16 (3,000 problems, batch 64)
    #   8 heads                                 each output digit needs four or more others at once: val at step 875 was
    #                                           0.99 in three seeds; with 4 heads it was 0.71 and 0.99 (2,250 problems)
    #   dropout 0.1                             keeps gradients alive once seen is solved, so val goes on rising
    #   weight decay 0.3 and 1.0                slower and worse than 0.1
    #   batch 128, 3e-3                         smoother than batch 64 at 2e-3, and evaluation costs a smaller share
    #   3 layers                                learn as well; a step takes half as long again
    # Seeds 0, 1, 2: t_mem 500, 625, 625; t_gen 875, 875, 875; val 0.996, 0.993, 0.995 at the end.
    # With LayerNorm and SiLU, seed 0: t_mem 625, t_gen 875, val 0.994.
    # The universal transformer with the same options (bf16, one thread; blocks x steps: t_mem, t_gen, val):
    #   RMSNorm, GELU       1 x 2: 625, 1000, 0.992   1 x 3: 625, 875, 0.999   1 x 4: 750, 1000, 0.999
    #                       2 x 2: 500, 875, 0.999    1 x 3, seed 1: 750, 875, 0.992
    #   LayerNorm, GELU     1 x 3: 625, 1000, 0.995; seed 1: 750, 875, 0.997; 2,500 problems: 625, 875, 0.994
    #                       1 x 2, 2,500 problems: 750, 1000, 0.993
    #                       1 x 3, 1,000 steps at 4e-3: 750, not reached, 0.992
    #   places, no positions, 2 x 2    seen 0.478, val 0.338 after 1,250 steps: slower to learn than learned positions
    # The default (1 x 3, LayerNorm, SiLU, fp32), seeds 0, 1, 2: t_mem 750, 750, 625; t_gen 1000, 1000, 750; val 0.994,
    # 0.996, 0.997 at the end; seed 0 took 292 s on two cores, 11 % of it evaluation.
    presets: ClassVar = {
        "default": {
            **DEFAULT,
            "data.train_size": 2000,
            "trainer.max_steps": 1250,
            "trainer.val_check_interval": 125,
        },
        "tiny": TINY,
    }

    @property
    def symbols(self) -> tuple[str, ...]:
        """Digits, ``*``, ``+`` before a partial product, ``>`` before a running sum."""
        return (*self._glyphs, "*", "+", ">")

    def widths(self, difficulty: int) -> Widths:
        """All numbers have fixed widths, so these are exact."""
        first, second = difficulty, self.second_digits or difficulty
        partials = second * (first + 2)
        sums = sum(first + place + 2 for place in range(1, second))
        return Widths(first + 1 + second, partials + sums, first + second)

    def _drawn(self, level: int, count: int, rng: np.random.Generator, chain: bool) -> Examples:
        first = draw(count, level, self.base, rng)
        second = draw(count, self.second_digits or level, self.base, rng)
        return self._worked_out(first, second, chain)

    def _worked_out(self, first: IntArray, second: IntArray, chain: bool) -> Examples:
        count = len(first)
        empty = np.zeros((count, 0), dtype=np.int64)
        steps, numbers, answer = (
            self._worked(first, second) if chain else (empty, empty, times(first, second, self.base))
        )
        return Examples(
            prompt=self._prompt(first, second),
            chain=steps,
            chain_step=numbers,
            answer=self._written(answer),
            difficulty=np.full(count, first.shape[1], dtype=np.int64),
        )

    def _line(
        self, mark: IntArray, before: IntArray, first: IntArray, second: IntArray
    ) -> tuple[IntArray | int, IntArray | int]:
        partial, reached = mark == self._operator + 1, mark == self._operator + 2
        width = np.where(partial, first + 1, np.where(reached, first + 2 + before, first + second))
        return np.where(partial, before, 0), width

    def _worked(self, first: IntArray, second: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Chain (N, C), the step of each of its tokens (N, C), and the product (N, N1 + N2)."""
        plus, reached = self._operator + 1, self._operator + 2
        pieces, steps = [], []
        total = np.zeros((len(first), 0), dtype=np.int64)
        for place in range(second.shape[1]):
            partial = times(first, second[:, place, None], self.base)
            line = [self._column(first, plus), self._written(partial)]
            total = self._shifted_sum(total, partial, place) if place else partial
            if place:
                line += [self._column(first, reached), self._written(total)]
            pieces += line
            steps += [place] * sum(piece.shape[1] for piece in line)
        chain = np.concatenate(pieces, axis=1)
        return chain, np.broadcast_to(np.array(steps), chain.shape), total

    def _shifted_sum(self, total: IntArray, partial: IntArray, place: int) -> IntArray:
        columns = np.pad(total, ((0, 0), (0, 1)))
        columns[:, place:] += partial
        return carried(columns, self.base)
