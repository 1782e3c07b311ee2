"""Keep the length of all matrices together at or below a bound, by scaling them after each step.

    norm 5, matrices of length 10 together:  every number of them is halved

Liu et al. 2022 (arXiv:2210.01117) train at a fixed length of the weights, and find that grokking is late because
weights begin long and shorten slowly; ``exact`` fixes the length, as they do for their loss landscapes.  Gains of norms
and biases are not scaled; embeddings are matrices here.  A norm after a weight undoes its length, so that in a
transformer less depends on it than in their networks without norms.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from factorexe.optim.control import Control, ControlConfig
from factorexe.optim.flat import Flat


class WeightNormClamp(Control):
    """Scales matrices to length ``norm``; to their length at the beginning, if None."""

    bound: Tensor  # ()

    def __init__(self, flat: Flat, norm: float | None, exact: bool) -> None:
        super().__init__(flat)
        self.exact = exact
        self._matrices: list[Tensor] = [weight for weight in flat.parameters if weight.ndim >= 2]
        self.register_buffer("bound", self._length() if norm is None else flat.weights().new_tensor(norm))

    @torch.no_grad()
    def _length(self) -> Tensor:
        """() of all matrices together."""
        return torch.stack(torch._foreach_norm(self._matrices)).norm() if self._matrices else self.flat.weights().sum()

    @torch.no_grad()
    def after(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Scales."""
        if not self._matrices:
            return
        length = self._length()
        scale = torch.where(length > 0, self.bound / length, 1.0)
        torch._foreach_mul_(self._matrices, scale if self.exact else scale.clamp(max=1.0))


class WeightNormClampConfig(ControlConfig):
    """Bound the length of all matrices together."""

    norm: float | None = Field(None, gt=0)
    """Their greatest length; the length that they have at the beginning, if not given."""
    exact: bool = False
    """Keep them at that length, not only below it."""

    def build(self, flat: Flat) -> WeightNormClamp:
        """The control."""
        return WeightNormClamp(flat, self.norm, self.exact)
