"""The mean over all tokens: what plain training does, however the batch was split.

Where gradients come tensor by tensor (``Coordinatewise``) it is one product for each.  Others are added up in place,
part by part: a vector of each would be a copy more, which took longer than the sum.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from factorexe.optim.aggregate import AggregatorConfig, Coordinatewise, Merged
from factorexe.optim.flat import Flat, owned
from factorexe.optim.measure import OneOf, Part


class Mean(Coordinatewise):
    """Adds parts up as they come, each by the tokens it speaks for."""

    def merge(self, rows: Tensor, shares: Tensor) -> Tensor:
        """The mean of one tensor."""
        return (shares.to(rows.dtype) @ rows.flatten(1)).view(rows.shape[1:])

    def forward(self, parts: Iterator[Part], guide: Tensor | None) -> Merged:
        """The mean; of one part, that part."""
        first = next(parts)
        if isinstance(first, OneOf):
            return super().forward(itertools.chain([first], parts), guide)
        second = next(parts, None)
        if second is None:
            return Merged(first.pieces(self.flat))
        weight = first.weight + second.weight
        total = [None if piece is None else piece * first.weight for piece in first.pieces(self.flat)]
        _add(total, second.pieces(self.flat), second.weight)
        for part in parts:
            weight = weight + part.weight
            _add(total, part.pieces(self.flat), part.weight)
        torch._foreach_div_([piece for piece in total if piece is not None], weight)
        return Merged(owned(total))


def _add(total: list[Tensor | None], pieces: Sequence[Tensor | None], weight: Tensor) -> None:
    """Adds ``weight`` times each piece to its sum, where there is one."""
    for place, (whole, piece) in enumerate(zip(total, pieces, strict=True)):
        if whole is None and piece is not None:
            total[place] = torch.zeros_like(piece)
    pairs = [(each, piece) for each, piece in zip(total, pieces, strict=True) if each is not None and piece is not None]
    torch._foreach_addcmul_([each for each, _ in pairs], [piece for _, piece in pairs], [weight] * len(pairs))


class MeanConfig(AggregatorConfig):
    """The mean over all tokens."""

    def build(self, flat: Flat) -> Mean:
        """The rule."""
        return Mean(flat)
