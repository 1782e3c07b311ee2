"""The cosine of two gradients, by which rules tell whether they agree: 1 alike, 0 unrelated, -1 opposed.

A gradient of zeros agrees with nothing: its cosine with any other is -1 by definition, so that a part without a
gradient is kept by no rule but the one that keeps everything (a distance of at most 2).
"""

from __future__ import annotations

import torch
from torch import Tensor


def cosine(first: Tensor, second: Tensor) -> Tensor:
    """() the cosine of two vectors (P,); -1 if one of them is zero."""
    return scaled(torch.dot(first, second), first.norm(), second.norm())


def cosines(inner: Tensor) -> Tensor:
    """(K, K) the cosines of vectors with inner products (K, K); -1 beside one that is zero."""
    norms = inner.diagonal().clamp(min=0).sqrt()
    return scaled(inner, norms[:, None], norms[None, :])


def scaled(inner: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Cosines of inner products and norms, which broadcast; -1 where a norm is 0."""
    found = (inner / first / second).clamp(-1, 1)
    return torch.where((first == 0) | (second == 0), -1.0, found)
