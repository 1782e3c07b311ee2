"""What losses of a token have in common: how surprising the right token is, and options that tame the logits z.

    temperature T              z / T stands for z: at T = 4 logits (8, 0) are as sure as (2, 0)
    label_smoothing e          1 - e of the surprise of the right token, e of the mean surprise of all V
    spectral_decoupling l      adds l / 2 * sum of z^2 over the vocabulary: 0.01 and z = (3, 4) add 0.125

Under cross-entropy a network that has everything right goes on growing its logits.  A temperature says how large they
may be at no cost; spectral decoupling (Pezeshki et al. 2021, arXiv:2011.09468, whose loss has one logit for two
classes; here the squares of all V are added up) makes them cost something.  It is taken of the logits before they are
divided.

Smoothing (Szegedy et al. 2016, arXiv:1512.00567) and decoupling steer training and are left out in evaluation, where
every loss of a kind is then the same thing: the surprise of the right token.  The temperature stays.
"""

from __future__ import annotations

import abc

from pydantic import Field
from torch import Tensor

from factorexe.optim.loss import TokenLoss, TokenLossConfig


class SurpriseConfig(TokenLossConfig):
    """What every loss of logits takes."""

    temperature: float = Field(1.0, gt=0)
    """Logits are divided by it."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the right token's probability that is spread evenly over all tokens, in training."""
    spectral_decoupling: float = Field(0.0, ge=0)
    """Half of it is the price of the sum of a token's squared logits, in training."""


class Surprise(TokenLoss):
    """The surprise at the right token, tempered, smoothed and decoupled."""

    def __init__(self, options: SurpriseConfig) -> None:
        super().__init__()
        self.temperature = options.temperature
        self.label_smoothing, self.spectral_decoupling = options.label_smoothing, options.spectral_decoupling

    @abc.abstractmethod
    def surprise(self, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        """(M,) minus the logarithm of the probability that ``logits`` (M, V) give to ``targets`` (M,); ``smoothing`` of
        it is the mean over all V tokens."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """(M,) from logits (M, V) and right tokens (M,)."""
        tempered = logits if self.temperature == 1 else logits / self.temperature
        loss = self.surprise(tempered, targets, self.label_smoothing if self.training else 0.0)
        if self.training and self.spectral_decoupling:
            loss = loss + self.spectral_decoupling / 2 * logits.square().sum(dim=-1)
        return loss
