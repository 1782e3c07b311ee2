"""What tasks on two written numbers share: how they are written, and how many digits each split has.

Operands are written as people write them; with ``digit_order="reversed"`` everything computed from them
(chain and answer) starts with the least significant digit, the order in which carries run (Lee et al. 2023,
arXiv:2307.03381, "reverse")::

    123*456    chain  +8370 +5160>88860 +2940>880650    answer 880650    (56088 reversed)

Zeros in front are described in ``problem_format``, hints in ``formats``.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field, model_validator

from factorexe.tasks.base import Examples, FloatArray, IntArray, answered_as, rejoined
from factorexe.tasks.digits import residues
from factorexe.tasks.formats import length, opened, packed, placed
from factorexe.tasks.problem_format import MOST_DIGITS, ProblemFormat, Writer
from factorexe.tasks.ranges import refuse_disorder

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


class Arithmetic(ProblemFormat):
    """Two numbers and an operation that commutes; difficulty is the number of digits of the first."""

    digits: int = Field(3, ge=1, le=MOST_DIGITS)
    """Most digits of the first number in training."""
    min_digits: int | None = Field(None, ge=1, le=MOST_DIGITS)
    """Fewest digits of the first number in training; as many as `digits` if not given."""
    ood_digits: int | None = Field(None, ge=2, le=MOST_DIGITS)
    """Most digits out of distribution, which begins one above `digits`; just that one if not given."""

    @model_validator(mode="after")
    def _ranges_are_in_order(self) -> Arithmetic:
        refuse_disorder(self, "digits")
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
        parts = []
        for level in np.unique(difficulty).tolist():
            first, second = self._drawn(level, int((difficulty == level).sum()), rng)
            free = self._hint_count - self._longest(level, second.shape[1]) + 1
            start = rng.integers(0, free, len(first), dtype=np.int64) if self.index_hints else None
            parts.append(self._worked_out(first, second, start, chain))
        return rejoined(parts, difficulty)

    def key(self, examples: Examples) -> IntArray:
        """Both numbers (N, 4), the smaller first, however they are written."""
        first, second = (residues(number, self.base) for number in self._operands(self._bare(examples.prompt)))
        swap = (first[:, 0] > second[:, 0]) | ((first[:, 0] == second[:, 0]) & (first[:, 1] > second[:, 1]))
        lower = np.where(swap[:, None], second, first)
        upper = np.where(swap[:, None], first, second)
        return np.concatenate([lower, upper], axis=1)

    def complete(self, prompt: IntArray, values: FloatArray | None = None) -> Examples:
        """Typed problems, solved; the numbers may have any number of digits, and index hints are to be typed too."""
        bare, sign = self._bare(prompt), self.symbols[self._operator]
        for row, tokens in zip(prompt, bare, strict=True):
            digits = tokens[tokens != 0]
            (cut,) = np.nonzero(digits > self.base)
            if len(cut) != 1 or digits[cut[0]] != self._operator or cut[0] in (0, len(digits) - 1):
                raise ValueError(f"expected two numbers such as {self._as_typed(sign)} (got {self.text(row)!r})")
        first, second = self._operands(bare)
        cut = (bare == self._operator).argmax(axis=1)
        sizes = np.stack([cut, (bare != 0).sum(axis=1) - 1 - cut], axis=1)  # digits of both numbers
        start = self._hinted_from(prompt, first, second, sizes) if self.index_hints else None
        if self.padding == "all":
            sizes = np.stack([length(first), length(second)], axis=1)
        shapes, kind = np.unique(sizes, axis=0, return_inverse=True)
        kind = kind.reshape(-1)
        parts = [
            self._worked_out(
                first[kind == number, :wide],
                second[kind == number, :high],
                None if start is None else start[kind == number],
                chain=True,
            )
            for number, (wide, high) in enumerate(shapes)
        ]
        return rejoined(parts, kind)

    def variants(self, examples: Examples, rng: np.random.Generator) -> Examples | None:
        """The numbers the other way round; None where they differ in length or carry index hints."""
        levels = np.unique(examples.difficulty).tolist()
        if self.index_hints or any(self._second(level) != level for level in levels):
            return None
        first, second = self._operands(examples.prompt)
        parts = []
        for level in levels:
            rows = examples.difficulty == level
            numbers = second[rows, :level], first[rows, :level]
            parts.append(self._worked_out(*numbers, None, chain=examples.chain.shape[1] > 0))
        return answered_as(rejoined(parts, examples.difficulty), examples)

    def places(self, tokens: IntArray, prompt_length: IntArray) -> IntArray:
        """Significance of each digit, ones being 2; a mark stands one before the number that it opens.

        The chain of a detailed scratchpad has none.
        """
        reach, end = np.arange(tokens.shape[1]), (prompt_length - 1)[:, None]
        cut = (tokens == self._operator).argmax(axis=1)[:, None]
        prompt = np.where(reach < cut, cut + 1 - reach, np.where(reach == cut, 0, end + 1 - reach))
        opens = (reach >= end) & (tokens > self.base)
        begun = opened(opens)
        mark = np.take_along_axis(tokens, begun, axis=1)
        before = np.zeros_like(tokens)  # marks of the same kind before that one
        for kind in range(self._operator + 1, len(self.symbols)):
            before = np.where(mark == kind, np.cumsum(opens & (tokens == kind), axis=1) - 1, before)
        shift, width = self._line(mark, before, cut, end - cut - 1)
        place = shift + placed(reach - begun, width, self.digit_order)
        if self.scratchpad == "detailed":
            place = np.where(mark < len(self.symbols), 0, place)
        return np.where(tokens == 0, 0, np.where(reach < end, prompt, place))

    # -- what an operation says of itself

    def _drawn(self, level: int, count: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Both numbers of ``count`` problems of one difficulty, least significant digit first."""
        raise NotImplementedError

    def _second(self, level: int) -> int:
        """Digits of the second number at a difficulty."""
        raise NotImplementedError

    def _result(self, first: IntArray, second: IntArray) -> IntArray:
        """The result (N, result width) of numbers (N, digits)."""
        raise NotImplementedError

    def _by_hand(self, first: IntArray, second: IntArray, write: Writer) -> tuple[IntArray, IntArray, IntArray]:
        """Chain, the step of each of its tokens, and the result of numbers (N, digits)."""
        raise NotImplementedError

    def _line(
        self, mark: IntArray, before: IntArray, first: IntArray, second: IntArray
    ) -> tuple[IntArray | int, IntArray | int]:
        """Shift and width of the number that a mark opens (N, L), ``before`` others of its kind having come before
        it; ``first`` and ``second`` (N, 1) count the digits of the problem's numbers."""
        raise NotImplementedError

    # -- what they share

    @property
    def _hints_needed(self) -> int:
        hardest = self.ood_difficulty[1]
        return self._longest(hardest, self._second(hardest))

    def _worked_out(self, first: IntArray, second: IntArray, start: IntArray | None, chain: bool) -> Examples:
        """Problems on numbers (N, digits), least significant digit first; ``start`` (N,) is the hint of ones."""
        count, difficulty = first.shape
        first, second = self._equalled(first, second)
        write = self._writer(start)
        if chain:
            steps, numbers, result = self._by_hand(first, second, write)
        else:
            steps, numbers = np.zeros((2, count, 0), dtype=np.int64)
            result = self._result(first, second)
        return Examples(
            prompt=self._prompt(first, second, start),
            chain=steps,
            chain_step=numbers,
            answer=packed([write(result, 0)])[0],
            difficulty=np.full(count, difficulty, dtype=np.int64),
        )
