"""Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from factorexe.optim.optimizer import OptimizerConfig, decaying


class AdamWConfig(OptimizerConfig):
    """Adam with decoupled weight decay."""

    lr: float = Field(2e-3, gt=0)
    """Highest learning rate of the schedule."""
    weight_decay: float = Field(0.1, ge=0)
    """Decay of matrices per step, times the learning rate."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """Memory of the gradient's mean."""
    beta2: float = Field(0.99, ge=0, lt=1)
    """Memory of the gradient's square."""
    eps: float = Field(1e-8, gt=0)
    """Added to the denominator."""

    def build(self, module: nn.Module) -> torch.optim.Optimizer:
        """AdamW in two groups: matrices decay, all else does not."""
        groups = decaying(module, self.weight_decay)
        return torch.optim.AdamW(groups, lr=self.lr, betas=(self.beta1, self.beta2), eps=self.eps, fused=True)
