"""Train at a depth drawn from a Poisson distribution with a log-normal rate: mostly near the mean, at times far deeper.

    rate ~ LogNormal(log(mean) - sigma^2 / 2, sigma)        steps = Poisson(rate) + 1

The rate's mean is ``mean``, so that of the steps is ``mean + 1``, and their variance, by the law of total variance,
``mean + mean^2 (exp(sigma^2) - 1)``.  With ``mean`` 8 and ``sigma`` 0.5: 9 steps on average, with a standard deviation
of 5.1; as ``sigma`` goes to 0 the rest is Poisson, with one of 2.8.

The "log-normal Poisson distribution" of Geiping et al. 2025 (arXiv:2502.05171, figure 3), with ``mean`` 32 and
``sigma`` 0.5.  The formula is that of their published code (``poisson-lognormal-filling``); the paper's own text was
not at hand.  One draw serves a whole batch, as there.  There gradients pass through the last 8 steps alone, which here
is for the model's ``backprop`` to say.  The cap ``most`` is ours, against batches that take far longer than all others.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field

from factorexe.models.depth.base import DepthConfig, Pass

_TAIL = 4  # times the mean; with mean 8 and sigma 0.5, one draw in 400 is deeper (counted over a million)


class PoissonLognormalDepthConfig(DepthConfig):
    """A depth drawn for every batch, Poisson with a log-normal rate."""

    paper: ClassVar[str] = "Geiping et al. 2025, arXiv:2502.05171"

    mean: float | None = Field(None, gt=0)
    """Mean of the Poisson rate, one less than that of the steps; the steps of test time if not given."""
    sigma: float = Field(0.5, gt=0)
    """Standard deviation of the rate's logarithm."""
    most: int | None = Field(None, ge=1)
    """Most steps, where deeper draws end; four times the mean if not given."""

    def passes(self, steps: int, generator: torch.Generator | None) -> tuple[Pass, ...]:
        """One."""
        mean = float(steps) if self.mean is None else self.mean
        normal = torch.randn((), dtype=torch.float64, generator=generator)
        rate = torch.exp(math.log(mean) - self.sigma**2 / 2 + self.sigma * normal)
        drawn = int(torch.poisson(rate, generator=generator)) + 1
        return (Pass(min(drawn, self.deepest(steps)), 0, 1.0),)

    def deepest(self, steps: int) -> int:
        """The cap."""
        mean = float(steps) if self.mean is None else self.mean
        return math.ceil(_TAIL * mean) if self.most is None else self.most
