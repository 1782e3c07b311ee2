"""Do three of these add up to zero?

A problem is a list of tuples of digits; the question is whether some three of them add up to zero, modulo ``modulus``,
in every coordinate.  The chain goes through the pairs, each with its sum, and ``+`` if a later tuple completes it to
zero, else ``-``.  With two coordinates::

    12,93,40,58    05-  12 + 93 = 05, which needs 05
                   52+  12 + 40 = 52, which needs 58
                   33-  93 + 40 = 33, which needs 77
    answer         T

The pairs are the second tuple with the first, the third with the two before it, and so on to the last but one.  Each
sum can be worked out from the prompt alone.  With ``steps="adaptive"`` a sum is written only as far as some later
tuple still agrees and the chain ends with the first match (``0-52+``), so what there is to write next depends on all
that was written before.  Pfau et al. 2024 (arXiv:2404.15758) compare two such chains, and filler tokens in place of
the first.

Negatives are drawn as they draw them: a triple that adds up to zero is planted, then one or more of its entries are
changed (their number is geometric), until no triple is left.

A coin decides which of the two a problem is, but where tuples are so short that problems repeat, distinct ones with a
triple run out first and the rest of a split has none.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from factorexe.tasks.base import BoolArray, Examples, IntArray, Task, Widths, rejoined
from factorexe.tasks.digits import GLYPHS
from factorexe.tasks.ranges import refuse_disorder
from factorexe.tasks.rows import closed_up

_STOP = 3 / 4  # odds that the entry just changed is the last one


class ThreeSum(Task):
    """Do three of these tuples add up to zero?  The chain sums pairs."""

    axis: ClassVar[str] = "number of tuples"
    paper: ClassVar[str] = "Pfau et al. 2024, arXiv:2404.15758"

    length: int = Field(6, ge=3, le=64)
    """Most tuples in training."""
    min_length: int | None = Field(None, ge=3, le=64)
    """Fewest tuples in training; as many as `length` if not given."""
    ood_length: int | None = Field(None, ge=4, le=64)
    """Most tuples out of distribution, which begins one above `length`; just that one if not given."""
    dimension: int = Field(3, ge=1, le=12)
    """Digits of a tuple."""
    modulus: int = Field(10, ge=2, le=36)
    """What sums are taken modulo."""
    steps: Literal["parallel", "adaptive"] = "parallel"
    """Every pair's sum, each from the prompt alone; or only as far as a tuple agrees, up to the first match."""
    negatives: Literal["corrupted", "random"] = "corrupted"
    """Problems without a triple: one was planted and altered; or plainly random, which is easy to tell apart."""

    # The default, seed 0, one thread: val 0.500 at steps 250 and 500 (the sums are known, the matches are not), 0.944
    # at 1250, 0.956 at 1500, 0.996 at 2000, ood 0.680 (733 s with others beside it).  Six tuples of three digits, with
    # dropout 0.1, were not learned in 1,000 steps.
    presets: ClassVar = {
        "default": {
            "objective": "chain",
            "task.length": 5,
            "task.dimension": 2,
            "model": "universal-transformer",
            "model.positions": "learned",
            "model.heads": 8,
            "data.batch_size": 128,
            "data.eval_size": 250,
            "optim.optimizer.lr": 3e-3,
            "trainer.max_steps": 2000,
            "trainer.val_check_interval": 250,
        },
        "tiny": {
            "task.length": 4,
            "task.dimension": 2,
            "data.batch_size": 32,
            "data.eval_size": 100,
            "optim.warmup": 20,
            "trainer.max_steps": 200,
            "trainer.val_check_interval": 100,
        },
    }

    @model_validator(mode="after")
    def _options_fit_together(self) -> ThreeSum:
        refuse_disorder(self, "length")
        longest = self.ood_difficulty[1]
        triples, sums = math.comb(longest, 3), self.modulus**self.dimension
        if triples > sums:
            raise ValueError(
                f"{longest} tuples have {triples} triples but only {sums} different sums, so hardly a problem has no"
                " zero; use fewer tuples, or a larger dimension or modulus"
            )
        return self

    @property
    def symbols(self) -> tuple[str, ...]:
        """Digits, ``,`` between tuples, ``+`` and ``-`` for pairs with and without a third, ``T`` and ``F``."""
        return ("", *GLYPHS[: self.modulus], ",", "+", "-", "T", "F")

    @property
    def train_difficulty(self) -> tuple[int, int]:
        """Fewest and most tuples."""
        return (self.min_length or self.length, self.length)

    @property
    def ood_difficulty(self) -> tuple[int, int]:
        """From one tuple more than in training to ``ood_length``."""
        return (self.length + 1, self.ood_length or self.length + 1)

    def widths(self, difficulty: int) -> Widths:
        """Exact, save for the adaptive chain, which may end earlier."""
        pairs = math.comb(difficulty - 1, 2)
        return Widths(difficulty * (self.dimension + 1) - 1, pairs * (self.dimension + 1), 1)

    def sample(self, difficulty: IntArray, rng: np.random.Generator, *, chain: bool = True) -> Examples:
        """One problem per entry of ``difficulty``; a fair coin decides whether it has a triple."""
        levels = np.unique(difficulty)
        parts = [
            self._worked_out(self._drawn(int(level), int((difficulty == level).sum()), rng), chain) for level in levels
        ]
        return rejoined(parts, difficulty)

    def key(self, examples: Examples) -> IntArray:
        """The tuples as numbers, greatest first (N, most tuples): in which order they stand changes nothing."""
        tuples, count = self._read(examples.prompt)
        there = np.arange(tuples.shape[1]) < count[:, None]
        numbers = np.where(there, self._coded(tuples) + 1, 0)
        ranked = -np.sort(-numbers, axis=1)
        return np.pad(ranked, ((0, 0), (0, max(0, self.ood_difficulty[1] - ranked.shape[1]))))

    def complete(self, prompt: IntArray) -> Examples:
        """Typed problems, solved; there may be any number of tuples from three on."""
        for row in prompt:
            written = row[row != 0]
            column = np.arange(1, len(written) + 1)
            separates = column % (self.dimension + 1) == 0
            well_formed = len(written) % (self.dimension + 1) == self.dimension
            if not well_formed or not np.where(separates, written == self._comma, written < self._comma).all():
                example = ",".join(GLYPHS[digit] * self.dimension for digit in (0, 1, 1))
                raise ValueError(
                    f"expected tuples of {self.dimension} digits such as {example} (got {self.text(row)!r})"
                )
            if separates.sum() < 2:
                raise ValueError(f"expected three tuples or more (got {self.text(row)!r})")
        tuples, count = self._read(prompt)
        levels = np.unique(count)
        parts = [self._worked_out(tuples[count == level, :level], chain=True) for level in levels]
        return rejoined(parts, count)

    def _drawn(self, length: int, count: int, rng: np.random.Generator) -> IntArray:
        """Tuples (count, length, dimension); half of the problems, by coins, have a triple and the rest have none."""
        tuples = np.empty((count, length, self.dimension), dtype=np.int64)
        positive = rng.integers(0, 2, count) == 1
        wanted = np.arange(count)
        while len(wanted):
            tuples[wanted] = self._candidates(positive[wanted], length, rng)
            wanted = wanted[~positive[wanted]]
            wanted = wanted[self._matches(tuples[wanted]).any(axis=1)]
        return tuples

    def _candidates(self, positive: BoolArray, length: int, rng: np.random.Generator) -> IntArray:
        """Tuples (N, length, dimension) with a triple planted; where not positive, with its entries changed."""
        count = len(positive)
        tuples = rng.integers(0, self.modulus, (count, length, self.dimension))
        planted = positive | (self.negatives == "corrupted")
        tuples[planted, 2] = -(tuples[planted, 0] + tuples[planted, 1]) % self.modulus
        changes = np.where(positive, 0, rng.geometric(_STOP, count))
        for number in range(int(changes.max(initial=0))):
            rows = np.flatnonzero(changes > number)
            which, entry = rng.integers(0, 3, len(rows)), rng.integers(0, self.dimension, len(rows))
            tuples[rows, which, entry] += rng.integers(1, self.modulus, len(rows))
        order = np.argsort(rng.random((count, length)), axis=1)
        return tuples[np.arange(count)[:, None], order] % self.modulus

    def _worked_out(self, tuples: IntArray, chain: bool) -> Examples:
        """Problems with as many tuples each (N, length, dimension), solved."""
        count, length, _ = tuples.shape
        matches = self._matches(tuples)
        steps = numbers = np.zeros((count, 0), dtype=np.int64)
        if chain:
            steps, numbers = self._chain(tuples, matches)
        separated = np.pad(tuples + 1, ((0, 0), (0, 0), (0, 1)), constant_values=self._comma)
        return Examples(
            prompt=separated.reshape(count, -1)[:, :-1],
            chain=steps,
            chain_step=numbers,
            answer=np.where(matches.any(axis=1), self._comma + 3, self._comma + 4)[:, None],
            difficulty=np.full(count, length, dtype=np.int64),
        )

    def _chain(self, tuples: IntArray, matches: BoolArray) -> tuple[IntArray, IntArray]:
        """The chain of each problem (N, C) and the step of each of its tokens (N, C)."""
        first, second = _pairs(tuples.shape[1])
        sums = (tuples[:, first] + tuples[:, second]) % self.modulus
        verdict = np.where(matches, self._comma + 1, self._comma + 2)
        lines = np.concatenate([sums + 1, verdict[:, :, None]], axis=2)  # (N, pairs, dimension + 1)
        numbers = np.broadcast_to(np.arange(len(first))[:, None], lines.shape)
        if self.steps == "adaptive":
            over: BoolArray = np.cumsum(matches, axis=1) > matches  # an earlier pair has matched
            agreed = self._agreement(tuples, sums)
            lines[:, :, :-1] *= np.arange(self.dimension) <= agreed[:, :, None]
            lines *= ~over[:, :, None]
            return closed_up(lines.reshape(len(tuples), -1), numbers.reshape(len(tuples), -1))
        return lines.reshape(len(tuples), -1), numbers.reshape(len(tuples), -1)

    def _matches(self, tuples: IntArray) -> BoolArray:
        """Which pairs (N, pairs) some later tuple completes to zero."""
        count, length, _ = tuples.shape
        first, second = _pairs(length)
        needed = self._coded(-(tuples[:, first] + tuples[:, second]) % self.modulus)
        numbers = self._coded(tuples)
        found = np.zeros((count, len(first)), dtype=np.bool_)
        for third in range(2, length):
            before = math.comb(third, 2)  # pairs of tuples before this one
            found[:, :before] |= needed[:, :before] == numbers[:, third, None]
        return found

    def _agreement(self, tuples: IntArray, sums: IntArray) -> IntArray:
        """In how many leading coordinates (N, pairs) the best of the later tuples completes a pair to zero."""
        needed = -sums % self.modulus
        most = np.zeros(sums.shape[:2], dtype=np.int64)
        for third in range(2, tuples.shape[1]):
            before = math.comb(third, 2)
            agrees = needed[:, :before] == tuples[:, third, None]
            np.maximum(most[:, :before], np.cumprod(agrees, axis=2).sum(axis=2), out=most[:, :before])
        return most

    def _read(self, prompt: IntArray) -> tuple[IntArray, IntArray]:
        """Tuples (N, most, dimension) and how many of them each problem has (N,)."""
        wide = self.dimension + 1
        count = ((prompt != 0).sum(axis=1) + 1) // wide
        most = int(count.max(initial=1))
        there = prompt[:, : most * wide - 1]
        return np.pad(there, ((0, 0), (0, 1))).reshape(len(prompt), most, wide)[:, :, :-1] - 1, count

    def _coded(self, tuples: IntArray) -> IntArray:
        """Tuples (..., dimension) as numbers with their digits."""
        value = tuples[..., 0]
        for coordinate in range(1, self.dimension):
            value = value * self.modulus + tuples[..., coordinate]
        return value

    @property
    def _comma(self) -> int:
        """Token between tuples; every token below it is a digit."""
        return self.modulus + 1


def _pairs(length: int) -> tuple[IntArray, IntArray]:
    """Both places (pairs,) of every pair among the first ``length - 1``, in the order of the second."""
    second = np.repeat(np.arange(length - 1), np.arange(length - 1))
    first = np.concatenate([np.arange(place) for place in range(length - 1)])
    return first, second
