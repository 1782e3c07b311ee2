"""The median of each coordinate: what one part alone asks for is not done.

    3 parts at one coordinate     1  2  9      median 2      mean 4
    4 parts                       1  2  4  9   median 3      the mean of the middle two

With three parts this is M3 of Zielinski et al. 2020, arXiv:2003.07422, which splits a batch in three so that directions
which help few examples are suppressed; with more it is the median of means that the paper starts from.  Two parts have
nothing between them: the median is their plain mean.  Every part has one vote, whatever its size.
"""

from __future__ import annotations

from torch import Tensor

from factorexe.optim.aggregate import AggregatorConfig, Coordinatewise
from factorexe.optim.flat import Flat


class Median(Coordinatewise):
    """The median of each coordinate.  K numbers for each, and as many to sort them."""

    least = 3

    def merge(self, rows: Tensor, shares: Tensor) -> Tensor:
        """The middle one, or the mean of the middle two; of one part, that part."""
        ordered, middle = rows.sort(dim=0).values, len(rows) // 2
        if len(rows) % 2:
            return ordered[middle].clone()  # a piece of them would keep all
        return (ordered[middle - 1] + ordered[middle]) / 2


class MedianConfig(AggregatorConfig):
    """The median of each coordinate over the parts."""

    def build(self, flat: Flat) -> Median:
        """The rule."""
        return Median(flat)
