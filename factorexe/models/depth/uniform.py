"""Train at a depth drawn anew for every batch, each between two bounds as likely as any other.

With ``least`` 2 and ``most`` 5 a batch makes 2, 3, 4 or 5 steps, 3.5 on average, with gradients through all of them::

    [Pass(steps=4, quiet=0, weight=1.0)]
"""

from __future__ import annotations

import torch
from pydantic import Field, model_validator

from factorexe.models.depth.base import DepthConfig, Pass


class UniformDepthConfig(DepthConfig):
    """A depth drawn for every batch, uniformly."""

    least: int = Field(1, ge=1)
    """Fewest steps."""
    most: int | None = Field(None, ge=1)
    """Most steps; as many as at test time, and `least` at least, if not given."""

    @model_validator(mode="after")
    def _bounds_are_a_range(self) -> UniformDepthConfig:
        if self.most is not None and self.most < self.least:
            raise ValueError(f"least ({self.least}) must not be above most ({self.most})")
        return self

    def passes(self, steps: int, generator: torch.Generator | None) -> tuple[Pass, ...]:
        """One."""
        drawn = int(torch.randint(self.least, self.deepest(steps) + 1, (), generator=generator))
        return (Pass(drawn, 0, 1.0),)

    def deepest(self, steps: int) -> int:
        """The upper bound."""
        return max(steps, self.least) if self.most is None else self.most
