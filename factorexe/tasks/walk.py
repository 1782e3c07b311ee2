"""What tasks that follow pointers share: a table of places, a walk that starts at place 0, and its hops.

A prompt is the table, the entry of place 0 first, each entry one token; the chain is the places that the walk
comes to, one a step, and ends with the answer::

    table 3 0 1 2    from 0 to its entry 3, from 3 to its entry 2, from 2 to 1 ...    chain 3 2 1
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from factorexe.tasks.base import Examples, IntArray, Task, Widths
from factorexe.tasks.ranges import refuse_disorder

TINY = {
    "task.length": 10,
    "task.hops": 3,
    "model.places": False,
    "model.positions": "learned",
    "data.batch_size": 32,
    "data.eval_size": 50,
    "optim.optimizer.lr": 3e-3,
    "optim.warmup": 20,
    "trainer.max_steps": 200,
    "trainer.val_check_interval": 50,
}


class Walk(Task):
    """A table of places and a walk through it; difficulty is the number of hops."""

    axis: ClassVar[str] = "hops"

    length: int = Field(100, ge=3, le=256)
    """Places in the table, and so integers in the alphabet."""
    min_hops: int = Field(1, ge=1)
    """Fewest hops in training."""
    hops: int = Field(8, ge=1)
    """Most hops in training."""
    ood_hops: int | None = Field(None, ge=2)
    """Most hops out of distribution, which begins one above `hops`; four more than `hops`, or as many as the table
    has room for, if not given."""

    @model_validator(mode="after")
    def _walks_fit_into_the_table(self) -> Walk:
        for name, hops in (("hops", self.hops), ("ood_hops", self.ood_hops)):
            if hops is not None and hops > self._most_hops:
                raise ValueError(
                    f"{name} ({hops}) must not exceed {self._most_hops}, the longest walk in a table of length"
                    f" {self.length}"
                )
        refuse_disorder(self, "hops")
        return self

    @property
    def symbols(self) -> tuple[str, ...]:
        """The integers below ``length``: place v is token v + 1."""
        return ("", *map(str, range(self.length)))

    @property
    def train_difficulty(self) -> tuple[int, int]:
        """Hops, fewest and most."""
        return (self.min_hops, self.hops)

    @property
    def ood_difficulty(self) -> tuple[int, int] | None:
        """From one hop more than in training to ``ood_hops``; None if training has the longest walks there are."""
        most = self.ood_hops or min(self.hops + 4, self._most_hops)
        return (self.hops + 1, most) if most > self.hops else None

    def widths(self, difficulty: int) -> Widths:
        """Every table is as long as every other, so these are exact."""
        return Widths(self.length + self._hops_are_told, difficulty + self._further, 1)

    def places(self, tokens: IntArray, prompt_length: IntArray) -> IntArray:
        """An entry of the table is at its own place, a number written later at the place it names; the mark after
        the prompt is at the first, where the walk starts.  They count from 1."""
        column, end = np.arange(tokens.shape[1]), prompt_length[:, None] - 1
        entry = np.where(column < self.length, column + 1, 0)
        named = np.where(tokens <= self.length, tokens, 0)
        return np.where(tokens == 0, 0, np.where(column < end, entry, np.where(column == end, 1, named)))

    @property
    def _most_hops(self) -> int:
        """The longest walk."""
        return self.length - 1

    @property
    def _further(self) -> int:
        """Steps that a walk takes beyond its hops."""
        return 0

    @property
    def _hops_are_told(self) -> bool:
        """Whether the prompt ends with the number of hops."""
        return True

    def _written(self, table: IntArray, hops: IntArray, chain: bool) -> Examples:
        """The examples of tables (N, length) and the hops (N,) of their walks."""
        steps = hops + self._further
        visited = walked(table, steps)
        told = [hops[:, None] + 1] if self._hops_are_told else []
        trace = np.where(np.arange(visited.shape[1]) < steps[:, None], visited + 1, 0)[:, : None if chain else 0]
        return Examples(
            prompt=np.concatenate([table + 1, *told], axis=1),
            chain=trace,
            chain_step=np.broadcast_to(np.arange(trace.shape[1]), trace.shape),
            answer=np.take_along_axis(visited, steps[:, None] - 1, axis=1) + 1,
            difficulty=hops,
        )

    def _read(self, prompt: IntArray) -> tuple[IntArray, IntArray]:
        """Table (N, length) and last number (N,) of typed prompts (N, L)."""
        width = self.length + self._hops_are_told
        for row in prompt:
            if (count := int((row != 0).sum())) != width:
                hops = " and the number of hops" if self._hops_are_told else ""
                raise ValueError(f"expected the {self.length} entries of a table{hops} (got {count} numbers)")
        return prompt[:, : self.length] - 1, prompt[:, width - 1] - 1


def walked(table: IntArray, steps: IntArray) -> IntArray:
    """The places (N, longest) that ``steps`` (N,) from place 0 lead to; walks go on to the end of the longest."""
    entries, row = table.ravel(), np.arange(len(table)) * table.shape[1]
    visited = np.empty((len(table), int(steps.max(initial=1))), dtype=np.int64)
    here = np.zeros(len(table), dtype=np.int64)
    for step in range(visited.shape[1]):
        visited[:, step] = here = entries[row + here]
    return visited
