"""Follow what was not seen: an update may lower the train loss only as fast as it lowers the held-out loss.

For one small step along d, to first order, the loss of guide problems falls by ``<u, d>``, u being their gradient, and
that of train problems that are not in the batch by ``<g, d>``; the ratio of the two is the one-step generalization
ratio of that step (Liu et al. 2020, arXiv:2001.07384).  ``<g, g>`` would count the noise of the batch as progress.
Parts of the batch tell the two apart: the gradient of one part against the mean of the others has no noise in common::

    fall = mean over k != l of <g_k, g_l>         what a step along g is worth to train problems outside it
    kept = <u, g>                                 what it is worth to guide problems
    ratio = running mean of kept / running mean of fall

Where the ratio is below ``target``, g is moved by as little as makes both ends meet, with running means in place of one
batch's products::

    h = u - target * g
    d = g - c / <h, h> * h                        c = kept - target * fall, if that is negative

so that ``<h, d> = <h, g> - c``: a step that lowered the train loss by 1 and the guide loss by 0.2, at target 0.5, is
turned until it lowers the guide loss by half of what it lowers the train loss.  ``strength`` below 1 goes part of the
way.  With ``target`` 0 and one part it is ``guide-project``.

This rule is ours; it costs one more gradient (that of guide problems), and two running numbers.  It sees only first
order, for a plain gradient step; what an adaptive optimizer makes of d is another direction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from factorexe.optim.aggregate import Aggregator, AggregatorConfig, Merged
from factorexe.optim.flat import Flat
from factorexe.optim.measure import Part


class OneStep(Aggregator):
    """Streams: the sum of the parts, and of their squared norms, are all that it needs.

    Args:
        target: least ratio.
        strength: how much of the way there is gone.
        memory: of the running means.
    """

    guided: ClassVar[bool] = True
    least: ClassVar[int] = 2

    fall: Tensor
    kept: Tensor

    def __init__(self, flat: Flat, target: float, strength: float, memory: float) -> None:
        super().__init__(flat)
        self.target, self.strength, self.memory = target, strength, memory
        self.register_buffer("fall", torch.zeros(()))
        self.register_buffer("kept", torch.zeros(()))

    def forward(self, parts: Iterator[Part], guide: Tensor | None) -> Merged:
        """The mean of the parts, turned where guide problems gain too little of it."""
        assert guide is not None
        total = torch.zeros_like(guide)
        weight = own = squares = guide.new_zeros(())
        for part in parts:
            scaled = part.gradient * part.weight
            total += scaled
            weight, squares = weight + part.weight, squares + part.weight.square()
            own = own + scaled.dot(scaled)
        mean = total / weight
        apart = (weight.square() - squares).clamp_min(1e-12)
        fall = (total.dot(total) - own) / apart  # each pair of different parts by its tokens
        self._note(fall, guide.dot(mean))
        ratio = self.kept / self.fall
        lacking = (self.kept - self.target * self.fall).clamp_max(0.0)
        direction = guide - self.target * mean
        moved = mean - self.strength * lacking / direction.dot(direction).clamp_min(1e-30) * direction
        turn = moved.dot(mean) / (moved.norm() * mean.norm()).clamp_min(1e-30)
        return Merged(moved, {"ratio": ratio, "cosine": turn, "turned": (lacking < 0).float()})

    def _note(self, fall: Tensor, kept: Tensor) -> None:
        """Running means without correction: both are short of the same factor, which their ratio does not see."""
        for mean, new in ((self.fall, fall), (self.kept, kept)):
            mean.mul_(self.memory).add_(new.detach(), alpha=1 - self.memory)


class OneStepConfig(AggregatorConfig):
    """The mean, turned so far that held-out problems gain their share of every step."""

    target: float = Field(0.9, ge=0, le=1)
    """Least fall of the held-out loss for each unit by which the loss of other train problems falls."""
    strength: float = Field(1.0, ge=0, le=1)
    """How much of the way to the target is gone; 0 is the mean."""
    memory: float = Field(0.9, ge=0, lt=1)
    """Memory of the running means, in steps."""

    def build(self, flat: Flat) -> OneStep:
        """The rule."""
        return OneStep(flat, self.target, self.strength, self.memory)
