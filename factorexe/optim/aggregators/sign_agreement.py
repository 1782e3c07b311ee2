"""AND-mask: a coordinate moves only where the parts agree about its direction.

Of the signs of K parts at a coordinate the mean is taken; where it is smaller than ``tau`` in size, nothing moves.
Everything else gets the mean over tokens::

    parts            mean of signs     tau 1      tau 0.3
    2   4   6            1               4          4
    2  -1   2            1/3             0          1
    0   4   5            2/3             0          3          a part without an opinion is not for it
    0   0   0            -               0          0          not counted at all, where it is said how many agreed

(parts of one size).  Parascandolo et al. 2020, arXiv:2009.00329: with parts that are environments, such as problem
sizes, what is left is what holds in all of them.  Every part has one vote, whatever its size.  ``rescale`` divides
each tensor by the share of it that was kept, as the authors' code does; here only coordinates with a gradient count,
lest the rare rows of an embedding make it large.

``magnitude`` asks in addition that the largest and the smallest of the parts are less than so much apart: the rule of
Fchaubard/factorial_experiments on GitHub for two parts, with 0.1.  It is an absolute number, and gradients are often
far smaller; then it asks nothing.

For two parts half of all coordinates pass by chance alone (``chance``), so ``over_chance`` says what agreement there
was.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field
from torch import Tensor

from factorexe.optim import chance
from factorexe.optim.aggregate import Aggregator, AggregatorConfig, Merged
from factorexe.optim.aggregators.per_tensor import rescaled
from factorexe.optim.flat import Flat
from factorexe.optim.measure import Part


class SignAgreement(Aggregator):
    """Keeps the coordinates whose signs agree.  2 P numbers and P bits; with a magnitude 2 P more.

    Args:
        flat: where each parameter stands in a vector.
        tau: the least mean of signs, in size.
        magnitude: how far apart the parts may be, or None.
        rescale: whether what is left of a tensor makes up for what is not.
    """

    least = 2

    def __init__(self, flat: Flat, tau: float, magnitude: float | None, rescale: bool) -> None:
        super().__init__(flat)
        self.tau, self.magnitude, self.rescale = tau, magnitude, rescale

    def forward(self, parts: Iterator[Part], guide: Tensor | None) -> Merged:
        """The mean where signs agree, 0 elsewhere; of one part, that part."""
        first = next(parts)
        mean, tokens, signs = first.gradient, first.weight, first.gradient.sign()
        live, count = first.gradient != 0, 1
        low = high = first.gradient
        for part in parts:
            tokens = tokens + part.weight
            mean = mean + (part.gradient - mean) * (part.weight / tokens)
            signs = signs + part.gradient.sign()
            live = live | (part.gradient != 0)
            count += 1
            if self.magnitude is not None:
                low, high = low.minimum(part.gradient), high.maximum(part.gradient)
        kept = live & (signs.abs() >= chance.least_sum(count, self.tau))
        if self.magnitude is not None:
            kept = kept & (high - low < self.magnitude)
        return Merged(self._masked(mean, kept, live), self._stats(kept, live, count))

    def _masked(self, mean: Tensor, kept: Tensor, live: Tensor) -> Tensor:
        masked = mean * kept
        return rescaled(masked, kept, live, self.flat) if self.rescale else masked

    def _stats(self, kept: Tensor, live: Tensor, count: int) -> dict[str, Tensor | float]:
        share, expected = kept.sum() / live.sum().clamp(min=1), chance.sign_agreement(count, self.tau)
        return {"kept": share, "chance": expected, "over_chance": share / expected}


class SignAgreementConfig(AggregatorConfig):
    """The mean where the signs of parts agree, nothing elsewhere (AND-mask)."""

    tau: float = Field(1.0, ge=0, le=1)
    """Least mean of the parts' signs, in size: 1 asks for all of them, 0 for none."""
    magnitude: float | None = Field(None, gt=0)
    """The parts must also be less than this apart."""
    rescale: bool = True
    """Divide each tensor by the share of its coordinates that was kept."""

    def build(self, flat: Flat) -> SignAgreement:
        """The rule."""
        return SignAgreement(flat, self.tau, self.magnitude, self.rescale)
