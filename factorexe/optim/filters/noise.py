"""Add Gaussian noise to the gradient, in proportion to its size.

With scale 0.5 a gradient whose numbers are 0.02 in root mean square is given noise of standard deviation 0.01; the
squared length grows by a quarter.  Neelakantan et al. 2015 (arXiv:1511.06807) add noise of a variance that is set
beforehand and falls with the step.  Relative noise needs no such schedule: it falls with the gradient, means the same
for every width and loss, and shows how a method does that is only noisier; it is meant as a control.

What is added is a function of ``seed`` and of the number of the step, so it is the same after a resume.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from factorexe.optim.filter import Filter, FilterConfig
from factorexe.optim.flat import Flat

_PURPOSE = 0x6E6F697365  # "noise": other generators begin at small seeds too, and would draw the same


class Noise(Filter):
    """Adds independent noise to each number."""

    made: Tensor  # () steps so far

    def __init__(self, flat: Flat, scale: float, seed: int) -> None:
        super().__init__(flat)
        self.scale, self.seed = scale, seed
        self.register_buffer("made", torch.zeros((), dtype=torch.long))

    def forward(self, gradient: Tensor) -> Tensor:
        """(P,) the gradient with noise."""
        number = (self.seed * 1_000_003 + int(self.made)) % 2**63 ^ _PURPOSE
        self.made += 1
        drawn = torch.Generator(gradient.device).manual_seed(number)
        noise = torch.randn(gradient.shape, generator=drawn, dtype=gradient.dtype, device=gradient.device)
        return gradient + self.scale * gradient.square().mean().sqrt() * noise


class NoiseConfig(FilterConfig):
    """Add Gaussian noise to the gradient."""

    scale: float = Field(0.1, ge=0)
    """Standard deviation of the noise, over the root mean square of the gradient; 0 changes nothing."""
    seed: int = Field(0, ge=0)
    """Decides, with the number of the step, what is added."""

    def build(self, flat: Flat) -> Noise:
        """The filter."""
        return Noise(flat, self.scale, self.seed)
