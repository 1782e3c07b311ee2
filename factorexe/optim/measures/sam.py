"""Sharpness-aware minimization: the gradient a little way uphill, where the loss is worst nearby.

    e = rho * g / |g|                   g the mean gradient here; with w = (3, 4), g = (0.6, 0.8), rho = 0.5:
    gradient of the loss at w + e       at (3.3, 4.4)

Foret et al. 2021, arXiv:2010.01412, eq. 2 and 3.  ``asam`` measures the way in units of each weight: with T = |w|,
``e = rho * T^2 g / |T g|`` (Kwon et al. 2021, arXiv:2102.11600, eq. 5 and its element-wise operator), so that
rescaled weights see rescaled steps; a weight of 0 stays where it is.

Both passes see the same problems, draws and dropout.  Weights come back from a copy, bit for bit.  On several
processes each goes uphill for its own problems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from factorexe.choice import Choice
from factorexe.optim.flat import Flat
from factorexe.optim.measure import Measure, MeasureConfig, Part, Pending, Step

Ascent = Callable[[Tensor, Tensor], Tensor]  # gradient (P,) and weights (P,) to where to look, relative to the weights


class SAM(Measure):
    """Gradients at another point.

    Args:
        ascent: how far away.
        inner: what is asked for here, and there.
    """

    def __init__(self, ascent: Ascent, inner: Measure) -> None:
        self.ascent, self.inner = ascent, inner
        self.guides, self.gradients, self.passes = inner.guides, inner.gradients, 2 * inner.passes

    def begin(self, step: Step, batch: Any) -> Pending:
        """The losses here; those uphill are computed in the backward pass."""
        random = step.random()
        here = self.inner.begin(step, batch)

        def there() -> Pending:
            step.again(random)
            return self.inner.begin(step, batch)

        return Uphill(here, there, self.ascent, step.flat)


class Uphill(Pending):
    """Gradients uphill of those that are known."""

    def __init__(self, here: Pending, there: Callable[[], Pending], ascent: Ascent, flat: Flat) -> None:
        self.here, self.there, self.ascent, self.flat = here, there, ascent, flat
        self.losses = here.losses

    def parts(self) -> Iterator[Part]:
        """While they are made, the weights are elsewhere."""
        found = list(self.here.parts())
        weight = torch.stack([part.weight for part in found])
        mean = torch.stack([part.gradient * part.weight for part in found]).sum(dim=0) / weight.sum()
        weights = self.flat.weights()
        try:
            self.flat.put(weights + self.ascent(mean, weights))
            yield from self.there().parts()
        finally:
            self.flat.put(weights)

    def guide(self) -> Tensor | None:
        """That of the point where training stands."""
        return self.here.guide()


def straight(rho: float) -> Ascent:
    """Along the gradient, ``rho`` far."""

    def ascent(gradient: Tensor, weights: Tensor) -> Tensor:
        way: Tensor = gradient * (rho / gradient.norm().clamp_min(_SMALL))
        return way

    return ascent


def adaptive(rho: float) -> Ascent:
    """Along the gradient in units of the weights."""

    def ascent(gradient: Tensor, weights: Tensor) -> Tensor:
        scaled = weights.abs() * gradient
        way: Tensor = weights.abs() * scaled * (rho / scaled.norm().clamp_min(_SMALL))
        return way

    return ascent


_SMALL = 1e-12  # a gradient of 0 leads nowhere


class SAMConfig(MeasureConfig):
    """The gradient a little way uphill."""

    rho: float = Field(0.05, ge=0)
    """How far, as a norm of all weights together."""
    inner: Annotated[Any, Choice("measures", "plain")]
    """What is asked for here and there."""

    def build(self) -> SAM:
        """The measure."""
        return SAM(straight(self.rho), self.inner.build())

    def check(self, step: Step, batch: Any) -> None:
        """As what it contains."""
        self.inner.check(step, batch)


class ASAMConfig(SAMConfig):
    """The gradient a little way uphill, in units of each weight."""

    rho: float = Field(0.5, ge=0)
    """How far, relative to the weights."""

    def build(self) -> SAM:
        """The measure."""
        return SAM(adaptive(self.rho), self.inner.build())
