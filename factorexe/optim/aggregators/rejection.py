"""What becomes of a batch none of whose parts agree.

    skip    nothing at all: no update, no decay, and momentum stands still
    zero    a gradient of zeros: decay and the momentum of earlier steps still move the weights
    mean    the plain mean, as if nothing had been asked

After 20 gradients of 1, Adam at a learning rate of 0.01 moves a weight by 0.0091 in a step whose gradient is zero.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

Reject: TypeAlias = Literal["skip", "zero", "mean"]


def rejected(how: Reject, mean: Tensor) -> Tensor | None:
    """(P,) the gradient of a rejected batch whose plain mean is ``mean`` (P,), or None."""
    return {"skip": None, "zero": torch.zeros_like(mean), "mean": mean}[how]
