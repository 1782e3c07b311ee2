"""Train a loop to go on from wherever it is: quiet steps to a random place, then a random number with gradients.

With N steps at test time, n is drawn from 0 to N - 1 and k from 1 to N - n, each uniformly; the loss is

    (1 - alpha) * loss after N steps  +  alpha * loss after n quiet and k further steps

With N = 8, alpha = 0.5, n = 5 and k = 2::

    [Pass(steps=8, quiet=0, weight=0.5), Pass(steps=7, quiet=5, weight=0.5)]

On average the second makes (3 N + 1) / 4 steps, (N + 3) / 4 of them with gradients: 6.25 and 2.75 of 8.

Algorithm 1 (incremental progress training) of Bansal et al. 2022, arXiv:2202.05826, whose m is the N here.  Their
published settings are alpha 1 for prefix sums, 0.5 for chess and 0.01 for mazes.  One n and one k serve a whole batch.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field

from factorexe.models.depth.base import DepthConfig, Pass


class ProgressiveDepthConfig(DepthConfig):
    """The loss at full depth, and that of going on from a random place."""

    paper: ClassVar[str] = "Bansal et al. 2022, arXiv:2202.05826"

    alpha: float = Field(0.5, ge=0, le=1)
    """Weight of going on from a random place; 0 is the loss at full depth alone, 1 does without it."""

    def passes(self, steps: int, generator: torch.Generator | None) -> tuple[Pass, ...]:
        """Two, or the one that has weight."""
        quiet = int(torch.randint(0, steps, (), generator=generator))
        further = int(torch.randint(1, steps - quiet + 1, (), generator=generator))
        both = Pass(steps, 0, 1 - self.alpha), Pass(quiet + further, quiet, self.alpha)
        return tuple(each for each in both if each.weight)
