"""Muon for hidden matrices, AdamW for all else, as one optimizer.

Muon (Jordan 2024, kellerjordan.github.io/posts/muon) makes of a matrix's momentum M = U S V' the nearest
semi-orthogonal matrix U V', by a few Newton-Schulz iterations, so that every direction moves equally far: of diag(3, 4)
about diag(1, 1).  The iterations stop early on purpose: singular values end near 1, not at it, as torch remarks.

Embeddings, the readout, and what has one row or one column are no matrices in this sense, and go to AdamW, as their
author recommends.  ``adjust_lr_fn`` is torch's: with ``match_rms_adamw`` an update of an (A, B) matrix is scaled by
0.2 sqrt(max(A, B)), which makes it as large as AdamW's usually are (Liu et al. 2025, arXiv:2502.16982), so that both
can share one learning rate; ``original`` scales it by sqrt(max(1, A / B)), and wants a larger one.

With momentum 0 this is egalitarian gradient descent (arXiv:2510.04930), where U V' is exact, up to the scale and to
what the iterations leave.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from factorexe.optim.optimizer import OptimizerConfig, decaying
from factorexe.optim.optimizers.composite import Composite


class MuonConfig(OptimizerConfig):
    """Muon for hidden matrices, AdamW for all else."""

    lr: float = Field(2e-3, gt=0)
    """Highest learning rate of the schedule, of Muon."""
    adamw_lr_ratio: float = Field(1.0, gt=0)
    """AdamW's learning rate over Muon's, at every step."""
    weight_decay: float = Field(0.1, ge=0)
    """Decay of matrices per step, times the learning rate; the readout's too, not that of embeddings."""
    momentum: float = Field(0.95, ge=0, lt=1)
    """Muon's memory of earlier gradients."""
    nesterov: bool = True
    """Look ahead along Muon's momentum."""
    ns_steps: int = Field(5, ge=1, lt=100)
    """Newton-Schulz iterations."""
    adjust_lr_fn: Literal["match_rms_adamw", "original"] = "match_rms_adamw"
    """How Muon's step depends on a matrix's shape."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """AdamW's memory of the gradient's mean."""
    beta2: float = Field(0.99, ge=0, lt=1)
    """AdamW's memory of the gradient's square."""
    eps: float = Field(1e-8, gt=0)
    """Added to AdamW's denominator."""

    def build(self, module: nn.Module) -> torch.optim.Optimizer:
        """Both, as one; Muon's groups come first."""
        matrices = [p for group in decaying(module, 1.0) if group["weight_decay"] for p in group["params"]]
        rows = _rows(module)
        hidden = [p for p in matrices if p.ndim == 2 and min(p.shape) > 1 and id(p) not in rows]
        taken = {id(p) for p in hidden}
        others = [
            {**group, "params": [p for p in group["params"] if id(p) not in taken]}
            for group in decaying(module, self.weight_decay)
        ]
        others = [group for group in others if group["params"]]
        members = [self._muon(hidden)] if hidden else []
        return Composite([*members, self._adamw(others)] if others else members)

    def _muon(self, hidden: list[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.Muon(
            hidden,
            lr=self.lr,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            nesterov=self.nesterov,
            ns_steps=self.ns_steps,
            adjust_lr_fn=self.adjust_lr_fn,
        )

    def _adamw(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        rate = self.lr * self.adamw_lr_ratio
        return torch.optim.AdamW(groups, lr=rate, betas=(self.beta1, self.beta2), eps=self.eps, fused=True)


def _rows(module: nn.Module) -> set[int]:
    """The parameters (by ``id``) that parts of ``module`` say have one row for each token or number."""
    found = set()
    for part in module.modules():
        names = [*getattr(part, "symbol_rows", ()), *getattr(part, "numbered_rows", ())]
        owned = dict(part.named_parameters(remove_duplicate=False)) if names else {}
        found |= {id(owned[name]) for name in names if name in owned}
    return found
