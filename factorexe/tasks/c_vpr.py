"""Follow pointers while they rise (conditional pointer value retrieval, Abnar et al. 2023, arXiv:2310.08866).

Start at place 0 of a table of integers and go to the place that each entry names, as long as that lies further
right; the first entry that does not exceed its own place is the answer.  The chain is the places visited, then
that entry::

    2 0 3 1 4    entry 0 is 2, entry 2 is 3, entry 3 is 1: two hops    chain 2 3 1    answer 1

Rule and ``published`` sampler are those of clement-bonnet/FactorExe (``c_vpr/env.py``), whose chain lacks the last
entry and so leaves the answer open.  That sampler has two leaks.  The answer is uniform below the last place
visited, so small answers are frequent: place 0 has several times its share.  And places visited rise, so the last
of many lies near the end: with 50 hops of 100 places "read the last entry" is right every second time; and chains
of many hops jump less far than the other entries, which are uniform.

``balanced`` draws, for a given number of hops M:

1. the answer, uniform over all places (each is possible: the walk may end at the last place);
2. the last place visited, uniform among those that are neither below the answer nor below M;
3. the other M - 1 places visited, a uniform subset of those before it;
4. every other entry.  It rises as often as a uniform entry at its place would; given that it rises, or that it
   falls, it has exactly the distribution that an entry of a walk of M hops has at this place.

So how far an entry rises or falls says nothing about whether the walk comes by.  What no sampler can take away: an
answer is never above the last place, so this one cannot be uniform too (the last entry holds the answer of one
problem in 19 at length 100 with few hops); a walk has one falling entry, and the others about one of two, since few
falling entries would mean few possible answers; and a place that no entry before it names is not on the walk.
"""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np

from factorexe.tasks.base import BoolArray, Examples, FloatArray, IntArray
from factorexe.tasks.walk import TINY, Walk


class CVPR(Walk):
    """Follow pointers while they rise; the chain holds the places visited."""

    paper: ClassVar[str] = "Abnar et al. 2023, arXiv:2310.08866"

    sampler: Literal["balanced", "published"] = "balanced"
    """Answers uniform and entries alike on and off the walk, or as in clement-bonnet/FactorExe."""
    tell_hops: bool = False
    """End the prompt with the number of hops."""

    # The default, seed 0, one thread: val 0.624, 0.838, 0.937, 0.975 at steps 200, 400, 600, 800; ood 0.375 at the end.
    # With places and no positions val was 0.067 at step 600 in tables of 100; in tables of 30 (batch 64) val was 0.967
    # and ood 0.965.
    presets: ClassVar = {
        "default": {
            "objective": "chain",
            "model": "universal-transformer",
            "model.places": True,
            "model.max_place": 100,
            "data.batch_size": 32,
            "data.eval_size": 100,
            "optim.optimizer.lr": 2e-3,
            "trainer.max_steps": 800,
            "trainer.val_check_interval": 200,
        },
        "tiny": TINY,
    }

    def sample(self, difficulty: IntArray, rng: np.random.Generator, *, chain: bool = True) -> Examples:
        """One problem per entry of ``difficulty``."""
        draw = self._balanced if self.sampler == "balanced" else self._published
        table, visited, answer = draw(difficulty, rng)
        row, place = np.nonzero(visited)
        before = np.roll(place, 1)
        before[np.diff(row, prepend=-1) != 0] = 0
        table[row, before] = place
        table[np.arange(len(table)), last_places(visited)] = answer
        return self._written(table, difficulty, chain)

    def key(self, examples: Examples) -> IntArray:
        """The table (N, length), whether or not its hops are told."""
        return examples.prompt[:, : self.length]

    def complete(self, prompt: IntArray) -> Examples:
        """Typed problems, solved; a walk may have no hops."""
        table, told = self._read(prompt)
        hops = rising_hops(table)
        if self.tell_hops and (wrong := np.flatnonzero(told != hops)).size:
            row = wrong[0]
            raise ValueError(f"expected the number of hops after the table, {hops[row]} (got {told[row]})")
        return self._written(table, hops, chain=True)

    @property
    def _further(self) -> int:
        return 1

    @property
    def _hops_are_told(self) -> bool:
        return self.tell_hops

    def _published(self, hops: IntArray, rng: np.random.Generator) -> tuple[IntArray, BoolArray, IntArray]:
        """Table with entries off the walk (N, length), which places the walk comes to (N, length), answers (N,)."""
        visited = subsets(hops, np.full_like(hops, self.length - 1), self.length, rng)
        table = rng.integers(0, self.length, visited.shape)
        return table, visited, rng.integers(0, last_places(visited) + 1)

    def _balanced(self, hops: IntArray, rng: np.random.Generator) -> tuple[IntArray, BoolArray, IntArray]:
        """The same, drawn as the module describes."""
        answer = rng.integers(0, self.length, len(hops))
        last = rng.integers(np.maximum(answer, hops), self.length)
        visited = subsets(hops - 1, last - 1, self.length, rng)
        visited[np.arange(len(hops)), last] = True
        levels, level = np.unique(hops, return_inverse=True)
        tables = [alias_table(self.length, int(hops)) for hops in levels]
        kept, other = (np.concatenate([part.ravel() for part in parts]) for parts in zip(*tables, strict=True))
        column = rng.integers(0, self.length, visited.shape)
        cell = (level[:, None] * self.length + np.arange(self.length)) * self.length + column
        table = np.where(rng.random(visited.shape) < kept[cell], column, other[cell])
        return table, visited, answer


