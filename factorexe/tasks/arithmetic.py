"""What tasks on two written numbers share: base, digit order, and how many digits each split has.

Operands are written as people write them; with ``digit_order="reversed"`` everything computed from them
(chain and answer) starts with the least significant digit, the order in which carries run (Lee et al. 2023,
arXiv:2307.03381, "reverse")::

    123*456    chain  +8370 +5160>88860 +2940>880650    answer 880650    (56088 reversed)

Numbers have fixed widths, with zeros in front: an answer of N + M digits always has N + M tokens.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from factorexe.tasks.base import Examples, IntArray, Task, joined
from factorexe.tasks.digits import GLYPHS, residues

MOST_DIGITS = 4096

# How this was found stands beside the presets of multiplication.
DEFAULT = {
    "objective": "chain",
    "model": "universal-transformer",
    "model.positions": "learned",
    "model.heads": 8,
    "model.dropout": 0.1,
    "data.batch_size": 128,
    "optim.optimizer.lr": 3e-3,
}
# A whole run in a few seconds: 210 problems, a third of them unseen.
TINY = {
    "task.digits": 2,
    "task.base": 5,
    "data.batch_size": 32,
    "data.train_size": 100,
    "data.eval_size": 100,
    "optim.warmup": 20,
    "trainer.max_steps": 200,
    "trainer.val_check_interval": 50,
}


class Arithmetic(Task):
    """Two numbers and an operation that commutes; difficulty is the number of digits of the first."""

    digits: int = Field(3, ge=1, le=MOST_DIGITS)
    """Most digits of the first number in training."""
    min_digits: int | None = Field(None, ge=1, le=MOST_DIGITS)
    """Fewest digits of the first number in training; as many as `digits` if not given."""
    ood_digits: int | None = Field(None, ge=2, le=MOST_DIGITS)
    """Most digits out of distribution, which begins one above `digits`; just that one if not given."""
    base: int = Field(10, ge=2, le=36)
    """Base in which numbers are written."""
    digit_order: Literal["reversed", "plain"] = "reversed"
    """Order of the digits in chain and answer: least significant first, or as in the prompt."""

    @model_validator(mode="after")
    def _ranges_are_in_order(self) -> Arithmetic:
        if self.min_digits is not None and self.min_digits > self.digits:
            raise ValueError(f"min_digits ({self.min_digits}) must not exceed digits ({self.digits})")
        if self.ood_digits is not None and self.ood_digits <= self.digits:
            raise ValueError(
                f"ood_digits ({self.ood_digits}) must exceed digits ({self.digits}): ood is harder than training"
            )
        return self

    @property
    def train_difficulty(self) -> tuple[int, int]:
        """Digits of the first number, fewest and most."""
        return (self.min_digits or self.digits, self.digits)

    @property
    def ood_difficulty(self) -> tuple[int, int]:
        """From one digit more than in training to ``ood_digits``."""
        return (self.digits + 1, self.ood_digits or self.digits + 1)

    def sample(self, difficulty: IntArray, rng: np.random.Generator, *, chain: bool = True) -> Examples:
        """One problem per entry of ``difficulty``, operands uniform among numbers of that many digits."""
        levels = np.unique(difficulty)
        parts = [self._drawn(int(level), int((difficulty == level).sum()), rng, chain) for level in levels]
        together = joined(parts)
        order = np.argsort(difficulty, kind="stable")  # row order[i] asked for what together[i] holds
        return together.select(np.argsort(order, kind="stable")) if len(levels) > 1 else together

    def key(self, examples: Examples) -> IntArray:
        """Both numbers (N, 4), the smaller first, whatever base or order they are written in."""
        first, second = (residues(number, self.base) for number in self._operands(examples.prompt))
        swap = (first[:, 0] > second[:, 0]) | ((first[:, 0] == second[:, 0]) & (first[:, 1] > second[:, 1]))
        lower = np.where(swap[:, None], second, first)
        upper = np.where(swap[:, None], first, second)
        return np.concatenate([lower, upper], axis=1)

    def complete(self, prompt: IntArray) -> Examples:
        """Typed problems, solved; the numbers may have any number of digits."""
        for row in prompt:
            written = row[row != 0]
            (cut,) = np.nonzero(written > self.base)
            if len(cut) != 1 or written[cut[0]] != self._operator or cut[0] in (0, len(written) - 1):
                sign = self.symbols[self._operator]
                raise ValueError(f"expected two numbers such as 12{sign}34 (got {self.text(row)!r})")
        cut = (prompt == self._operator).argmax(axis=1)
        sizes = np.stack([cut, (prompt != 0).sum(axis=1) - 1 - cut], axis=1)  # digits of both numbers
        shapes, kind = np.unique(sizes, axis=0, return_inverse=True)
        first, second = self._operands(prompt)
        parts = [
            self._worked_out(first[kind == number, :wide], second[kind == number, :high], chain=True)
            for number, (wide, high) in enumerate(shapes)
        ]
        return joined(parts).select(np.argsort(np.argsort(kind, kind="stable"), kind="stable"))

    def places(self, tokens: IntArray, prompt_length: IntArray) -> IntArray:
        """Significance of each digit, ones being 2; a mark stands one before the number that it opens."""
        column, end = np.arange(tokens.shape[1]), (prompt_length - 1)[:, None]
        cut = (tokens == self._operator).argmax(axis=1)[:, None]
        prompt = np.where(column < cut, cut + 1 - column, np.where(column == cut, 0, end + 1 - column))
        opens = (column >= end) & (tokens > self.base)
        opened = np.maximum.accumulate(np.where(opens, column, 0), axis=1)  # where the number at hand began
        mark = np.take_along_axis(tokens, opened, axis=1)
        before = np.zeros_like(tokens)  # marks of the same kind before that one
        for kind in range(self._operator + 1, len(self.symbols)):
            before = np.where(mark == kind, np.cumsum(opens & (tokens == kind), axis=1) - 1, before)
        shift, width = self._line(mark, before, cut, end - cut - 1)
        offset = np.minimum(column - opened, width)
        written = shift + 1 + (offset if self.digit_order == "reversed" else width + 1 - offset)
        return np.where(tokens == 0, 0, np.where(column < end, prompt, written))

    def _drawn(self, level: int, count: int, rng: np.random.Generator, chain: bool) -> Examples:
        """``count`` problems of one difficulty."""
        raise NotImplementedError

    def _worked_out(self, first: IntArray, second: IntArray, chain: bool) -> Examples:
        """Problems on numbers (N, digits), least significant digit first."""
        raise NotImplementedError

    def _line(
        self, mark: IntArray, before: IntArray, first: IntArray, second: IntArray
    ) -> tuple[IntArray | int, IntArray | int]:
        """Shift and width of the number that a mark opens (N, L), ``before`` others of its kind having come before
        it; ``first`` and ``second`` (N, 1) count the digits of the problem's numbers."""
        raise NotImplementedError

    @property
    def _operator(self) -> int:
        """Token of the operation; every token up to ``base`` is a digit."""
        return self.base + 1

    @property
    def _glyphs(self) -> tuple[str, ...]:
        return ("", *GLYPHS[: self.base])

    def _written(self, number: IntArray) -> IntArray:
        """Tokens of a computed number (N, width), in the chosen order."""
        return (number if self.digit_order == "reversed" else number[:, ::-1]) + 1

    def _prompt(self, first: IntArray, second: IntArray) -> IntArray:
        return np.concatenate([first[:, ::-1] + 1, self._column(first, self._operator), second[:, ::-1] + 1], axis=1)

    @staticmethod
    def _column(like: IntArray, token: int) -> IntArray:
        return np.full((len(like), 1), token, dtype=np.int64)

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
