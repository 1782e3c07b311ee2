"""Take out of the gradient what would only make the weights longer or shorter.

Once everything is memorised, a network with cross-entropy still lowers its loss by scaling its logits up, which is
roughly a step along the weights (Prieto et al. 2025, arXiv:2501.04697, who call it naive loss minimization).  Of each
tensor's gradient g only what is orthogonal to its weights w is kept, at the length that g had::

    g' = g - (w.g / w.w) w,  times |g| / |g'|             w = (1, 0), g = (3, 4):  g' = (0, 4), used (0, 5)

Tensors of one dimension (gains of norms, biases) are left alone unless asked for.  What is left of a gradient that lies
along the weights is rounding alone, which must not be blown up to its length; a tensor of one number has no other
gradient, and is not moved at all.  Where the weights are 0 nothing is along them.

The argument assumes that a longer weight means larger logits, which a norm after the weight undoes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from factorexe.optim.filter import Filter, FilterConfig
from factorexe.optim.flat import Flat

# Projections whose remainder is not longer than so many roundings of the gradient hold nothing but rounding.
_ROUNDINGS = 4


class Orthograd(Filter):
    """Projects the gradient of each tensor of at least ``dimensions`` dimensions.

    ``stats``: the share of their gradients' length that lay along the weights.
    """

    def __init__(self, flat: Flat, dimensions: int) -> None:
        super().__init__(flat)
        self._projected = [index for index, weight in enumerate(flat.parameters) if weight.ndim >= dimensions]

    def forward(self, gradient: Tensor) -> Tensor:
        """(P,) what is orthogonal to the weights, tensor by tensor."""
        if not self._projected:
            return gradient
        pieces = [piece.flatten() for piece in self.flat.pieces(gradient)]
        lengths, along = [], []
        for index in self._projected:
            pieces[index], length, radial = _projected(pieces[index], self.flat.parameters[index].detach().flatten())
            lengths.append(length)
            along.append(radial)
        whole = torch.stack(lengths).norm()
        self.stats = {"along": torch.stack(along).norm() / whole.clamp_min(torch.finfo(whole.dtype).tiny)}
        return torch.cat(pieces)


def _projected(gradient: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(n,) of ``gradient`` (n,) what is orthogonal to ``weight`` (n,), as long as it was; that length (), and how long
    what lay along the weights is ()."""
    numbers = torch.finfo(gradient.dtype)
    square = weight.dot(weight)
    share = torch.where(square > 0, weight.dot(gradient) / square.clamp_min(numbers.tiny), 0.0)
    left = gradient - share * weight
    length, remains = gradient.norm(), left.norm()
    scale = torch.where(remains > _ROUNDINGS * numbers.eps * length, length / remains.clamp_min(numbers.tiny), 0.0)
    return left * scale, length, share.abs() * square.sqrt()


class OrthogradConfig(FilterConfig):
    """Keep what of the gradient is orthogonal to the weights."""

    vectors: bool = False
    """Also of tensors of one dimension, such as the gains of norms."""

    def build(self, flat: Flat) -> Orthograd:
        """The filter."""
        return Orthograd(flat, 1 if self.vectors else 2)
