"""Training problems in order: an endless stream, or shuffled rounds through a finite set.

Both answer one question, ``rows(start, stop)``: which problems stand at these places of the training order.
The answer is a pure function of the seed and the places, so a run may start anywhere::

    Stream(draw, seed=0).rows(448, 512)          # batch 7 of 64, whatever was asked for before
    Rounds(problems, weights, seed=0).rows(448, 512)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from factorexe.tasks.base import Examples, IntArray, joined

BLOCK = 4096  # problems drawn at once, whatever the batch size


class Stream:
    """Problems drawn block by block; ``draw(rng, count)`` makes a block."""

    def __init__(self, draw: Callable[[np.random.Generator, int], Examples], seed: list[int]) -> None:
        self.draw, self.seed = draw, seed
        self._blocks: dict[int, Examples] = {}

    def block(self, number: int) -> Examples:
        """``BLOCK`` problems; the two used last are kept."""
        if number not in self._blocks:
            self._blocks = dict(list(self._blocks.items())[-1:])
            self._blocks[number] = self.draw(np.random.default_rng([*self.seed, number]), BLOCK)
        return self._blocks[number]

    def rows(self, start: int, stop: int) -> Examples:
        """The problems at places ``start`` to ``stop`` of the stream."""
        parts = []
        for number in range(start // BLOCK, -(-stop // BLOCK)):
            offset = number * BLOCK
            parts.append(self.block(number).select(slice(max(start - offset, 0), min(stop - offset, BLOCK))))
        return joined(parts)


class Rounds:
    """A finite set in shuffled rounds.

    A round has as many places as there are problems.  Each difficulty gets its share of them by weight and
    fills it from its own shuffled cycle, so every problem of a difficulty comes up equally often; with shares
    equal to what is held, a round is one epoch.
    """

    def __init__(self, problems: Examples, weights: Mapping[int, float], seed: list[int]) -> None:
        self.problems, self.seed = problems, seed
        self.own = {level: np.flatnonzero(problems.difficulty == level) for level in weights}
        held = {level: weight for level, weight in weights.items() if len(self.own[level])}
        self.shares = apportioned(len(problems), held)
        self._round: tuple[int, IntArray] = (-1, np.zeros(0, dtype=np.int64))

    def rows(self, start: int, stop: int) -> Examples:
        """The problems at places ``start`` to ``stop`` of the training order."""
        rounds, offsets = np.divmod(np.arange(start, stop), len(self.problems))
        picked = [self._order(int(number))[offsets[rounds == number]] for number in np.unique(rounds)]
        return self.problems.select(np.concatenate(picked))

    def _order(self, number: int) -> IntArray:
        """Row numbers of one round."""
        if self._round[0] != number:
            rows = np.concatenate([self._cycled(level, number) for level in self.shares])
            self._round = (number, np.random.default_rng([*self.seed, number]).permutation(rows))
        return self._round[1]

    def _cycled(self, level: int, number: int) -> IntArray:
        """What one difficulty contributes to a round: the next ``share`` places of its endless cycle."""
        own, share = self.own[level], self.shares[level]
        first = number * share
        cycles = range(first // len(own), -(-(first + share) // len(own)))
        order = [np.random.default_rng([*self.seed, level, cycle]).permutation(own) for cycle in cycles]
        return np.concatenate([own[:0], *order])[first - cycles.start * len(own) :][:share]


def apportioned(total: int, weights: Mapping[int, float]) -> dict[int, int]:
    """``total`` shared out in whole numbers by weight, largest remainders first.

    >>> apportioned(10, {2: 1, 3: 2})
    {2: 3, 3: 7}
    """
    exact = {level: total * weight / sum(weights.values()) for level, weight in weights.items()}
    shares = {level: int(part) for level, part in exact.items()}
    for level in sorted(exact, key=lambda level: shares[level] - exact[level])[: total - sum(shares.values())]:
        shares[level] += 1
    return shares
