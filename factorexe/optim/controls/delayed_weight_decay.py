"""No weight decay until the training problems are solved, or until a step; then as configured.

    --optim.optimizer.weight_decay 1 --optim.controls delayed-weight-decay        0, 0, ..., seen at 0.99: 1, 1, ...

First memorise, then compress.  A fork of Grokfast's code (vuciv/grokfast), which switches a penalty on the squared
weights on once training accuracy is 0.99, reports fewer steps to generalize than Grokfast for two of three operations
and as many for the third; that is a repository's account of runs, and its penalty is not decoupled decay.

Only ``seen``, problems that are trained on, decides.  The optimizer's groups are changed, and lie in a checkpoint as
they are at that moment; what was configured is therefore kept in the groups themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from factorexe.optim.control import Control, ControlConfig
from factorexe.optim.flat import Flat

_CONFIGURED = "configured_weight_decay"


class DelayedWeightDecay(Control):
    """Decay begins after ``begin`` updates; if None, after an evaluation that finds ``solved`` of seen solved."""

    learnt: Tensor  # () whether such an evaluation has been

    def __init__(self, flat: Flat, begin: int | None, solved: float) -> None:
        super().__init__(flat)
        self.begin, self.solved = begin, solved
        self.register_buffer("learnt", torch.zeros((), dtype=torch.bool))

    def before(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Decay for the next update."""
        decays = bool(self.learnt) if self.begin is None else step >= self.begin
        for group in optimizer.param_groups:
            if "weight_decay" in group:
                configured = group.setdefault(_CONFIGURED, group["weight_decay"])
                group["weight_decay"] = configured if decays else 0.0

    def learned(self, step: int, scores: Mapping[str, Any]) -> None:
        """Looks at ``seen``."""
        if "seen" in scores and scores["seen"].solved >= self.solved:
            self.learnt.fill_(True)


class DelayedWeightDecayConfig(ControlConfig):
    """No weight decay until seen is solved, or until a step."""

    step: int | None = Field(None, ge=0)
    """Updates without decay; until seen is solved, if not given."""
    solved: float = Field(0.99, ge=0, le=1)
    """Share of seen whose solution begins decay, at an evaluation."""

    def build(self, flat: Flat) -> DelayedWeightDecay:
        """The control."""
        return DelayedWeightDecay(flat, self.step, self.solved)
