"""StableMax: probabilities that grow with the logits in proportion, not exponentially.

    s(x) = x + 1 for x >= 0,  1 / (1 - x) below        probability of token y:  s(x_y) / sum of s
    logits (1, 0, -1):  s = (2, 1, 1/2), probabilities 4/7, 2/7, 1/7

(Prieto et al. 2025, arXiv:2501.04697.)  As log s(x) is log(1 + x) for x >= 0 and -log(1 - x) below, this is the softmax
of log s, and the loss is computed so: no quotient of s is formed that could become infinite.  The slope of log s is
1 / (1 + |x|) on both sides.  Being twice as sure takes a logit twice as large, so the loss of a right token falls
slowly and does not round to 0, where its gradient would vanish.

Double precision, as in the authors' code; the result has the precision of the logits.  A device without double
precision (mps) cannot compute it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from factorexe.optim.losses.surprise import Surprise, SurpriseConfig


class StableMax(Surprise):
    """Of StableMax probabilities."""

    def surprise(self, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        """(M,)."""
        logarithms = _log_s(logits.double())
        loss = F.cross_entropy(logarithms, targets, reduction="none", label_smoothing=smoothing)
        return loss.to(logits.dtype)


def _log_s(x: Tensor) -> Tensor:
    """log s.  Each branch is kept finite where the other holds, since a gradient of 0 times infinity is no number."""
    return torch.where(x < 0, -torch.log1p(-x.clamp(max=0)), torch.log1p(x.clamp(min=0)))


class StableMaxConfig(SurpriseConfig):
    """Cross-entropy of StableMax, whose gradient does not vanish."""

    def build(self) -> StableMax:
        """The loss."""
        return StableMax(self)
