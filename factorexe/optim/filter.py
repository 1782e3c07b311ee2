"""What a filter is: it edits the one gradient that an optimizer's step is about to use, and may remember earlier ones.

Filters run once for each step of the optimizer, whatever was accumulated and however often a measure looked, in the
order in which they are named, before the gradient is clipped::

    --optim.filters grokfast-ema,orthograd      g + gain * running mean, then what of it is orthogonal to the weights

Where no batch of a step was accepted there is no gradient, and no filter runs.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from factorexe.choice import Options
from factorexe.optim.flat import Flat


class Filter(nn.Module, abc.ABC):
    """One gradient to one.  Buffers are its state, and lie in checkpoints.

    Attributes:
        flat: where each parameter stands in a vector.
        stats: numbers () that say what was done in the last step.
    """

    def __init__(self, flat: Flat) -> None:
        super().__init__()
        self.flat = flat
        self.stats: Mapping[str, Tensor | float] = {}

    @abc.abstractmethod
    def forward(self, gradient: Tensor) -> Tensor:
        """The gradient (P,) that is used instead.  What is given must not be written into."""


class FilterConfig(Options):
    """Options of a filter; ``build`` makes it."""

    api_version: ClassVar[int] = 1

    def build(self, flat: Flat) -> Filter:
        """The working object."""
        raise NotImplementedError
