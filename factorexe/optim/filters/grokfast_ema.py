"""Grokfast-EMA: the gradient, and its running mean once more, so that what changes slowly counts for more.

The running mean m is a low-pass filter of the gradients g, begun with the first of them (Lee et al. 2024,
arXiv:2405.20233, the variant with an exponential mean)::

    m <- memory * m + (1 - memory) * g,  m = g at first           used: g + gain * m

A gradient that never changes becomes (1 + gain) g: with gain 2, gradients 1, 1, 1, ... become 3, 3, 3, ...; one that
alternates, 1, -1, 1, -1, ..., stays much as it was once the memory of the first has gone.

As in the authors' code there is no correction for the short past at first.  A factor on every gradient is a larger
learning rate under SGD and nothing under Adam, so part of what a gain does is a learning rate: compare with one tuned.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from factorexe.optim.filter import Filter, FilterConfig
from factorexe.optim.flat import Flat


class GrokfastEMA(Filter):
    """Adds ``gain`` times the exponential mean (P,) of all gradients so far."""

    mean: Tensor
    begun: Tensor

    def __init__(self, flat: Flat, memory: float, gain: float) -> None:
        super().__init__(flat)
        self.memory, self.gain = memory, gain
        self.register_buffer("mean", torch.zeros_like(flat.weights()))
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))

    def forward(self, gradient: Tensor) -> Tensor:
        """(P,) the gradient and ``gain`` times its mean."""
        before = torch.where(self.begun, self.mean, gradient)
        self.mean.copy_(torch.lerp(before, gradient, 1 - self.memory))
        self.begun.fill_(True)
        return gradient + self.gain * self.mean


class GrokfastEMAConfig(FilterConfig):
    """Add the gradient's exponential mean to it (Grokfast-EMA)."""

    memory: float = Field(0.98, ge=0, lt=1)
    """What the mean keeps of itself at each step (alpha of the paper)."""
    gain: float = Field(2.0, ge=0)
    """How much of the mean is added (lambda of the paper); 0 changes nothing."""

    def build(self, flat: Flat) -> GrokfastEMA:
        """The filter."""
        return GrokfastEMA(flat, self.memory, self.gain)
