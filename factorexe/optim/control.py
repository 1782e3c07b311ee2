"""What a control is: it changes what the optimizer does around its step, and leaves the gradient alone.

--optim.controls weight-norm-clamp --optim.controls.weight-norm-clamp.norm 30
--optim.controls delayed-weight-decay          decay begins once seen is solved
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from factorexe.choice import Options
from factorexe.optim.flat import Flat


class Control(nn.Module):
    """Does nothing yet.  Buffers are its state, and lie in checkpoints.

    Attributes:
        flat: where each parameter stands in a vector.
    """

    def __init__(self, flat: Flat) -> None:
        super().__init__()
        self.flat = flat

    def before(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Just before an update; ``step`` updates have been made."""

    def after(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Just after the update number ``step``, counted from 1."""

    def learned(self, step: int, scores: Mapping[str, Any]) -> None:
        """After an evaluation: ``scores`` of ``seen`` alone (``scores.Score``), since nothing held out may steer."""


class ControlConfig(Options):
    """Options of a control; ``build`` makes it."""

    api_version: ClassVar[int] = 1

    def build(self, flat: Flat) -> Control:
        """The working object."""
        raise NotImplementedError
