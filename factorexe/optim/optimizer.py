"""What an optimizer is here: options, and the algorithm of torch that they set.

Weight decay applies to matrices alone, not to norms, embeddings and other vectors (Loshchilov & Hutter 2019,
arXiv:1711.05101, decoupled as in eq. 12 of that paper).
"""

from __future__ import annotations

from typing import Any, ClassVar

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


def decaying(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups: matrices that decay, and all else, which does not; embeddings are no matrices here."""
    kept = {id(weight) for part in module.modules() if isinstance(part, nn.Embedding) for weight in [part.weight]}
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    decays = [p for p in trained if p.ndim >= 2 and id(p) not in kept]
    stays = [p for p in trained if p.ndim < 2 or id(p) in kept]
    groups = [{"params": decays, "weight_decay": weight_decay}, {"params": stays, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
