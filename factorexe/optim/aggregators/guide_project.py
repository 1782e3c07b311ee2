"""Take out of the gradient what would raise the loss of held-out problems.

Where the mean gradient g and that of the guide, h, point apart, g loses its component along h::

    g = [2, 1]   h = [-1, 0]     g h = -2 < 0     g - (g h / h h) h = [0, 1]
    g = [2, 1]   h = [ 1, 0]     g h =  2         g as it is

This is A-GEM (Chaudhry et al. 2019, arXiv:1812.00420, eq. 11; the number of the equation was not looked up) with
held-out problems in the place of earlier tasks.  To first order an update then never raises the guide's loss.  Nothing
is done as long as the two agree by the least bit, which a mean gradient does for most of a run; ``per tensor`` asks
each tensor for itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from torch import Tensor

from factorexe.optim.aggregate import Aggregator, AggregatorConfig, Merged
from factorexe.optim.aggregators.cosine import cosine
from factorexe.optim.aggregators.mean import Mean
from factorexe.optim.aggregators.per_tensor import spread, sums
from factorexe.optim.flat import Flat
from factorexe.optim.measure import Part


class GuideProject(Aggregator):
    """The mean, without what points against the guide.

    Args:
        flat: where each parameter stands in a vector.
        per_tensor: whether each tensor is projected for itself.
    """

    guided = True

    def __init__(self, flat: Flat, per_tensor: bool) -> None:
        super().__init__(flat)
        self.mean, self.per_tensor = Mean(flat), per_tensor

    def forward(self, parts: Iterator[Part], guide: Tensor | None) -> Merged:
        """The projected mean."""
        assert guide is not None
        gradient = self.mean(parts, None).vector(self.flat)
        assert gradient is not None
        inner, own = self._summed(gradient * guide), self._summed(guide * guide)
        against = inner < 0  # so own is not 0
        along = (inner / own).where(against, 0)
        away = spread(along, self.flat) if self.per_tensor else along
        told = {"cosine": cosine(gradient, guide), "projected": against.float().mean()}
        return Merged(gradient - away * guide, told)

    def _summed(self, vector: Tensor) -> Tensor:
        return sums(vector, self.flat) if self.per_tensor else vector.sum()


class GuideProjectConfig(AggregatorConfig):
    """The mean without its component against the gradient of held-out problems (A-GEM)."""

    per: Literal["global", "tensor"] = "global"
    """Ask all parameters together, or each tensor, whether the two point apart."""

    def build(self, flat: Flat) -> GuideProject:
        """The rule."""
        return GuideProject(flat, self.per == "tensor")
