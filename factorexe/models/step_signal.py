"""What tells a step of a loop which one it is, added to every position.

``learned`` is a vector for each step, ``sinusoidal`` Vaswani's sines and cosines of the step's number, which go on
beyond training, and ``remaining`` one vector times the number of steps that are left (Mohtashami et al. 2023,
arXiv:2310.10845): with 3 steps 2 v, 1 v, 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_STD = 0.02  # as large as the token embedding


class StepSignal(nn.Module):
    """One of ``none``, ``learned``, ``sinusoidal``, ``remaining``.

    Args:
        steps: that a learned embedding knows.
    """

    def __init__(self, kind: str, width: int, steps: int) -> None:
        super().__init__()
        self.kind = kind
        rows = {"learned": steps, "remaining": 1}.get(kind, 0)
        self.step = nn.Embedding(rows, width) if rows else None
        if self.step is not None:
            nn.init.normal_(self.step.weight, std=_STD)

    def forward(self, step: int, limit: int | Tensor, like: Tensor) -> Tensor | None:
        """What is added to tokens (..., D) in step ``step``, counted from 0, of ``limit`` (...): (D,) or (..., D)."""
        if self.step is None:
            return _sinusoid(step + 1, like) if self.kind == "sinusoidal" else None
        if self.kind == "learned":
            return self.step.weight[step]
        left = limit - 1 - step
        weight = self.step.weight[0]
        return left.clamp_min(0).unsqueeze(-1) * weight if isinstance(left, Tensor) else left * weight


def _sinusoid(step: int, like: Tensor) -> Tensor:
    """The step's sines and cosines (D,), with wavelengths from 2 pi to 20,000 pi (Vaswani et al. 2017, section 3.5),
    as large as an embedding."""
    half = like.shape[-1] // 2
    rates = torch.exp(torch.arange(half, device=like.device) * (-math.log(10_000.0) / max(1, half)))
    waves = torch.cat([(step * rates).sin(), (step * rates).cos()])
    return (math.sqrt(2) * _STD * nn.functional.pad(waves, (0, like.shape[-1] - len(waves)))).to(like.dtype)
