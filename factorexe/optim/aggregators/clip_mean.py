"""No part pulls harder than the others: each gradient is clipped to a norm before the mean over tokens is taken.

    norm 1, two parts of one size     [3, 4] and [0, 0.5]     clipped [0.6, 0.8] and [0, 0.5]     mean [0.3, 0.65]

As in differentially private training (Abadi et al. 2016, arXiv:1607.00133, Algorithm 1) without its noise, and with
parts in the place of examples: it bounds what any one part can do to the weights.  The trainer's own clipping
(``trainer.gradient_clip_val``) acts on the mean, in which a loud part has drowned the others already.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor

from factorexe.optim.aggregate import Aggregator, AggregatorConfig, Merged
from factorexe.optim.flat import Flat
from factorexe.optim.measure import Part


class ClipMean(Aggregator):
    """Clips parts as they come and adds them up.  2 P numbers.

    Args:
        flat: where each parameter stands in a vector.
        norm: the largest norm of a part.
    """

    def __init__(self, flat: Flat, norm: float) -> None:
        super().__init__(flat)
        self.norm = norm

    def forward(self, parts: Iterator[Part], guide: Tensor | None) -> Merged:
        """The mean of clipped parts; a part within the norm is untouched."""
        first = next(parts)
        norms = [first.gradient.norm()]
        mean, tokens = first.gradient * self._factor(norms[0]), first.weight
        for part in parts:
            norms.append(part.gradient.norm())
            tokens = tokens + part.weight
            clipped = part.gradient * self._factor(norms[-1])
            mean = mean + (clipped - mean) * (part.weight / tokens)
        found = torch.stack(norms)
        return Merged(mean, {"clipped": (found > self.norm).float().mean(), "norm": found.mean()})

    def _factor(self, norm: Tensor) -> Tensor:
        return (self.norm / norm).clamp(max=1)  # of a part of zeros the quotient is inf, the factor 1


class ClipMeanConfig(AggregatorConfig):
    """The mean of parts that are each clipped to a norm."""

    norm: float = Field(1.0, gt=0)
    """Largest norm of a part's gradient."""

    def build(self, flat: Flat) -> ClipMean:
        """The rule."""
        return ClipMean(flat, self.norm)
