"""What the loss of a token is: logits and the right token to a number.

The default is cross-entropy, in ``losses/``.  It is an option of the objective (``--objective.loss``), which applies it
to supervised tokens and averages.
"""

from __future__ import annotations

import abc
from typing import ClassVar

from torch import Tensor, nn

from factorexe.choice import Options


class TokenLoss(nn.Module, abc.ABC):
    """The loss of each token.  In evaluation mode, what is added only to steer training is left out."""

    @abc.abstractmethod
    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """(M,) from logits (M, V), in single precision at least, and right tokens (M,)."""


class TokenLossConfig(Options):
    """Options of a loss; ``build`` makes it."""

    api_version: ClassVar[int] = 1

    def build(self) -> TokenLoss:
        """The working object."""
        raise NotImplementedError
