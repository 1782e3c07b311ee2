"""Cross-entropy: minus the logarithm of the softmax probability of the right token, log 2 for one half.

It is torch's own.  Where the right token's logit exceeds all others by more than single precision can add, the loss is
exactly 0 and so is its gradient; from there on nothing is learned from that token (Prieto et al. 2025,
arXiv:2501.04697, call it softmax collapse).  ``stablemax`` does not come there.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from factorexe.optim.losses.surprise import Surprise, SurpriseConfig


class CrossEntropy(Surprise):
    """Of softmax probabilities."""

    def surprise(self, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        """(M,)."""
        return F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)


class CrossEntropyConfig(SurpriseConfig):
    """Cross-entropy of the softmax."""

    def build(self) -> CrossEntropy:
        """The loss."""
        return CrossEntropy(self)
