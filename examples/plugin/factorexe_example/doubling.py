"""Double a number by hand.

From the right, double each digit and add the carry that came in; the chain lists the digit that is written
and the carry that goes on.  The answer is what was written, with the last carry, least significant first::

    274    chain 80 41 50    4+4 = 8, 7+7 = 14, 2+2+1 = 5    answer 8450    (0548 reversed)
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from factorexe.tasks.base import Examples, IntArray, Task, Widths


class Doubling(Task):
    """Double a number; the chain holds every written digit and its carry."""

    digits: int = Field(4, ge=1, le=16)
    """Digits of the number in training; one more is out of distribution."""

    presets: ClassVar = {
        "default": {"objective": "chain", "trainer.max_steps": 1000},
        "tiny": {"task.digits": 3, "trainer.max_steps": 300},
    }

    @property
    def symbols(self) -> tuple[str, ...]:
        """The ten digits: digit d is token d + 1."""
        return ("", *"0123456789")

    @property
    def train_difficulty(self) -> tuple[int, int]:
        """Digits of the number."""
        return (self.digits, self.digits)

    @property
    def ood_difficulty(self) -> tuple[int, int]:
        """One digit more."""
        return (self.digits + 1, self.digits + 1)

    def widths(self, difficulty: int) -> Widths:
        """Fixed by the number of digits."""
        return Widths(difficulty, 2 * difficulty, difficulty + 1)

    def sample(self, difficulty: IntArray, rng: np.random.Generator, *, chain: bool = True) -> Examples:
        """Numbers of exactly ``difficulty`` digits."""
        number = rng.integers(10 ** (difficulty - 1), 10**difficulty)[:, None]  # (N, 1)
        digits, place = difficulty[:, None], np.arange(difficulty.max(initial=1) + 1)
        column = np.repeat(place[:-1], 2 if chain else 0)  # of each chain token
        carry = 2 * (number % 10 ** (column + 1)) // 10 ** (column + 1)
        written = 2 * number // 10**column % 10
        return Examples(
            prompt=_tokens(number // 10 ** np.maximum(digits - 1 - place[:-1], 0) % 10, place[:-1] < digits),
            chain=_tokens(np.where(np.arange(len(column)) % 2, carry, written), column < digits),
            chain_step=np.broadcast_to(column, (len(number), len(column))),
            answer=_tokens(2 * number // 10**place % 10, place <= digits),
            difficulty=difficulty,
        )


def _tokens(digit: IntArray, inside: IntArray) -> IntArray:
    return np.where(inside, digit + 1, 0)
