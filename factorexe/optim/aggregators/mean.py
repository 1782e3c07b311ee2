"""The mean over all tokens: what plain training does, however the batch was split.

Where the gradients are all there already that is one product for each tensor.  Others are added up tensor by tensor, in
place: a vector of each would be a copy more, which took longer than the sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from factorexe.optim.aggregate import Aggregator, AggregatorConfig, Merged, mean_of
from factorexe.optim.flat import Flat, owned
from factorexe.optim.measure import OneOf, Part, together


class Mean(Aggregator):
    """Adds parts up as they come, each by the tokens it speaks for."""

    def forward(self, parts: Iterator[Part], guide: Tensor | None) -> Merged:
        """The mean; of one part, that part."""
        first = next(parts)
        if isinstance(first, OneOf):
            every = [first, *parts]
            if (whole := together(every)) is not None:
                weights = torch.stack([part.weight for part in every])
                return Merged([None if each is None else _product(each, weights) for each in whole])
            parts = iter(every[1:])
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


def _product(of_all: Tensor, weights: Tensor) -> Tensor:
    """The mean of one tensor's gradients (K, *shape)."""
    return mean_of(of_all.flatten(1), weights).view(of_all.shape[1:])


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
