"""Write a sequence again.

The answer is its own trace, one entry after the other, so there is no chain::

    3141 answer 3141

With repeated entries a model has to know where it stands: which 1 did it write last?  With ``distinct`` no entry
occurs twice, and it is enough to look for the entry just written and take the one that follows; Zhou et al. 2023
(arXiv:2310.16028) compare the two.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from factorexe.tasks.base import IntArray
from factorexe.tasks.sequence import ENTRIES, RUN, TINY, Sequence


class Copy(Sequence):
    """Write a sequence again."""

    values: int = Field(10, ge=2, le=len(ENTRIES))
    """Different entries: 0-9, then a-z, then A-Z."""
    distinct: bool = False
    """No entry occurs twice in a sequence."""

    axis: ClassVar[str] = "entries of the sequence"
    paper: ClassVar[str] = "Zhou et al. 2023, arXiv:2310.16028"
    # The default, seed 0: val 0.82 at step 300, 0.97 at 450, 0.990 at 600; seen 0.987, ood 0.019 (0.3 at 17 entries).
    presets: ClassVar = {"default": RUN, "tiny": TINY}

    @model_validator(mode="after")
    def _there_are_entries_enough(self) -> Copy:
        longest = max(*self.train_difficulty, *(self.ood_difficulty or ()))
        if self.distinct and longest > self.values:
            raise ValueError(
                f"distinct entries need as many values as the longest sequence has ({longest}, got values"
                f" {self.values}): raise values, or lower length and ood_length"
            )
        return self

    def places(self, tokens: IntArray, prompt_length: IntArray) -> IntArray:
        """Each entry's number from the front, the first being 2, in prompt and answer; 1 for the mark between."""
        return self._counted_places(tokens, prompt_length, tokens != 0)

    @property
    def _values(self) -> int:
        return self.values

    def _drawn(self, difficulty: IntArray, rng: np.random.Generator) -> IntArray:
        if not self.distinct:
            return super()._drawn(difficulty, rng)
        longest = int(difficulty.max(initial=0))
        order = rng.random((len(difficulty), self.values)).argsort(axis=1)[:, :longest]
        return np.where(np.arange(longest) < difficulty[:, None], order + 1, 0)

    def _answer(self, prompt: IntArray) -> IntArray:
        return prompt
