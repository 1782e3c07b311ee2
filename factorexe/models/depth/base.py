"""How many steps of its loop a model makes in training: drawn anew for every batch, or told by the problem.

What is drawn is a list of *passes*: a pass makes ``quiet`` steps without gradients and then the others with them,
and its loss counts with ``weight``.  A loop of 8 steps, with gradients through the last 3 of them::

    [Pass(steps=8, quiet=5, weight=1.0)]

At test time a model makes the steps that it was built with, or those it is told, unless depth is told by the problem.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from factorexe.choice import Options


class Pass(NamedTuple):
    """One run through the loop."""

    steps: int
    quiet: int  # steps at the beginning that pass no gradient
    weight: float  # of its loss; over all passes they sum to 1


class DepthConfig(Options):
    """How deep training goes.  ``steps`` is the model's own number, that of test time.

    Class attributes:
        paper: where it comes from ("Author et al. year, arXiv:id").
    """

    api_version: ClassVar[int] = 1
    paper: ClassVar[str] = ""

    def passes(self, steps: int, generator: torch.Generator | None) -> tuple[Pass, ...]:
        """The passes of one training batch.  Draws from ``generator``, one and the same on every process, so it is a
        function of seed and training step alone."""
        raise NotImplementedError

    def told(self, steps: int, difficulty: Tensor) -> Tensor | None:
        """Steps (B,) of problems of these difficulties (B,), in training and at test time; None: the problem does not
        tell."""
        return None

    def deepest(self, steps: int) -> int | None:
        """Steps that training makes at most; None: any number."""
        return steps
