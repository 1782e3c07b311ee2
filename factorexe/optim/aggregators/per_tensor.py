"""What is said of each tensor of a gradient: one number for each, from a vector and back to one.

With a weight of 4 numbers and a bias of 2::

    sums([1, 1, 0, 0, 1, 1])     [2, 2]
    spread([2, 3])               [2, 2, 2, 2, 3, 3]
"""

from __future__ import annotations

import torch
from torch import Tensor

from factorexe.optim.flat import Flat


def sums(vector: Tensor, flat: Flat) -> Tensor:
    """(N,) the sum of a vector (P,) over each of the N tensors."""
    return torch.stack([piece.sum() for piece in vector.split_with_sizes(flat.sizes)])


def spread(numbers: Tensor, flat: Flat) -> Tensor:
    """(P,) the number of each tensor (N,), at each of its coordinates."""
    sizes = torch.tensor(flat.sizes, device=numbers.device)
    return numbers.repeat_interleave(sizes, output_size=flat.size)


def rescaled(gradient: Tensor, kept: Tensor, live: Tensor, flat: Flat) -> Tensor:
    """(P,) each tensor of a masked gradient, divided by the share of its coordinates that were kept.

    Args:
        gradient: (P,) 0 where nothing was kept.
        kept: (P,) which coordinates were kept.
        live: (P,) which had a gradient at all; no others are counted.
        flat: where each tensor stands.
    """
    had, left = sums(live.float(), flat), sums(kept.float(), flat)
    return gradient * spread(had / left.clamp(min=1), flat)
