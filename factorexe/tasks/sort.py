"""Put numbers in order.

The chain is insertion sort: after each number what has been read so far, in order; the last step is the answer::

    3142    chain >3>13>134>1234    answer 1234

Two prompts with the same numbers are the same problem, so an answer of val was never written in training.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from factorexe.tasks.base import Examples, FloatArray, IntArray, Widths
from factorexe.tasks.sequence import ENTRIES, RUN, TINY, Sequence, key_of


class Sort(Sequence):
    """Sort small numbers; the chain is insertion sort."""

    length: int = Field(8, ge=1, le=256)
    """Longest sequence in training."""
    values: int = Field(10, ge=2, le=len(ENTRIES))
    """Numbers are below this; they are written 0-9, then a-z, then A-Z."""

    axis: ClassVar[str] = "numbers to sort"
    paper: ClassVar[str] = "Delétang et al. 2022, arXiv:2207.02098"
    # The default, seed 0, one thread: val 0.411, 0.746, 0.818, 0.875 at steps 150, 300, 450, 600, seen 0.981, ood 0.019
    # (321 s).
    presets: ClassVar = {
        "default": {**RUN, "objective": "chain"},
        "tiny": {**TINY, "task.length": 4, "trainer.max_steps": 200, "trainer.val_check_interval": 100},
    }

    @property
    def symbols(self) -> tuple[str, ...]:
        """The numbers in order, and ``>`` before each step."""
        return (*super().symbols, ">")

    def widths(self, difficulty: int) -> Widths:
        """Exact: step k holds a mark and k numbers."""
        return Widths(difficulty, difficulty * (difficulty + 3) // 2, difficulty)

    def complete(self, prompt: IntArray, values: FloatArray | None = None) -> Examples:
        """Typed problems, solved; they may be of any length."""
        if (prompt > self.values).any():
            raise ValueError("expected numbers alone, such as 3142 (got a > among them)")
        return super().complete(prompt, values)

    def key(self, examples: Examples) -> IntArray:
        """The numbers (N, 2) in order, for their order makes no difference to the answer."""
        return key_of(self._answer(examples.prompt))

    @property
    def _values(self) -> int:
        return self.values

    def _answer(self, prompt: IntArray) -> IntArray:
        return _sorted(prompt)

    def _chain(self, prompt: IntArray) -> tuple[IntArray, IntArray]:
        """A shorter sequence has the first steps of a longer one."""
        count, longest = prompt.shape
        mark = np.full((count, 1), self.values + 1, dtype=np.int64)
        pieces = [piece for step in range(longest) for piece in (mark, _sorted(prompt[:, : step + 1]))]
        steps = np.repeat(np.arange(longest), np.arange(longest) + 2)
        chain = np.concatenate(pieces, axis=1)
        there = steps < (prompt != 0).sum(axis=1)[:, None]
        return np.where(there, chain, 0), np.broadcast_to(steps, chain.shape)


def _sorted(tokens: IntArray) -> IntArray:
    """Each row in order, its padding still on the right."""
    behind = len(ENTRIES) + 1
    ordered = np.sort(np.where(tokens == 0, behind, tokens), axis=1)
    return np.where(ordered == behind, 0, ordered)
