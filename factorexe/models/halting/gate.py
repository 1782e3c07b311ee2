"""The gate: one linear map from a token's state to the logit of halting, the same at every step.

Its weights begin at zero, so at first the bias alone speaks: with a bias of -3 every step of every token has the
probability ``sigmoid(-3) = 0.047``.  The first update moves the weights, since their gradient is that of the logit
times the state.  Logits are in single precision at least, under autocast too: policies add up many small numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Gate(nn.Module):
    """Logits (...) of states (..., D)."""

    def __init__(self, width: int, bias: float) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.constant_(self.linear.bias, bias)

    def forward(self, state: Tensor) -> Tensor:
        """The logit of halting (...) after each state (..., D)."""
        with torch.autocast(state.device.type, enabled=False):
            logit: Tensor = self.linear(state.to(self.linear.weight.dtype)).squeeze(-1)
        return logit.to(exact(logit))


def exact(tensor: Tensor) -> torch.dtype:
    """The tensor's precision, single at least."""
    return torch.promote_types(tensor.dtype, torch.float32)
