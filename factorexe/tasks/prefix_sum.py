"""Write the sums of the first, the first two, the first three, ... entries, modulo 2.

The answer is its own trace, one addition for each entry, so there is no chain::

    10111 answer 11010        1, 1+0, 1+0+1 = 2, ...

Schwarzschild et al. 2021 (arXiv:2106.04537) train recurrent networks on 32 bits and test them on longer strings,
with more iterations; Bansal et al. 2022 (arXiv:2202.05826) on 512 bits (``--preset deep-thinking``).  Their networks
write all sums at once.  A model that writes one after the other is given each sum but the first by its own last
token, and needs only find the entry to add.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from factorexe.tasks.base import IntArray
from factorexe.tasks.sequence import ENTRIES, RUN, TINY, Sequence


class PrefixSum(Sequence):
    """Write all prefix sums of a bit string, modulo 2."""

    modulus: int = Field(2, ge=2, le=len(ENTRIES))
    """Entries and sums are numbers below this."""

    axis: ClassVar[str] = "entries of the sequence"
    paper: ClassVar[str] = "Schwarzschild et al. 2021, arXiv:2106.04537"
    # The default, seed 0, one thread: val 0.039, 0.622, 0.828, 1.000 at steps 300, 450, 600, 750; ood 0.000 (257 s).
    # With 1e-3 val was 0.378 at step 600.
    presets: ClassVar = {
        "default": {
            **RUN,
            "task.min_length": 8,  # of shorter strings val holds a few or none
            "optim.optimizer.lr": 3e-3,
            "trainer.max_steps": 900,
        },
        "tiny": TINY,
        "deep-thinking": {
            "task.length": 32,
            "task.min_length": 32,
            "task.ood_min_length": 512,
            "task.ood_length": 512,
            "trainer.val_check_interval": 300,
        },
    }

    def places(self, tokens: IntArray, prompt_length: IntArray) -> IntArray:
        """Each entry's number from the front, the first being 2, and the same of its sum; 1 for the mark between."""
        return self._counted_places(tokens, prompt_length, tokens != 0)

    @property
    def _values(self) -> int:
        return self.modulus

    def _answer(self, prompt: IntArray) -> IntArray:
        sums = np.cumsum(np.maximum(prompt - 1, 0), axis=1) % self.modulus
        return np.where(prompt != 0, sums + 1, 0)
