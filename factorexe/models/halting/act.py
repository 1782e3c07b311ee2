"""Adaptive computation time: halting probabilities are added up until they make one (Graves 2016, arXiv:1603.08983).

After step n a token has the halting probability h[n] = sigmoid(w z[n] + b).  It halts at step N, the first with
``h[1] + ... + h[N] >= 1 - epsilon``, or at its limit; the remainder R = 1 - h[1] - ... - h[N-1] is the weight of its
last state.  So the weights sum to one, and the output is one state, their mean (section 2)::

    h       0.3     0.5     0.4         0.3 + 0.5 + 0.4 >= 0.99, so N = 3
    weight  0.3     0.5     R = 0.2     output 0.3 z[1] + 0.5 z[2] + 0.2 z[3], penalty cost * 3.2

The penalty is ``cost * (N + R)``, Graves' ponder cost (section 2.1).  N is constant wherever it has a gradient, so the
gradient comes through R alone: -1 for every h before the last step and 0 for the last, so raising h[1] is rewarded.

Training halts as testing does: the state of a halted token is final in both.  Unlike Tensor2Tensor's ``basic`` variant,
whose weights need not sum to one, and unlike its bias of 1, the bias begins negative.  The weights w begin at zero, and
while they are a token makes 2 steps with a bias of 1 or 0, 4 with -1, 9 with -2 and 21 with -3, or its limit.  What
begins shallow can stay so; with -3 it did not in the experiments of Sapunov 2026 (arXiv:2604.21999, abstract).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from factorexe.models.halting.base import AdaptiveConfig, Decision, Halting, Look
from factorexe.models.halting.gate import Gate, exact


class ACTConfig(AdaptiveConfig):
    """Halting probabilities are added up until they make one; the output is the mean state."""

    paper: ClassVar[str] = "Graves 2016, arXiv:1603.08983"

    cost: float = Field(0.01, ge=0)
    """Price of a step in the loss."""
    epsilon: float = Field(0.01, gt=0, lt=1)
    """A token halts when this much of its weight is left, or less; more makes it halt earlier."""
    bias: float = -3.0
    """Logit of halting at the beginning of training; the lower, the more steps training begins with."""

    def build(self, width: int, steps: int) -> ACT:
        """The policy."""
        return ACT(self, width)

    def dials(self) -> Mapping[str, Sequence[Any]]:
        """How much weight may be left; it goes to the last state, so that weights sum to one at any value."""
        return {"epsilon": (0.9, 0.8, 0.6, 0.4, 0.2, 0.1, 0.01)}


class ACT(Halting):
    """Adds up probabilities."""

    training_halts: ClassVar[bool] = True

    def __init__(self, config: ACTConfig, width: int) -> None:
        super().__init__()
        self.config = config
        self.gate = Gate(width, config.bias)

    def begin(self, like: Tensor, drawn: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``given`` (...): the weight that the states so far have."""
        return {"given": torch.zeros_like(like, dtype=exact(like))}

    def decide(self, look: Look) -> Decision:
        """Share and price have gradients; whether a token halts has none."""
        probability = self.gate(look.state).sigmoid()
        given = look.kept["given"]
        total = given + probability
        halted = (total >= 1 - self.config.epsilon) | (look.limit <= look.step)
        remainder = torch.where(halted, 1 - given, 0)
        return Decision(
            share=torch.where(halted, remainder, probability),
            halted=halted,
            kept={"given": total},
            price=self.config.cost * (1 + remainder),
        )
