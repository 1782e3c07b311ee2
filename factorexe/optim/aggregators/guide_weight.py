"""Weigh each part by how well its gradient agrees with that of held-out problems; what points against it is left out.

With the guide [1, 0] and three parts of one size::

    [2, 0]    cosine  1      weight 1/1.6
    [3, 4]    cosine  0.6    weight 0.6/1.6
    [-1, 1]   cosine -0.7    weight 0           gradient [2.375, 1.5]

First order of Ren et al. 2018, arXiv:1803.09050, who weigh examples by what a step on them would do to the loss of a
clean set, rectify, and normalise to a sum of 1.  Two differences: parts stand in the place of examples, and cosines in
that of inner products, so that a part does not count for more by being larger.  Parts of unequal size count by their
tokens in addition.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from factorexe.optim.aggregate import Aggregator, AggregatorConfig, Merged
from factorexe.optim.aggregators.cosine import cosine
from factorexe.optim.aggregators.rejection import Reject, rejected
from factorexe.optim.flat import Flat
from factorexe.optim.measure import Part


class GuideWeight(Aggregator):
    """The mean of parts, by agreement with the guide.  2 P numbers; 3 P to reject to the plain mean.

    Args:
        flat: where each parameter stands in a vector.
        reject: what becomes of a batch in which no part agrees.
    """

    guided = True

    def __init__(self, flat: Flat, reject: Reject) -> None:
        super().__init__(flat)
        self.reject = reject

    def forward(self, parts: Iterator[Part], guide: Tensor | None) -> Merged:
        """The weighted mean; of one part, that part if it agrees."""
        assert guide is not None
        found, total, weight = [], torch.zeros_like(guide), guide.new_zeros(())
        plain, tokens = (torch.zeros_like(guide) if self.reject == "mean" else None), guide.new_zeros(())
        for part in parts:
            found.append(cosine(part.gradient, guide))
            own = found[-1].relu() * part.weight
            total, weight, tokens = total + own * part.gradient, weight + own, tokens + part.weight
            plain = None if plain is None else plain + part.weight * part.gradient
        told = torch.stack(found)
        kept = int((told > 0).sum())
        mean = total if plain is None else plain / tokens
        stats: dict[str, Tensor | float] = {
            "kept": kept / len(found),
            "cosine": told.mean(),
            "skipped": float(not kept),
        }
        return Merged(total / weight if kept else rejected(self.reject, mean), stats)


class GuideWeightConfig(AggregatorConfig):
    """The mean of parts, each weighed by its agreement with the gradient of held-out problems."""

    reject: Reject = "skip"
    """Where no part agrees: no step, a gradient of zeros (decay and momentum still move), or the plain mean."""

    def build(self, flat: Flat) -> GuideWeight:
        """The rule."""
        return GuideWeight(flat, self.reject)
