"""Stochastic gradient descent, with momentum v of coefficient m (torch's form, Sutskever et al. 2013)::

    v <- m * v + (1 - dampening) * g,  v = g at first          w <- w - lr * v

Gradients 1, 1, 1 and m = 0.5 make steps of 1, 1.5, 1.75 times the learning rate.  Decay is added to the gradient of
matrices, which for plain descent is the same as decoupled decay.
"""

from __future__ import annotations

import torch
from pydantic import Field, model_validator
from torch import nn

from factorexe.optim.optimizer import OptimizerConfig, decaying


class SGDConfig(OptimizerConfig):
    """Stochastic gradient descent, with or without momentum."""

    lr: float = Field(0.1, gt=0)
    """Highest learning rate of the schedule."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Memory of earlier gradients."""
    dampening: float = Field(0.0, ge=0, le=1)
    """What is taken off each new gradient as it enters the momentum."""
    nesterov: bool = False
    """Look ahead along the momentum."""
    weight_decay: float = Field(0.0, ge=0)
    """Decay of matrices, added to their gradient."""

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> SGDConfig:
        if self.nesterov and (not self.momentum or self.dampening):
            raise ValueError(
                "nesterov needs momentum above 0 and dampening 0"
                f" (got momentum {self.momentum:g}, dampening {self.dampening:g})"
            )
        return self

    def build(self, module: nn.Module) -> torch.optim.Optimizer:
        """SGD in two groups: matrices decay, all else does not."""
        return torch.optim.SGD(
            decaying(module, self.weight_decay),
            lr=self.lr,
            momentum=self.momentum,
            dampening=self.dampening,
            nesterov=self.nesterov,
            fused=True,
        )
