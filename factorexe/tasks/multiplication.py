"""Multiply two numbers by hand.

The chain is long multiplication: for each digit of the second number the partial product and, from the
second digit on, the running sum, shifted to its place.  With three digits, base 10, reversed order::

    123*456    +8370            123 x 6 =   738
               +5160>88860      123 x 5 =   615, shifted by one and added: 6888
               +2940>880650     123 x 4 =   492, shifted by two and added: 56088
    answer     880650

Shen et al. 2023 (arXiv:2311.14737) and Deng et al. 2024 (arXiv:2405.14838) write the same steps.  The detailed
scratchpad, after that of Lee et al. 2023 (arXiv:2307.03381), says for each digit what it is multiplied with, the
partial product A, the power of the base K, the shifted product B and the running sum C.  Plain order, no padding::

    128*367    [1,2,8]*7,A=[8,9,6],K=1,B=[8,9,6],C=0+896=896;
               [1,2,8]*6,A=[7,6,8],K=10,B=[7,6,8,0],C=896+7680=8576;
               [1,2,8]*3,A=[3,8,4],K=100,B=[3,8,4,0,0],C=8576+38400=46976.
    answer     46976
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from factorexe.tasks.arithmetic import DEFAULT, TINY, Arithmetic
from factorexe.tasks.base import IntArray, Widths
from factorexe.tasks.digits import draw, times
from factorexe.tasks.formats import packed, written
from factorexe.tasks.long_multiplication import shifted_sum, written_out
from factorexe.tasks.problem_format import MOST_DIGITS, Writer
from factorexe.tasks.scratchpads import Scratchpad

_LINE = "{}*{},A={},K={},B={},C={}+{}={}"


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

    axis: ClassVar[str] = "digits of the first number"
    paper: ClassVar[str] = "Shen et al. 2023, arXiv:2311.14737"

    @property
    def _signs(self) -> tuple[str, ...]:
        """``*``, ``+`` before a partial product, ``>`` before a running sum, and what a detailed scratchpad needs."""
        return ("*", "+", ">", *("[],=AKBC;." if self.scratchpad == "detailed" else ""))

    def widths(self, difficulty: int) -> Widths:
        """Exact where numbers have fixed widths."""
        first, second = difficulty, self._second(difficulty)
        if self.padding == "all":
            first = second = max(first, second)
        partials = second * (1 + self._tokens(first + 1))
        sums = sum(1 + self._tokens(first + place + 1) for place in range(1, second))
        chain = partials + sums
        if self.scratchpad == "detailed":
            chain = sum(self._detailed(first, place) for place in range(second))
        prompt = self._tokens(first) + 1 + self._tokens(second)
        return Widths(prompt, chain, self._tokens(self._result_width(first, second)))

    def _drawn(self, level: int, count: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        return draw(count, level, self.base, rng), draw(count, self._second(level), self.base, rng)

    def _second(self, level: int) -> int:
        return self.second_digits or level

    def _result_width(self, first: int, second: int) -> int:
        return first + second

    def _result(self, first: IntArray, second: IntArray) -> IntArray:
        return times(first, second, self.base)

    def _by_hand(self, first: IntArray, second: IntArray, write: Writer) -> tuple[IntArray, IntArray, IntArray]:
        if self.scratchpad == "detailed":
            return self._in_detail(first, second, write)
        marks = {"partial_mark": self._operator + 1, "sum_mark": self._operator + 2}
        return written_out(first, second, base=self.base, written=write, **marks)

    def _in_detail(self, first: IntArray, second: IntArray, write: Writer) -> tuple[IntArray, IntArray, IntArray]:
        paper, many = Scratchpad(self.symbols), second.shape[1]
        factor = paper.listed(written(first, "plain"))
        total = np.zeros((len(first), 1), dtype=np.int64)
        pieces, steps = [], []
        for place in range(many):
            digit = second[:, place, None]
            partial = times(first, digit, self.base)
            power = np.zeros((len(first), place + 1), dtype=np.int64)
            power[:, place] = 1
            shifted = np.pad(partial, ((0, 0), (place, 0)))
            before, total = total, shifted_sum(total, partial, place, self.base) if place else partial
            lists = [paper.listed(write(number, 0)) for number in (partial, shifted)]
            sums = [write(number, 0) for number in (before, shifted, total)]
            end = "." if place == many - 1 else ";"
            line = paper.line(_LINE + end, factor, digit + 1, lists[0], write(power, 0), lists[1], *sums)
            pieces += line
            steps += [place] * len(line)
        return *packed(pieces, steps), total

    def _detailed(self, first: int, place: int) -> int:
        """Most tokens of one line of the detailed scratchpad."""
        partial, shifted, before = first + 1, first + 1 + place, first + place if place else 1
        lists = sum(2 * digits + 1 for digits in (first, partial, shifted))
        return len(_LINE.replace("{}", "")) + 1 + lists + 1 + (place + 1) + before + 2 * shifted

    def _line(
        self, mark: IntArray, before: IntArray, first: IntArray, second: IntArray
    ) -> tuple[IntArray | int, IntArray | int]:
        partial, reached = mark == self._operator + 1, mark == self._operator + 2
        width = np.where(partial, first + 1, np.where(reached, first + 2 + before, first + second))
        return np.where(partial, before, 0), width
