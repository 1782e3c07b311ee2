"""Tasks small enough to count by hand, and numbers as people write them."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from factorexe.tasks.base import Examples, Task, Widths
from factorexe.tasks.digits import GLYPHS


class Successor(Task):
    """Count on: 7 -> 8, in a family of exactly ``size`` problems of one difficulty."""

    size: int = Field(40, ge=1)
    """Numbers from 0."""

    presets: ClassVar = {"default": {}, "tiny": {"task.size": 20}}

    @property
    def symbols(self):
        return ("", *(f"n{number}" for number in range(self.size + 1)))

    @property
    def train_difficulty(self):
        return (1, 1)

    def widths(self, difficulty):
        return Widths(1, 0, 1)

    def sample(self, difficulty, rng, *, chain=True):
        number = rng.integers(0, self.size, (len(difficulty), 1))
        nothing = np.zeros((len(difficulty), 0), dtype=np.int64)
        return Examples(number + 1, nothing, nothing, number + 2, np.asarray(difficulty))


class Tally(Task):
    """Write a bit string's ones in unary: 1011 -> 111.  Lengths vary, and the key is the default one."""

    longest: int = Field(8, ge=2)
    """Bits of the longest string in training."""

    presets: ClassVar = {"default": {}, "tiny": {"task.longest": 4}}

    @property
    def symbols(self):
        return ("", "0", "1", ".")

    @property
    def train_difficulty(self):
        return (2, self.longest)

    @property
    def ood_difficulty(self):
        return (self.longest + 1, self.longest + 2)

    def widths(self, difficulty):
        return Widths(difficulty, difficulty, difficulty + 1)

    def sample(self, difficulty, rng, *, chain=True):
        widest = int(np.max(difficulty, initial=1))
        column = np.arange(widest)
        prompt = np.where(column < difficulty[:, None], rng.integers(1, 3, (len(difficulty), widest)), 0)
        ones = (prompt == 2).sum(axis=1)[:, None]
        answer = np.where(np.arange(widest + 1) < ones, 2, np.where(np.arange(widest + 1) == ones, 3, 0))
        steps = np.where(np.arange(widest) < ones, 2, 0) if chain else np.zeros((len(difficulty), 0), dtype=np.int64)
        return Examples(prompt, steps, np.broadcast_to(np.arange(steps.shape[1]), steps.shape), answer, difficulty)


def in_base(number, base):
    """Python's integer, written as people do."""
    text = ""
    while number or not text:
        number, digit = divmod(number, base)
        text = GLYPHS[digit] + text
    return text
