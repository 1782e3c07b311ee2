"""What tasks share whose prompt is a number n and whose chain takes n steps, each from the one before.

Which n there are is described in ``number_family``, how they and the numbers of the chain are written in
``recurrence_format``.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np

from factorexe.tasks.base import Examples, IntArray, Widths
from factorexe.tasks.formats import column, packed
from factorexe.tasks.limbs import MOST, count_digits
from factorexe.tasks.number_family import NumberFamily
from factorexe.tasks.recurrence_format import RecurrenceFormat, Writer

_TABLE_TOKENS = 10**7  # a larger family has no table

State: TypeAlias = tuple[IntArray, ...]  # numbers (N, limbs), least significant first

# train_size is shared out over the difficulties and means all that there are: with the ancestor's split 14 problems.
# Each keeps the hint that it was drawn with; without train_size, a stream, hints are drawn anew.
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


class Recurrence(NumberFamily, RecurrenceFormat):
    """A number n and what n steps make of it."""

    def widths(self, difficulty: int) -> Widths:
        """Those of the largest n; exact in form exact, else no number is taken to be shorter than it may be."""
        return _widths(self, min(difficulty * self.span, self._last))

    def sample(self, difficulty: IntArray, rng: np.random.Generator, *, chain: bool = True) -> Examples:
        """One n per entry of ``difficulty``, uniform in its span; so is the hint of ones among those it can have."""
        low, high = self._bounds(difficulty)
        number = rng.integers(low, high, endpoint=True)
        levels = np.unique(difficulty)
        table, held = _table(self, tuple(levels.tolist()), chain)
        drawn = table.select(np.searchsorted(held, number))
        if not self.index_hints:
            return drawn
        return self._moved(drawn, rng.integers(0, self._hint_count - self._hints_for(number), endpoint=True))

    def table(self) -> Examples | None:
        """Every n of training and val, from every hint on; None where their chains are too long to keep."""
        size = self.largest * sum(self.widths(self.train_difficulty[1])) * max(1, self._hint_count)
        if size > _TABLE_TOKENS:
            return None
        listed, number = _table(self, tuple(self.difficulties("train")), True)
        if not self.index_hints:
            return listed
        ways = self._hint_count - self._hints_for(number) + 1
        row = np.repeat(np.arange(len(listed)), ways)
        return self._moved(listed.select(row), np.arange(len(row)) - (np.cumsum(ways) - ways)[row])

    def complete(self, prompt: IntArray) -> Examples:
        """Any n that can be written."""
        for row, typed in zip(prompt, self._bare(prompt), strict=True):
            digits = typed[typed != 0]
            is_number = 0 < len(digits) <= MOST.bit_length() and (digits <= self.base).all() and digits[0] != 1
            if not is_number or self._value(digits[None])[0] > MOST:
                raise ValueError(f"expected one number from 1 to {MOST} in base {self.base} (got {self.text(row)!r})")
        number = self._value(prompt)
        distinct, row_of = np.unique(number, return_inverse=True)
        solved = self._worked_out(distinct, chain=True).select(row_of)
        if not self.index_hints:
            return solved
        low, high = self.symbols[self._first_hint : self._first_hint + 2]
        asked = [row[row != 0] for row in solved.prompt]
        example = self.separator.join([high, "1", low, "0"])
        return self._moved(solved, self._starts(prompt, asked, self._hints_for(number).tolist(), example))

    def key(self, examples: Examples) -> IntArray:
        """The number n, however it is written."""
        return self._value(examples.prompt)[:, None]

    def _states(self, number: IntArray) -> Iterator[State]:
        """What n steps write for each of ``number`` (N,): step by step, for as many as the longest takes.

        The first number of the last state of a row is its answer; what comes after that is of no account.
        """
        raise NotImplementedError

    def _line(self, state: State, number: IntArray, step: int, write: Writer) -> list[IntArray]:
        """What the chain holds for a state, in pieces (N, width) with gaps."""
        return [column(len(number), self._mark(">")), write(state[0])]

    def _line_width(self, digits: Sequence[int], number: int, step: int) -> int:
        """The most tokens of that, given how many digits each number of the state has."""
        return 1 + self._written_width(digits[0])

    def _worked_out(self, number: IntArray, chain: bool) -> Examples:
        """The problems (N,), in order; the first hint is that of ones."""
        write, answer = self._writer(number), number[:, None]  # every n takes a step, so none of these remains
        pieces, steps = [np.zeros((len(number), 0), dtype=np.int64)], [0]
        for step, state in enumerate(self._states(number)):
            going = (number > step)[:, None]
            answer = np.where(going, state[0], answer)
            if chain:
                line = [np.where(going, piece, 0) for piece in self._line(state, number, step, write)]
                pieces += line
                steps += [step] * len(line)
        tokens, numbers = packed(pieces, steps)
        return Examples(
            prompt=packed([self._typed(number)])[0],
            chain=tokens,
            chain_step=numbers,
            answer=packed([write(answer)])[0],
            difficulty=-(-number // self.span),
        )

    def _moved(self, examples: Examples, start: IntArray) -> Examples:
        """The same problems with ``start`` (N,) for the hint of ones, which was the first."""
        return dataclasses.replace(
            examples,
            prompt=self._shifted(examples.prompt, start),
            chain=self._shifted(examples.chain, start),
            answer=self._shifted(examples.answer, start),
        )


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
    longest = int(task._longest(rows)[0])
    chain, digits = 0, [1]
    for step, state in enumerate(task._states(rows)):
        if task.form == "modulus" or task.padding == "results":
            digits = [longest] * len(state)
        else:
            digits = [task._limbs.digits(value).shape[1] for value in state]
        chain += task._line_width(digits, number, step)
    return Widths(task._tokens(count_digits(number, task.base)), chain, task._written_width(digits[0]))
