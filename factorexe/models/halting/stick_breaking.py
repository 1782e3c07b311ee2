"""Stick-breaking: every step takes a part of the weight that the steps before have left (Tan et al. 2023,
arXiv:2310.07096).

With a[n] the probability of halting after step n if it is reached, the weight of state n is
``a[n] (1 - a[1]) ... (1 - a[n-1])``, and what is left at the end goes to the last state.  The output is one state, the
mean.  The gate begins at a = 1/2, so over three steps::

    left before   1       1/2     1/4
    weight        1/2     1/4     1/4       expected steps 1/2 * 1 + 1/4 * 2 + 1/4 * 3 = 1.75

The penalty is ``cost`` times the expected steps, which are the sum of what is left before each: 1 + 1/2 + 1/4.

In training every token makes every step.  In evaluation one halts as soon as less than ``1 - threshold`` is left, and
its last state is given that too.  Other tokens of the paper's model attend to the output so far plus what is left times
the present state: that is ``others_see: soft``; the default here is what all policies share, ``frozen``.

The gate is that of the published code (github.com/shawntan/SUT, read, not run): a hidden layer with GELU, two logits
whose weights begin at zero, their log-softmax.  Its dropout is left out, and it counts expected steps from 0, which
changes the penalty by a constant.  Its mixtures of experts have nothing to do with halting and are not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from factorexe.models.halting.base import AdaptiveConfig, Decision, Halting, Look
from factorexe.models.halting.gate import exact


class StickBreakingConfig(AdaptiveConfig):
    """Every step takes a part of the weight that is left; the output is the mean state."""

    paper: ClassVar[str] = "Tan et al. 2023, arXiv:2310.07096"
    approximate_when_halting: ClassVar[bool] = True

    cost: float = Field(0.01, ge=0)
    """Price of an expected step in the loss."""
    threshold: float = Field(0.999, gt=0, le=1)
    """In evaluation a token halts when its states have more than this weight."""

    def build(self, width: int, steps: int) -> StickBreaking:
        """The policy."""
        return StickBreaking(self, width)

    def dials(self) -> Mapping[str, Sequence[Any]]:
        """The weight that is enough; the rest goes to the last state."""
        return {"threshold": (0.3, 0.5, 0.7, 0.9, 0.99, 0.999)}


class StickBreaking(Halting):
    """Breaks a stick of length one."""

    def __init__(self, config: StickBreakingConfig, width: int) -> None:
        super().__init__()
        self.config = config
        self.hidden = nn.Linear(width, width)
        self.gate = nn.Linear(width, 2, bias=False)
        nn.init.zeros_(self.gate.weight)

    def begin(self, like: Tensor, drawn: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``log_left`` (...): logarithm of the weight that no state has."""
        return {"log_left": torch.zeros_like(like, dtype=exact(like))}

    def decide(self, look: Look) -> Decision:
        """Tokens halt early in evaluation alone."""
        log_left = look.kept["log_left"]
        log_go, log_halt = self._chances(look.state)
        after = log_left + log_go
        halted = look.limit <= look.step
        if not self.training:
            halted = halted | (after.exp() < 1 - self.config.threshold)
        left = log_left.exp()
        return Decision(
            share=torch.where(halted, left, (log_left + log_halt).exp()),
            halted=halted,
            kept={"log_left": after},
            price=self.config.cost * left,
        )

    def _chances(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithms (...) of going on and of halting, in single precision at least, under autocast too."""
        with torch.autocast(state.device.type, enabled=False):
            logits: Tensor = self.gate(F.gelu(self.hidden(state.to(self.gate.weight.dtype))))
        log_go, log_halt = logits.to(exact(logits)).log_softmax(dim=-1).unbind(dim=-1)
        return log_go, log_halt
