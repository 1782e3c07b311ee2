"""Optimizers by name: options here, the algorithm is torch's.

Weight decay applies to matrices alone, not to norms and embeddings (Loshchilov & Hutter 2019,
arXiv:1711.05101, decoupled as in eq. 12 of that paper).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from factorexe.choice import Options


class OptimizerConfig(Options):
    """Options of an optimizer; ``build`` makes it for a module."""

    api_version: ClassVar[int] = 1

    lr: float = Field(1e-3, gt=0)
    """Highest learning rate of the schedule."""

    def build(self, module: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of every trainable parameter of ``module``."""
        raise NotImplementedError


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
        kept = {id(weight) for part in module.modules() if isinstance(part, nn.Embedding) for weight in [part.weight]}
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        decays = [p for p in trained if p.ndim >= 2 and id(p) not in kept]
        stays = [p for p in trained if p.ndim < 2 or id(p) in kept]
        groups = [
            {"params": decays, "weight_decay": self.weight_decay},
            {"params": stays, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=self.lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            fused=True,
        )
