"""Walk along a cycle.

The table is a permutation of the places with a single cycle; the prompt ends with the number of hops, and the
answer is the place where that many hops from 0 lead::

    3 0 1 2  2    from 0 to 3, from 3 to 2    chain 3 2    answer 2

After clement-bonnet/FactorExe (``c_vpr/cycle.py``), whose answer is one step further:
``extra_step`` does the same.  Its chain is the first ``hops`` places, so that the answer comes after it;
here the chain ends with the answer.

Tables are uniform over the (length - 1)! permutations with one cycle, so after any number of hops below the
length the answer is uniform over all places but 0, and no place or number tells anything of it.  Two things make
a walk shorter than it looks.  It can be taken backwards: ``length - 1`` hops end at the one place whose entry is
0, so walks are harder only up to half the length.  And tables can be joined: two hops from every place, then
four, then eight need a depth of log2(hops), if a model works on every place at once.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from factorexe.tasks.base import Examples, IntArray
from factorexe.tasks.walk import TINY, Walk, walked


class Cycle(Walk):
    """Take a number of hops along a cyclic permutation; the chain holds the places on the way."""

    length: int = Field(40, ge=3, le=256)
    """Places of the permutation, and so integers in the alphabet."""
    extra_step: bool = False
    """Answer with the place one step further, as clement-bonnet/FactorExe does."""

    # The default, seed 0, one thread: val 0.980 at step 200, 1.000 at step 400; ood 0.000, for in training no number
    # above 8 ends a prompt.  With places and no positions val was 0.133 at step 300.
    presets: ClassVar = {
        "default": {
            "objective": "chain",
            "model": "universal-transformer",
            "model.places": True,
            "model.max_place": 40,
            "data.batch_size": 64,
            "data.eval_size": 100,
            "optim.optimizer.lr": 2e-3,
            "trainer.max_steps": 400,
            "trainer.val_check_interval": 100,
        },
        "tiny": {**TINY, "task.ood_hops": 5},
    }

    def sample(self, difficulty: IntArray, rng: np.random.Generator, *, chain: bool = True) -> Examples:
        """One problem per entry of ``difficulty``: the places in uniform order, each pointing to the next."""
        order = np.zeros((len(difficulty), self.length), dtype=np.int64)
        order[:, 1:] = rng.permuted(np.broadcast_to(np.arange(1, self.length), order[:, 1:].shape), axis=1)
        table = np.empty_like(order)
        np.put_along_axis(table, order, np.roll(order, -1, axis=1), axis=1)
        return self._written(table, difficulty, chain)

    def key(self, examples: Examples) -> IntArray:
        """The permutation and the hops (N, length + 1)."""
        return examples.prompt

    def complete(self, prompt: IntArray) -> Examples:
        """Typed problems, solved."""
        table, hops = self._read(prompt)
        round_trip = walked(table, np.full(len(table), self.length))
        for row, visited in enumerate(round_trip):
            if visited[-1] != 0 or len(set(visited.tolist())) < self.length:
                raise ValueError(f"expected a permutation with a single cycle (got {self.text(table[row] + 1)})")
            if not 1 <= hops[row] <= self._most_hops:
                raise ValueError(f"expected 1 to {self._most_hops} hops after the table (got {hops[row]})")
        return self._written(table, hops, chain=True)

    @property
    def _most_hops(self) -> int:
        """One fewer than lead back to 0."""
        return self.length - 1 - self.extra_step

    @property
    def _further(self) -> int:
        return int(self.extra_step)
