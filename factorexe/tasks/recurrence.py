"""What tasks share whose prompt is a number n and whose chain takes n steps, each from the one before.

Such a family holds one problem for every n, so difficulty is n itself and what is trained on is a choice among a
few dozen numbers::

    held_out     train              val              ood
    ancestor     1-9 and 15-19      10-14            20-24       Fchaubard/factorial_experiments on GitHub
    range        the others up to   val_smallest to  the rest up to
                 largest            val_largest      ood_largest
    hash         70 % of them       10 %             half of those up to ood_largest

``span`` makes so many n in a row one difficulty, for the larger families that a modulus allows.

Numbers are exact at any length: they are computed in limbs of several digits, least significant first.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal, TypeAlias

import numpy as np
from pydantic import Field, model_validator

from factorexe.tasks.base import SPLITS, Examples, IntArray, Widths
from factorexe.tasks.formats import NumberFormat, column, length, packed, read, written
from factorexe.tasks.significant import MARKS, in_figures, widest

MOST = 4096  # the largest n
_LIMB_BITS = 40  # a limb times the largest n fits into 64 bits many times over
_TABLE_TOKENS = 10**7  # a larger family has no table
_ANCESTOR = {"smallest": 1, "largest": 19, "val_smallest": 10, "val_largest": 14, "last": 24, "span": 1}

State: TypeAlias = tuple[IntArray, ...]  # numbers (N, limbs), least significant first

# train_size is shared out over the difficulties and means all that there are: with the ancestor's split 14 problems.
RUN = {
    "objective": "chain",
    "model": "universal-transformer",
    "data.batch_size": 14,
    "data.train_size": 1000,
    "data.eval_size": 50,
    "optim.optimizer.lr": 1e-3,
    "optim.warmup": 50,
    "trainer.max_steps": 300,
    "trainer.val_check_interval": 50,
}
TINY = {
    "task.form": "modulus",
    "task.modulus": 29,
    "data.batch_size": 14,
    "data.train_size": 1000,
    "data.eval_size": 50,
    "optim.optimizer.lr": 3e-3,
    "optim.warmup": 20,
    "trainer.max_steps": 100,
    "trainer.val_check_interval": 50,
}


class Recurrence(NumberFormat):
    """A number n and what n steps make of it."""

    axis: ClassVar[str] = "the number n, or the span that it lies in"

    form: Literal["exact", "significant", "modulus"] = "exact"
    """All digits, seven significant ones as %.7g writes them (digit_order has no say), or remainders by `modulus`."""
    modulus: int = Field(97, ge=2, le=2**31)
    """What numbers are reduced by in form modulus."""
    held_out: Literal["ancestor", "range", "hash"] = "ancestor"
    """Which n are not trained on: 10 to 14 of 1 to 19, `val_smallest` to `val_largest`, or by a hash of n."""
    smallest: int = Field(1, ge=1, le=MOST)
    """Smallest n."""
    largest: int = Field(19, ge=1, le=MOST)
    """Largest n in training."""
    val_smallest: int = Field(10, ge=1, le=MOST)
    """Smallest n in val, where a range is held out."""
    val_largest: int = Field(14, ge=1, le=MOST)
    """Largest n in val, where a range is held out."""
    ood_largest: int | None = Field(None, ge=2, le=MOST)
    """Largest n out of distribution, which begins one above `largest`; five difficulties more if not given."""
    span: int = Field(1, ge=1, le=MOST)
    """So many n in a row are one difficulty."""

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Recurrence:
        if self.held_out == "ancestor":
            got = {name: self._last if name == "last" else getattr(self, name) for name in _ANCESTOR}
            if wrong := [name.replace("last", "ood_largest") for name in got if got[name] != _ANCESTOR[name]]:
                raise ValueError(
                    f"held_out ancestor fixes which n there are (1 to 24), so {', '.join(wrong)} cannot be chosen;"
                    " use held_out range or hash"
                )
        if self.smallest > self.largest:
            raise ValueError(f"smallest ({self.smallest}) must not exceed largest ({self.largest})")
        if self.largest % self.span:
            raise ValueError(
                f"largest ({self.largest}) must be a multiple of span ({self.span}), so that ood begins a difficulty"
            )
        if not self.largest < self._last <= MOST:
            raise ValueError(f"ood_largest ({self._last}) must exceed largest ({self.largest}) and be at most {MOST}")
        inside = self.smallest <= self.val_smallest <= self.val_largest <= self.largest
        if self.held_out == "range" and not inside:
            raise ValueError(
                f"val_smallest to val_largest ({self.val_smallest} to {self.val_largest}) must lie within smallest to"
                f" largest ({self.smallest} to {self.largest})"
            )
        if self.held_out == "range" and self.val_largest - self.val_smallest == self.largest - self.smallest:
            raise ValueError(f"val takes every n from {self.smallest} to {self.largest}; leave some to train on")
        if self.form == "significant" and self.base != 10:
            raise ValueError(f"form significant is decimal text, so base must be 10 (got {self.base})")
        return self

    @property
    def symbols(self) -> tuple[str, ...]:
        """Digits, ``>`` before each step, and in form significant those of %.7g."""
        return (*self._glyphs, ">", *(MARKS if self.form == "significant" else ()))

    @property
    def train_difficulty(self) -> tuple[int, int]:
        """From ``smallest`` to ``largest``, in spans."""
        return (-(-self.smallest // self.span), self.largest // self.span)

    @property
    def ood_difficulty(self) -> tuple[int, int]:
        """What lies above ``largest``, in spans."""
        return (self.largest // self.span + 1, -(-self._last // self.span))

    def widths(self, difficulty: int) -> Widths:
        """Those of the largest n; exact in form exact, else no number is taken to be shorter than it may be."""
        return _widths(self, min(difficulty * self.span, self._last))

    def sample(self, difficulty: IntArray, rng: np.random.Generator, *, chain: bool = True) -> Examples:
        """One n per entry of ``difficulty``, uniform in its span."""
        low, high = self._bounds(difficulty)
        number = rng.integers(low, high, endpoint=True)
        levels = np.unique(difficulty)
        table, held = _table(self, tuple(levels.tolist()), chain)
        return table.select(np.searchsorted(held, number))

    def table(self) -> Examples | None:
        """Every n of training and val; None where their chains are too long to keep."""
        size = self.largest * sum(self.widths(self.train_difficulty[1]))
        return None if size > _TABLE_TOKENS else _table(self, tuple(self.difficulties("train")), True)[0]

    def complete(self, prompt: IntArray) -> Examples:
        """Any n that can be written."""
        for row in prompt:
            typed = row[row != 0]
            is_number = 0 < len(typed) <= MOST.bit_length() and (typed <= self.base).all() and typed[0] != 1
            if not is_number or self._value(typed[None])[0] > MOST:
                raise ValueError(f"expected one number from 1 to {MOST} in base {self.base} (got {self.text(row)!r})")
        distinct, row_of = np.unique(self._value(prompt), return_inverse=True)
        return self._worked_out(distinct, chain=True).select(row_of)

    def key(self, examples: Examples) -> IntArray:
        """The number n, whatever base it is written in."""
        return self._value(examples.prompt)[:, None]

    def split(self, examples: Examples, split_seed: int) -> IntArray:
        """By n; where a range is held out there is no guide, test or ood_test."""
        if self.held_out == "hash":
            return super().split(examples, split_seed)
        number = self._value(examples.prompt)
        held = (number >= self.val_smallest) & (number <= self.val_largest)
        home = np.where(held, SPLITS.index("val"), SPLITS.index("train"))
        return np.where(number > self.largest, SPLITS.index("ood"), home)

    def _states(self, number: IntArray) -> Iterator[State]:
        """What n steps write for each of ``number`` (N,): step by step, for as many as the longest takes.

        The first number of the last state of a row is its answer; what comes after that is of no account.
        """
        raise NotImplementedError

    def _line(self, state: State, number: IntArray, step: int) -> list[IntArray]:
        """What the chain holds for a state, in pieces (N, width) with gaps."""
        return [column(len(number), self._mark(">")), self._figures(state[0])]

    def _line_width(self, digits: Sequence[int], number: int, step: int) -> int:
        """The most tokens of that, given how many digits each number of the state has."""
        return 1 + self._figures_width(digits[0])

    def _figures(self, value: IntArray) -> IntArray:
        """Tokens of a computed number, with gaps."""
        digits = self._digits(value)
        if self.form == "significant":
            return in_figures(digits, [self._mark(symbol) for symbol in MARKS])
        return written(digits, self.digit_order, length(digits))

    def _figures_width(self, digits: int) -> int:
        """The most tokens of a computed number with so many digits."""
        return widest(digits) if self.form == "significant" else digits

    def _settled(self, columns: IntArray) -> IntArray:
        """Sums and products of limbs (N, limbs), which may exceed a limb, as a number again."""
        value: IntArray = columns.copy()
        if self.form == "modulus":
            value %= self.modulus
            return value
        limb = self.base**self._per_limb
        while (carry := value // limb).any():  # seldom more than twice: a limb is hardly ever full
            value -= carry * limb
            value[:, 1:] += carry[:, :-1]
        return value

    def _blank(self, number: IntArray, largest: int) -> IntArray:
        """Zeros (N, limbs) that can hold ``largest`` in form exact."""
        bits = 1 if self.form == "modulus" else largest.bit_length()
        limbs = 1 + int(bits / (self._per_limb * math.log2(self.base)))
        return np.zeros((len(number), limbs), dtype=np.int64)

    def _digits(self, value: IntArray) -> IntArray:
        """Digits (N, width) of limbs (N, limbs), without columns that are zero in every row."""
        parts = value[:, :, None] // self.base ** np.arange(self._per_limb) % self.base
        digits = parts.reshape(len(value), -1)
        return digits[:, : int(length(digits).max(initial=1))]

    def _worked_out(self, number: IntArray, chain: bool) -> Examples:
        """The problems (N,), in order."""
        answer: IntArray | None = None
        pieces, steps = [np.zeros((len(number), 0), dtype=np.int64)], [0]
        for step, state in enumerate(self._states(number)):
            answer = state[0] if answer is None else np.where((number > step)[:, None], state[0], answer)
            if chain:
                going = (number > step)[:, None]
                line = [np.where(going, piece, 0) for piece in self._line(state, number, step)]
                pieces += line
                steps += [step] * len(line)
        tokens, numbers = packed(pieces, steps)
        return Examples(
            prompt=packed([self._typed(number)])[0],
            chain=tokens,
            chain_step=numbers,
            answer=packed([self._figures(answer)])[0] if answer is not None else tokens[:, :0],
            difficulty=-(-number // self.span),
        )

    def _typed(self, number: IntArray) -> IntArray:
        """Tokens of small numbers (N,) as they stand in a prompt, with gaps."""
        digits = self._digits(number[:, None])
        return written(digits, "plain", length(digits))

    def _value(self, prompt: IntArray) -> IntArray:
        digits = read(prompt, "plain")[:, : MOST.bit_length()]
        number: IntArray = (digits * self.base ** np.arange(digits.shape[1])).sum(axis=1)
        return number

    def _bounds(self, difficulty: IntArray) -> tuple[IntArray, IntArray]:
        """Smallest and largest n of each difficulty."""
        top = np.asarray(difficulty) * self.span
        return np.maximum(top - self.span + 1, self.smallest), np.minimum(top, self._last)

    def _mark(self, symbol: str) -> int:
        return self.symbols.index(symbol)

    @property
    def _last(self) -> int:
        return self.ood_largest or self.largest + 5 * self.span

    @property
    def _per_limb(self) -> int:
        """Digits of a limb."""
        return int(_LIMB_BITS / math.log2(self.base))


# A family is small and drawn from again and again: its solutions are worked out once.
@functools.lru_cache(maxsize=32)
def _table(task: Recurrence, levels: tuple[int, ...], chain: bool) -> tuple[Examples, IntArray]:
    """All problems of some difficulties, and their n in rising order."""
    ends = zip(*(bound.tolist() for bound in task._bounds(np.array(levels, dtype=np.int64))), strict=True)
    number = np.array([n for low, high in ends for n in range(low, high + 1)], dtype=np.int64)
    return task._worked_out(number, chain), number


@functools.lru_cache(maxsize=MOST)
def _widths(task: Recurrence, number: int) -> Widths:
    rows = np.array([number], dtype=np.int64)
    chain, digits = 0, [1]
    for step, state in enumerate(task._states(rows)):
        largest = [value * 0 + task.modulus - 1 for value in state] if task.form == "modulus" else state
        digits = [int(length(task._digits(value))[0]) for value in largest]
        chain += task._line_width(digits, number, step)
    return Widths(int(length(task._digits(rows[:, None]))[0]), chain, task._figures_width(digits[0]))
