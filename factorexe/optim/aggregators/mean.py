"""The mean over all tokens: what plain training does, however the batch was split."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from factorexe.optim.aggregate import Aggregator, AggregatorConfig, Merged
from factorexe.optim.flat import Flat
from factorexe.optim.measure import Part


class Mean(Aggregator):
    """Adds parts up as they come, each by the tokens it speaks for."""

    def forward(self, parts: Iterator[Part], guide: Tensor | None) -> Merged:
        """The mean; of one part, that part."""
        first = next(parts)
        total, weight = first.gradient, first.weight
        several = False
        for part in parts:
            total = part.gradient * part.weight + (total if several else total * weight)
            weight = weight + part.weight
            several = True
        return Merged(total / weight if several else total)


class MeanConfig(AggregatorConfig):
    """The mean over all tokens."""

    def build(self, flat: Flat) -> Mean:
        """The rule."""
        return Mean(flat)
