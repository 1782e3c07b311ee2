"""Write a sequence from its end to its beginning.

The answer is its own trace, one entry after the other, so there is no chain::

    3141 answer 1413

The first entry to write is the last one read, and the distance to look back grows by two with each entry: in
training on short sequences a model never sees the distances of long ones (Delétang et al. 2022, arXiv:2207.02098,
call the task reverse string; a stack solves it).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from factorexe.tasks.base import IntArray
from factorexe.tasks.sequence import ENTRIES, RUN, TINY, Sequence


class Reverse(Sequence):
    """Write a sequence backwards."""

    values: int = Field(10, ge=2, le=len(ENTRIES))
    """Different entries: 0-9, then a-z, then A-Z."""

    axis: ClassVar[str] = "entries of the sequence"
    paper: ClassVar[str] = "Delétang et al. 2022, arXiv:2207.02098"
    # The default, seed 0, one thread: val 0.517 at step 300, seen and val 0.997 at step 600, ood 0.006 (169 s).
    presets: ClassVar = {"default": RUN, "tiny": TINY}

    def places(self, tokens: IntArray, prompt_length: IntArray) -> IntArray:
        """Each entry's number in the answer, the first being 2, in prompt and answer; 1 for the mark between."""
        return self._counted_places(tokens, prompt_length, tokens != 0, backwards=True)

    @property
    def _values(self) -> int:
        return self.values

    def _answer(self, prompt: IntArray) -> IntArray:
        last = (prompt != 0).sum(axis=1)[:, None] - 1
        source = last - np.arange(prompt.shape[1])
        return np.where(source >= 0, np.take_along_axis(prompt, np.maximum(source, 0), axis=1), 0)
