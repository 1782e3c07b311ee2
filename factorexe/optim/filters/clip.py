"""Shorten a gradient that is too long, before the filters that follow see it.

The gradient (3, 4) has length 5; clipped to 1 it is (0.6, 0.8).  ``trainer.gradient_clip_val`` does the same, but after
all filters: there a gradient of a bad batch is already part of a running mean (Pascanu et al. 2013, arXiv:1211.5063).
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from factorexe.optim.filter import Filter, FilterConfig
from factorexe.optim.flat import Flat


class Clip(Filter):
    """Scales the whole gradient down to ``norm`` where it is longer.  ``stats``: its length before."""

    def __init__(self, flat: Flat, norm: float) -> None:
        super().__init__(flat)
        self.norm = norm

    def forward(self, gradient: Tensor) -> Tensor:
        """(P,) the gradient, ``norm`` long at most; as ``clip_grad_norm_``, 1e-6 in the denominator included."""
        length: Tensor = gradient.norm()
        self.stats = {"norm": length}
        scale: Tensor = self.norm / (length + 1e-6)
        return gradient * scale.clamp(max=1.0)


class ClipConfig(FilterConfig):
    """Clip the gradient's length, before other filters."""

    norm: float = Field(1.0, gt=0)
    """Length that the gradient has at most."""

    def build(self, flat: Flat) -> Clip:
        """The filter."""
        return Clip(flat, self.norm)
