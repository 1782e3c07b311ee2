"""Is the number of ones odd?

The chain is the parity so far, after each bit::

    10111    chain 11010    answer 0      four ones

With ``vector_length`` the prompt is a vector of that many entries 1, 0 and -1 (written ``-``), and difficulty says how
many of them are not 0 (Banino et al. 2021, arXiv:2107.05407).  Still only ones are counted; the chain has a step for
each entry that is not 0::

    01-001-    chain 1100    answer 0     after 1, -1, 1, -1
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from factorexe.tasks.base import BoolArray, Examples, FloatArray, IntArray, Widths
from factorexe.tasks.sequence import LONGEST, RUN, TINY, Sequence

_ZERO, _ONE, _MINUS = 1, 2, 3  # tokens


class Parity(Sequence):
    """Say whether the number of ones is odd; the chain is the parity so far."""

    vector_length: int | None = Field(None, ge=1, le=LONGEST)
    """Entries 1, 0 and -1 of a vector; `length` and the others then count those that are not 0. A string of bits if not
    given."""

    axis: ClassVar[str] = "bits; in a vector, entries that are not 0"
    paper: ClassVar[str] = "Banino et al. 2021, arXiv:2107.05407"
    # The default, seed 0, one thread: val 0.494, 0.528, 0.900, 0.989 at steps 150, 300, 450, 600, ood 0.553 (187 s).
    presets: ClassVar = {
        "default": {**RUN, "objective": "chain", "task.min_length": 8},  # of shorter strings val holds a few or none
        "tiny": TINY,
        # "The input vectors had 64 elements, of which a random number from 1 to 64 were randomly set to 1 or -1."
        "ponder": {
            "task.vector_length": 64,
            "task.min_length": 1,
            "task.length": 64,
            "objective": "answer",
            "data.eval_size": 10,
        },
        "ponder-extrapolation": {
            "task.vector_length": 96,
            "task.min_length": 1,
            "task.length": 48,
            "task.ood_length": 96,
            "objective": "answer",
            "data.eval_size": 10,
        },
    }

    @model_validator(mode="after")
    def _vector_holds_the_entries(self) -> Parity:
        if self.vector_length is None:
            return self
        for name in ("length", "ood_length", "ood_min_length"):
            value = getattr(self, name)
            if value is not None and value > self.vector_length:
                raise ValueError(f"{name} ({value}) must not exceed vector_length ({self.vector_length})")
        return self

    @property
    def symbols(self) -> tuple[str, ...]:
        """``0`` and ``1``, and in a vector ``-`` for -1."""
        return ("", "0", "1") if self.vector_length is None else ("", "0", "1", "-")

    @property
    def ood_difficulty(self) -> tuple[int, int] | None:
        """From ``ood_min_length`` to ``ood_length``; None where training fills the vector."""
        shortest, longest = super().ood_difficulty or (0, 0)
        if self.vector_length is None:
            return (shortest, longest)
        return (shortest, min(longest, self.vector_length)) if self.length < self.vector_length else None

    def widths(self, difficulty: int) -> Widths:
        """Exact: a step for each entry that is counted, and one token for the answer."""
        return Widths(self.vector_length or difficulty, difficulty, 1)

    def qualities(
        self, examples: Examples, answer: IntArray, values: FloatArray | None = None
    ) -> Mapping[str, FloatArray]:
        """None: an answer of one token has no parts."""
        return {}

    def places(self, tokens: IntArray, prompt_length: IntArray) -> IntArray:
        """The number of each entry that has a step in the chain, the first being 2, and of that step; 1 for a mark."""
        return self._counted_places(tokens, prompt_length, self._counted(tokens))

    def _drawn(self, difficulty: IntArray, rng: np.random.Generator) -> IntArray:
        count = len(difficulty)
        if self.vector_length is None:
            drawn = rng.integers(_ZERO, _ONE + 1, (count, int(difficulty.max(initial=0))), dtype=np.int64)
            return np.where(np.arange(drawn.shape[1]) < difficulty[:, None], drawn, 0)
        order = rng.random((count, self.vector_length)).argsort(axis=1)
        signs = rng.integers(_ONE, _MINUS + 1, (count, self.vector_length), dtype=np.int64)
        return np.where(order < difficulty[:, None], signs, _ZERO)

    def _counted(self, prompt: IntArray) -> BoolArray:
        """The entries (N, L) that have a step in the chain."""
        counted: BoolArray = prompt >= (_ZERO if self.vector_length is None else _ONE)
        return counted

    def _difficulty(self, prompt: IntArray) -> IntArray:
        counted: IntArray = self._counted(prompt).sum(axis=1, dtype=np.int64)
        return counted

    def _answer(self, prompt: IntArray) -> IntArray:
        ones: IntArray = (prompt == _ONE).sum(axis=1, keepdims=True, dtype=np.int64)
        return ones % 2 + _ZERO

    def _chain(self, prompt: IntArray) -> tuple[IntArray, IntArray]:
        counted = self._counted(prompt)
        parity = np.cumsum(prompt == _ONE, axis=1, dtype=np.int64) % 2 + _ZERO
        first = np.argsort(~counted, axis=1, kind="stable")  # what is counted, in order, then the rest
        longest = int(counted.sum(axis=1).max(initial=0))
        chain = np.take_along_axis(np.where(counted, parity, 0), first, axis=1)[:, :longest]
        return chain, np.broadcast_to(np.arange(longest), chain.shape)
