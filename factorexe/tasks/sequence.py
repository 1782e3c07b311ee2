"""What tasks on one written sequence share: how long it is in each split, how it is drawn, and where its entries stand.

Difficulty is the length, and training mixes all lengths up to the longest; longer ones are out of distribution
(the question of Delétang et al. 2022, arXiv:2207.02098, and Zhou et al. 2023, arXiv:2310.16028)::

    length=4                       train 1 to 4     ood 5 to 8
    length=32, min_length=32,
    ood_min_length=512             train 32         ood 512

Entries are the numbers 0 to 61, written as one symbol each: digits, then small letters, then capital ones.
"""

from __future__ import annotations

import string
from collections.abc import Mapping

import numpy as np
from pydantic import Field, model_validator

from factorexe.tasks.base import BoolArray, Examples, FloatArray, IntArray, Task, Widths
from factorexe.tasks.digits import GLYPHS, residues
from factorexe.tasks.ranges import refuse_disorder

LONGEST = 4096
ENTRIES = GLYPHS + string.ascii_uppercase
_KEY_BASE = 64  # above every token; the largest for which a residue times it still fits into 64 bits

# A whole run in a few seconds.
RUN = {
    "objective": "answer",
    "data.batch_size": 128,
    "data.eval_size": 20,
    "optim.optimizer.lr": 1e-3,
    "trainer.max_steps": 600,
    "trainer.val_check_interval": 150,
}
TINY = {
    "task.length": 8,
    "data.batch_size": 32,
    "data.eval_size": 20,
    "optim.optimizer.lr": 3e-3,
    "optim.warmup": 20,
    "trainer.max_steps": 300,
    "trainer.val_check_interval": 150,
}


class Sequence(Task):
    """One sequence in, one sequence out; difficulty is how long the first is."""

    length: int = Field(16, ge=1, le=LONGEST)
    """Longest sequence in training."""
    min_length: int = Field(1, ge=1, le=LONGEST)
    """Shortest sequence in training."""
    ood_length: int | None = Field(None, ge=2, le=LONGEST)
    """Longest sequence out of distribution; twice `length`, or `ood_min_length` if that is more, if not given."""
    ood_min_length: int | None = Field(None, ge=2, le=LONGEST)
    """Shortest sequence out of distribution; one more than `length` if not given."""

    @model_validator(mode="after")
    def _ranges_are_in_order(self) -> Sequence:
        refuse_disorder(self, "length")
        if self.ood_min_length is not None and self.ood_min_length <= self.length:
            raise ValueError(
                f"ood_min_length ({self.ood_min_length}) must exceed length ({self.length}), as ood is harder"
            )
        if self.ood_length is not None and self.ood_min_length is not None and self.ood_min_length > self.ood_length:
            raise ValueError(f"ood_min_length ({self.ood_min_length}) must not exceed ood_length ({self.ood_length})")
        return self

    @property
    def train_difficulty(self) -> tuple[int, int]:
        """Shortest and longest sequence in training."""
        return (self.min_length, self.length)

    @property
    def ood_difficulty(self) -> tuple[int, int] | None:
        """Shortest and longest sequence out of distribution."""
        shortest = self.ood_min_length or self.length + 1
        return (shortest, self.ood_length or max(shortest, 2 * self.length))

    def widths(self, difficulty: int) -> Widths:
        """As many entries out as in; no chain."""
        return Widths(difficulty, 0, difficulty)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The entries in order: number n is token n + 1."""
        return ("", *ENTRIES[: self._values])

    def sample(self, difficulty: IntArray, rng: np.random.Generator, *, chain: bool = True) -> Examples:
        """One problem per entry of ``difficulty``."""
        return self._worked_out(self._drawn(difficulty, rng), chain)

    def complete(self, prompt: IntArray, values: FloatArray | None = None) -> Examples:
        """Typed problems, solved; they may be of any length."""
        if not (prompt != 0).any(axis=1).all():
            raise ValueError(f"expected a sequence such as {''.join(self.symbols[1:3])} (got an empty one)")
        return self._worked_out(prompt, chain=True)

    def key(self, examples: Examples) -> IntArray:
        """The sequence (N, 2), whatever the alphabet and however long others are."""
        return key_of(examples.prompt)

    def qualities(
        self, examples: Examples, answer: IntArray, values: FloatArray | None = None
    ) -> Mapping[str, FloatArray]:
        """``right_entries``: the share of an answer's entries that are right, each at its place."""
        wanted = examples.answer
        width = min(wanted.shape[1], answer.shape[1])
        right = (wanted[:, :width] == answer[:, :width]) & (wanted[:, :width] != 0)
        return {"right_entries": right.sum(axis=1) / (wanted != 0).sum(axis=1)}

    @property
    def _values(self) -> int:
        """How many different entries there are."""
        raise NotImplementedError

    def _drawn(self, difficulty: IntArray, rng: np.random.Generator) -> IntArray:
        """Prompts (N, longest): uniform entries."""
        longest = int(difficulty.max(initial=0))
        entries = rng.integers(1, self._values + 1, (len(difficulty), longest), dtype=np.int64)
        return np.where(np.arange(longest) < difficulty[:, None], entries, 0)

    def _answer(self, prompt: IntArray) -> IntArray:
        """What each prompt (N, L), right-padded with 0, is answered by."""
        raise NotImplementedError

    def _chain(self, prompt: IntArray) -> tuple[IntArray, IntArray]:
        """Chain (N, C) and the step of each of its tokens; tasks whose answer is its own trace have none."""
        nothing = np.zeros((len(prompt), 0), dtype=np.int64)
        return nothing, nothing

    def _difficulty(self, prompt: IntArray) -> IntArray:
        lengths: IntArray = (prompt != 0).sum(axis=1, dtype=np.int64)
        return lengths

    def _worked_out(self, prompt: IntArray, chain: bool) -> Examples:
        steps, numbers = self._chain(prompt) if chain else Sequence._chain(self, prompt)
        return Examples(
            prompt=prompt,
            chain=steps,
            chain_step=numbers,
            answer=self._answer(prompt),
            difficulty=self._difficulty(prompt),
        )

    def _counted_places(
        self, tokens: IntArray, prompt_length: IntArray, counted: BoolArray, *, backwards: bool = False
    ) -> IntArray:
        """The number of each ``counted`` entry (N, L) of a prompt, the first (or last) being 2, and 0 for others;
        after the prompt places count up from each mark, which stands at 1."""
        column, end = np.arange(tokens.shape[1]), (prompt_length - 1)[:, None]
        counted = counted & (column < end)
        number = np.cumsum(counted, axis=1)
        total = number[:, -1:]
        prompt = np.where(counted, (total - number + 2) if backwards else number + 1, 0)
        opens = (column >= end) & (tokens >= len(self.symbols))
        opened = np.maximum.accumulate(np.where(opens, column, 0), axis=1)
        written = 1 + np.minimum(column - opened, total)
        return np.where(tokens == 0, 0, np.where(column < end, prompt, written))


def key_of(tokens: IntArray) -> IntArray:
    """Rows of tokens as numbers (N, 2): the same whatever the alphabet and the padding."""
    return residues(tokens, _KEY_BASE)
