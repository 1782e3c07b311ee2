"""Count what was solved, per difficulty, with intervals.

The rate of one difficulty has a Wilson interval (Wilson 1927): for 8 of 10 solved it is 0.490 to 0.943.  The
headline is the mean over difficulties; its interval recovers the variances of the single ones (MOVER, Zou &
Donner 2008, eq. 3)::

    lower = mean - sqrt(sum((rate - lower_d)^2)) / D        upper likewise
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric

Z = 1.959963984540054  # 95 %
_QUALITY = "quality of "


class Score(NamedTuple):
    """What one evaluation says about one split."""

    solved: float  # mean over difficulties
    interval: tuple[float, float]  # 95 %
    n: int  # problems
    loss: float  # per supervised token
    token_accuracy: float  # of supervised tokens, right ones before them
    compute: float  # block applications per problem, decoding included
    by_difficulty: dict[int, Rate]
    qualities: dict[str, float]  # mean over the problems of which the task can say it


class Rate(NamedTuple):
    """Solved problems of one difficulty."""

    rate: float
    interval: tuple[float, float]
    n: int


class SplitScore(Metric):
    """Accumulates one split over batches; ``compute`` gives a ``Score``."""

    full_state_update = False
    counts: Tensor
    sums: Tensor

    def __init__(self, difficulties: range) -> None:
        super().__init__()
        self.first, width = difficulties.start, len(difficulties)
        self.add_state("counts", torch.zeros(2, width, dtype=torch.long), dist_reduce_fx="sum")  # solved, all
        self.add_state("sums", torch.zeros(4, dtype=torch.float64), dist_reduce_fx="sum")

    def first_of_each(self, difficulty: npt.NDArray[np.int64], most: int) -> Tensor:
        """Rows of a batch that are among the first ``most`` of their difficulty, counting what was added before."""
        before = self.counts[1].tolist()
        rows = [
            np.flatnonzero(difficulty == level)[: max(0, most - before[level - self.first])]
            for level in np.unique(difficulty)
        ]
        return torch.from_numpy(np.concatenate(rows))

    def update(self, solved: Tensor, difficulty: Tensor, sums: Tensor) -> None:
        """Add a batch: ``solved`` and ``difficulty`` (B,); ``sums`` (4,) of loss, supervised tokens, right
        tokens, compute."""
        place = (difficulty - self.first).to(self.counts.device)
        width = self.counts.shape[1]
        self.counts[0] += torch.bincount(place[solved.to(place.device)], minlength=width)
        self.counts[1] += torch.bincount(place, minlength=width)
        self.sums += sums.cpu().to(self.sums)

    def add_qualities(self, qualities: Mapping[str, Tensor]) -> None:
        """Add what the task says of a batch, by name (B,); NaN is left out."""
        for name, numbers in qualities.items():
            state = _QUALITY + name
            if not hasattr(self, state):
                self.add_state(state, torch.zeros(2, dtype=torch.float64), dist_reduce_fx="sum")  # sum, count
            known = numbers[~numbers.isnan()]
            getattr(self, state).add_(torch.tensor([known.sum().item(), len(known)], dtype=torch.float64))

    def compute(self) -> Score:
        """The split's score so far."""
        right, total = self.counts.tolist()
        levels = [level for level in range(len(total)) if total[level]]
        rates = {
            self.first + level: Rate(right[level] / total[level], wilson(right[level], total[level]), total[level])
            for level in levels
        }
        solved, interval = combined(list(rates.values()))
        loss, tokens, correct, compute = self.sums.tolist()
        n = sum(total)
        said = {name: getattr(self, name).tolist() for name in self._defaults if name.startswith(_QUALITY)}
        qualities = {name.removeprefix(_QUALITY): amount / count for name, (amount, count) in said.items() if count}
        return Score(solved, interval, n, loss / tokens, correct / tokens, compute / n, rates, qualities)


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a rate."""
    rate = right / total
    centre = (rate + Z**2 / (2 * total)) / (1 + Z**2 / total)
    reach = Z / (1 + Z**2 / total) * math.sqrt(rate * (1 - rate) / total + (Z / (2 * total)) ** 2)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def combined(rates: list[Rate]) -> tuple[float, tuple[float, float]]:
    """The mean of independent rates and its interval."""
    mean = sum(rate.rate for rate in rates) / len(rates)
    below = math.sqrt(sum((rate.rate - rate.interval[0]) ** 2 for rate in rates)) / len(rates)
    above = math.sqrt(sum((rate.interval[1] - rate.rate) ** 2 for rate in rates)) / len(rates)
    return mean, (max(0.0, mean - below), min(1.0, mean + above))