def rising_hops(table: IntArray) -> IntArray:
    """The hops (N,) of the walk through each table (N, length)."""
    row = np.arange(len(table))
    here, hops = np.zeros_like(row), np.zeros_like(row)
    while (onward := table[row, here] > here).any():
        hops += onward
        here = np.where(onward, table[row, here], here)
    return hops


def last_places(visited: BoolArray) -> IntArray:
    """The last place (N,) that each walk comes to, of those marked (N, length)."""
    last: IntArray = visited.shape[1] - 1 - visited[:, ::-1].argmax(axis=1)
    return last


def subsets(sizes: IntArray, below: IntArray, width: int, rng: np.random.Generator) -> BoolArray:
    """Members (N, width) of uniform subsets of {1, ..., below} with ``sizes`` (N,) members.

    Floyd's method (Bentley & Floyd 1987): add a number up to n, or n itself if that is in already, for growing n.
    """
    members = np.zeros((len(sizes), width), dtype=bool)
    for step in range(int(sizes.max(initial=0))):
        row = np.flatnonzero(step < sizes)
        top = (below - sizes)[row] + step + 1
        pick = rng.integers(1, top + 1)
        members[row, np.where(members[row, pick], top, pick)] = True
    return members


def entry_odds(length: int, hops: int) -> FloatArray:
    """Odds (place, value) of an entry off the walk.

    The last place visited is j with odds q[j]; given it, the walk goes from place i to place n < j with odds
    C(j - 2 - (n - i), hops - 3) / C(j - 1, hops - 1), summed over how many places it came to before i, and from i to
    j itself with odds C(i - 1, hops - 2) / C(j - 1, hops - 1).
    """
    place = np.arange(length)
    each = 1 / (length - np.maximum(hops, place))  # of an answer and a last place that it allows
    q = np.where(place >= hops, each.cumsum(), 0.0)
    falling = np.tril(np.broadcast_to(each, (length, length)))
    if hops == 1:
        rising = np.triu(np.broadcast_to(q, (length, length)), 1)
    else:
        start, value = place[:, None], place
        ways = np.where(q > 0, _log_choose(place - 1, hops - 1), 0.0)
        ends = np.exp(_log_choose(start - 1, hops - 2) - ways) * q
        through = np.exp(_log_choose(value[:, None] - 2 - place, hops - 3) - ways[:, None]) * q[:, None]
        beyond = through[::-1].cumsum(axis=0)[::-1] - through  # (n, n - i): over all j > n
        rising = np.triu(ends + beyond[value, np.maximum(value - start, 0)], 1)
        rising[0, 1:] = 1  # place 0 is always on the walk; any odds will do
    up = (length - 1 - place[:, None]) / length
    total = np.maximum(rising.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    odds: FloatArray = up * rising / total + (1 - up) * falling / falling.sum(axis=1, keepdims=True)
    return odds


@lru_cache(maxsize=256)
def alias_table(length: int, hops: int) -> tuple[FloatArray, IntArray]:
    """For each place (place, column): a uniform column is kept with the first odds, else replaced by the second.

    Walker's method (1977): every column gives a poor value all of its odds, and the rest of the column to a rich one.
    """
    odds = entry_odds(length, hops) * length
    kept, other = np.ones_like(odds), np.zeros((length, length), dtype=np.int64)
    row = np.arange(length)
    open_ = np.ones_like(odds, dtype=bool)
    for _ in range(length):
        poor = np.where(open_, odds, np.inf).argmin(axis=1)
        rich = np.where(open_, odds, -np.inf).argmax(axis=1)
        kept[row, poor], other[row, poor] = odds[row, poor], rich
        odds[row, rich] -= 1 - odds[row, poor]
        open_[row, poor] = False
    return kept, other


def _log_choose(total: IntArray, chosen: int) -> FloatArray:
    """log C(total, chosen), -inf where that is 0."""
    logs = np.concatenate([[0.0], np.log(np.arange(1, max(int(total.max()), chosen, 1) + 1)).cumsum()])
    possible = (chosen >= 0) & (chosen <= total)
    fit = np.where(possible, total, max(chosen, 0))
    logarithm: FloatArray = logs[fit] - logs[max(chosen, 0)] - logs[fit - max(chosen, 0)]
    return np.where(possible, logarithm, -np.inf)
