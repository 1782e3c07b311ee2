"""Seeds for what is drawn by lot, one for each batch.

A seed depends on the purpose, on a number, and on how many were given out before, and on nothing else: a resumed run
goes on as it would have, several processes of one run draw the same, and nobody else's draws are disturbed.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn


class Lot(nn.Module):
    """Gives out seeds.

    Args:
        purpose: what is drawn; another purpose draws otherwise.
        seed: which lots are drawn.
    """

    step: Tensor  # () seeds given out

    def __init__(self, purpose: str, seed: int) -> None:
        super().__init__()
        self.purpose, self.seed = purpose, seed
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def forward(self) -> int:
        """The next seed."""
        words = f"{self.purpose} {self.seed} {int(self.step)}".encode()
        self.step += 1
        return int.from_bytes(hashlib.blake2b(words, digest_size=8).digest(), "big") >> 1
