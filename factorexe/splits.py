"""Which problem is in which split, and which problems a batch holds (NumPy, never torch).

A problem belongs to a split by its key, so train, val, guide and test never share one, whatever the seed.
Every draw is a pure function of its numbers: batch 7 of a run is the same batch after a resume, in a worker
process, or alone::

    splits = Splits(Multiplication(), train_size=2500)
    splits.train_batch(7, 64)          # 64 Examples
    splits.evaluation("val")           # the 1,000 val problems of each difficulty

Two kinds of training data: a finite set of ``train_size`` distinct problems, gone through in shuffled
rounds (memorization becomes possible), or an endless stream.  Where all problems can be listed
(``Task.table``), the finite set may be an exact share of them, ``train_fraction``.

Of either kind, ``train_batch(index, size, hardest)`` draws from the difficulties up to one alone: a stage of a
curriculum.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping

import numpy as np

from factorexe.kept import Kept
from factorexe.streams import BLOCK, Rounds, Stream, apportioned
from factorexe.tasks.base import (
    SHARES,
    SPLITS,
    BoolArray,
    Examples,
    FloatArray,
    IntArray,
    Task,
    answered_as,
    joined,
    rejoined,
    solved_by,
    uniform,
)

_PATIENCE = 40  # draws per problem found before a split counts as exhausted
_KEPT = Kept(most=2**26)  # 64 MiB: a thousand problems of five difficulties take up to 12 MB a split
_POOL = 256  # problems per difficulty whose answers are planted as wrong ones

# Each use of randomness has a number of its own, so that no two share a stream.
_STREAM, _FIXED, _ORDER, _DONORS, _IN_PLAY, _TABLE = range(6)
_IS_CANARY, _WHICH_DONOR = 1_000_003, 2_000_003


# What the task that was trained on keeps for a look now, and what for a last one.
_NOW, _LAST = ("val", "ood"), ("test", "ood_test")
_KEPT_FOR = {"val": _NOW, "ood": _NOW, "test": _LAST, "ood_test": _LAST}


class SplitError(ValueError):
    """A task's problems cannot fill the splits that were asked for."""


class Splits:
    """The problems of one task, by split.

    Args:
        train_size: distinct train problems, shared out over the difficulties; None streams.
        train_fraction: instead of a size, the share of the distinct problems of the task's table that is trained on,
            rounded to the nearest number, a half to the even one.  They are those of lowest hash, so a larger share
            holds a smaller one; val, guide and test share the others equally.
        eval_size: distinct problems per difficulty in every evaluated split, or all that there are.
        split_seed: decides which problems are in which split.
        seed: decides the order of training batches, and the problems of a stream.
        corrupt: share of train problems whose answer is replaced by a wrong one (the canaries).
        mixture: weight of each difficulty in training; uniform if None.
        chain: whether chains are needed.

    Attributes:
        home: another task that decides which problem is in which split, for weights that were trained on it; this
            one then says only how hard the problems are.
        entry: under a curriculum, the hardest difficulty in play when a given one comes into play: a stream's first
            problems of that one are found there.
    """

    home: Task | None = None
    entry: Callable[[int], int] | None = None

    def __init__(
        self,
        task: Task,
        *,
        train_size: int | None = None,
        train_fraction: float | None = None,
        eval_size: int = 1000,
        split_seed: int = 0,
        seed: int = 0,
        corrupt: float = 0.0,
        mixture: Mapping[int, float] | None = None,
        chain: bool = True,
    ) -> None:
        self.task, self.chain = task, chain
        self.train_size, self.train_fraction, self.eval_size = train_size, train_fraction, eval_size
        self.split_seed, self.seed, self.corrupt = split_seed, seed, corrupt
        self.weights = _weights(task, mixture)
        self.stream = Stream(self._drawn, [seed, _STREAM])
        self._kept: dict[str, Examples] = {}
        self._order: tuple[int | None, Stream | Rounds] | None = None  # of the hardest difficulty asked for last

    def check(self) -> None:
        """Refuse a task too small for its splits: train and val must hold problems, and where the hash of the
        key divides them, guide and test as well.

        Raises:
            SplitError: with the number of problems found in each split, or that there is no table.
        """
        levels = self.task.difficulties("train")
        hashed = type(self.task).split is Task.split or self.train_fraction is not None
        needed = SHARES if hashed else ("train", "val")
        if all(any(len(self._fixed(split, level, 1)) for level in levels) for split in needed):
            return
        sizes = {split: sum(len(self._fixed(split, level, 10**5)) for level in levels) for split in SHARES}
        counts = ", ".join(f"{split} {size}" for split, size in sizes.items())
        way_out = "" if self.train_fraction is None else f" or change data.train_fraction ({self.train_fraction})"
        raise SplitError(
            f"the task has {sum(sizes.values())} problems in all, too few for its splits ({counts}); make it larger"
            + way_out
        )

    @property
    def levels(self) -> list[int]:
        """The difficulties that training draws from, ascending."""
        if not self._is_finite:
            return [level for level, weight in self.weights.items() if weight]
        held: list[int] = np.unique(self.finite_train().difficulty).tolist()
        return held

    def train_batch(self, index: int, size: int, hardest: int | None = None) -> Examples:
        """The training batch with this index: wrong answers planted, chains included.

        Args:
            hardest: draw from difficulties up to this one alone; each has a training order of its own.
        """
        if self._order is None or self._order[0] != hardest:
            self._order = hardest, self._ordered(hardest)
        return self._order[1].rows(index * size, (index + 1) * size)

    def _ordered(self, hardest: int | None) -> Stream | Rounds:
        """The training order of all difficulties, or of those in play."""
        if not self._is_finite:
            return self.stream if hardest is None else Stream(self._drawing(hardest), [self.seed, _IN_PLAY, hardest])
        problems = self.finite_train()
        if hardest is None:
            return Rounds(problems, self.weights, [self.seed, _ORDER])
        easy = problems.select(problems.difficulty <= hardest)
        return Rounds(easy, self._weights_up_to(hardest), [self.seed, _IN_PLAY, hardest])

    def _drawing(self, hardest: int) -> Callable[[np.random.Generator, int], Examples]:
        return functools.partial(self._drawn, hardest=hardest)

    def _weights_up_to(self, hardest: int | None) -> dict[int, float]:
        return {level: weight for level, weight in self.weights.items() if hardest is None or level <= hardest}

    def evaluation(self, split: str) -> Examples:
        """The fixed problems of a split, difficulty by difficulty, with their right answers; maybe none.

        ``seen`` is the first ``eval_size`` clean train problems of each difficulty, ``canary`` the first
        whose answer is wrong in training (``planted`` gives that answer).
        """
        if split not in self._kept:
            if split in ("seen", "canary"):
                self._kept[split] = self._seen(split)
            else:
                parts = [self._fixed(split, level, self.eval_size) for level in self.task.difficulties(split)]
                self._kept[split] = joined(parts) if parts else nothing(self.task)
        return self._kept[split]

    def _seen(self, split: str) -> Examples:
        """The first train problems of every difficulty, clean ones or canaries."""

        def find() -> Examples:
            levels = [level for level, weight in self.weights.items() if weight]
            return joined([self._from_train(level, canary=split == "canary") for level in levels])

        if self.entry is not None:  # what comes into play when is not known here
            return find()
        order = None if self._is_finite else self.seed
        trained = (order, self.train_size, self.corrupt, tuple(self.weights.items()))
        return _KEPT.examples((*self._known, *trained, split, self.eval_size), find)

    @property
    def _known(self) -> tuple[Hashable, ...]:
        """What decides which problem is in which split."""
        return self.task, self.home, self.train_fraction, self.split_seed, self.chain

    def is_canary(self, examples: Examples) -> BoolArray:
        """Which train problems (N,) have a wrong answer planted."""
        return uniform(self.task.key(examples), self.split_seed + _IS_CANARY) < self.corrupt

    def planted(self, examples: Examples) -> Examples:
        """``examples`` with every answer wrong: that of another problem as hard, always the same one."""
        if not len(examples):
            return examples
        level = examples.difficulty
        return rejoined([self._planted_alike(examples.select(level == one)) for one in np.unique(level)], level)

    def _planted_alike(self, examples: Examples) -> Examples:
        """The same for problems of one difficulty."""
        level = examples.difficulty[0]
        rng = np.random.default_rng([self.split_seed, _DONORS, level])
        pool = self.task.sample(np.full(_POOL, level), rng, chain=False)
        place = uniform(self.task.key(examples), self.split_seed + _WHICH_DONOR)
        pick = (place * _POOL).astype(np.int64)
        for _ in range(_POOL):
            right = solved_by(self.task, examples, pool.select(pick))
            if not right.any():
                return answered_as(examples, pool.select(pick))
            pick = np.where(right, (pick + 1) % _POOL, pick)
        raise SplitError("no wrong answer can be planted: every problem has the same one; use --data.corrupt 0")

    def _with_canaries(self, examples: Examples) -> Examples:
        if not self.corrupt:
            return examples
        canary = self.is_canary(examples)
        return rejoined([examples.select(~canary), self.planted(examples.select(canary))], canary)

    def finite_train(self) -> Examples:
        """The finite training set, wrong answers planted."""
        if "train" not in self._kept:
            self._kept["train"] = self._with_canaries(joined([self._finite(level) for level in self.weights]))
        return self._kept["train"]

    @property
    def _is_finite(self) -> bool:
        """Whether training goes in rounds."""
        return self.train_size is not None or self.train_fraction is not None

    def _finite(self, level: int) -> Examples:
        if self.train_fraction is not None:
            return self._fixed("train", level, len(self._table) if self.weights[level] else 0)
        return self._fixed("train", level, apportioned(self.train_size or 0, self.weights)[level])

    def _from_train(self, level: int, canary: bool) -> Examples:
        """The first train problems of one difficulty that are, or are not, canaries; right answers."""
        if canary and not self.corrupt:
            return nothing(self.task)
        if self._is_finite:
            blocks = iter([self._finite(level)])
        elif self._listed is not None:
            blocks = iter([self._fixed("train", level, len(self._listed))])
        else:
            blocks = self._clean_stream(level)
        wanted = (block.select(self.is_canary(block) == canary) for block in blocks)
        return _first_distinct(self.task, wanted, self.eval_size)

    def _clean_stream(self, level: int) -> Iterator[Examples]:
        hardest = self.entry(level) if self.entry else None
        seed = [self.seed, _STREAM] if hardest is None else [self.seed, _IN_PLAY, hardest]
        for number in itertools.count():
            if hardest is None and not self.corrupt:  # the very blocks that training begins with
                block = self.stream.block(number)
            else:
                block = self._drawn(np.random.default_rng([*seed, number]), BLOCK, hardest=hardest, plant=False)
            yield block.select(block.difficulty == level)

    def _drawn(
        self, rng: np.random.Generator, count: int, *, hardest: int | None = None, plant: bool = True
    ) -> Examples:
        """``count`` train problems of the stream, difficulties drawn by weight."""
        weights = self._weights_up_to(hardest)
        levels, odds = np.array(list(weights)), np.array(list(weights.values()))
        parts: list[Examples] = []
        for _ in range(1000):
            block = self.task.sample(rng.choice(levels, count, p=odds / odds.sum()), rng, chain=self.chain)
            parts.append(block.select(self._inside(block, "train")))
            if sum(map(len, parts)) >= count:
                drawn = joined(parts).select(slice(0, count))
                return self._with_canaries(drawn) if plant else drawn
        raise SplitError("no train problems were found in a thousand draws: the train split is empty")

    def _fixed(self, split: str, level: int, count: int) -> Examples:
        """The first ``count`` distinct problems of a split at one difficulty; they depend on no other seed."""
        return _KEPT.examples((*self._known, split, level, count), lambda: self._first(split, level, count))

    def _first(self, split: str, level: int, count: int) -> Examples:
        if self.home is None and self._listed is not None and level in self.task.difficulties("train"):
            own = (self._listed.difficulty == level) & self._inside(self._listed, split)
            return self._listed.select(np.flatnonzero(own)[:count])
        rng = np.random.default_rng([self.split_seed, _FIXED, SPLITS.index(split), level])

        def blocks() -> Iterator[Examples]:
            size = min(max(256, 4 * count), 16 * BLOCK)
            while True:
                block = self.task.sample(np.full(size, level), rng, chain=self.chain)
                yield block.select(self._inside(block, split))

        return _first_distinct(self.task, blocks(), count)

    def _inside(self, examples: Examples, split: str) -> BoolArray:
        if self.home is None:
            inside: BoolArray = self._split(self.task, examples) == SPLITS.index(split)
            return inside
        kept = _KEPT_FOR[split]
        return np.isin(self._split(self.home, examples), [SPLITS.index(name) for name in kept])

    def _split(self, task: Task, examples: Examples) -> IntArray:
        """Which of ``SPLITS`` each problem is in, as ``task`` or its table has it."""
        home = task.split(examples, self.split_seed)
        if self.train_fraction is None:
            return home
        ranked = np.searchsorted(self._cuts, uniform(task.key(examples), self.split_seed), side="right")
        return np.where(examples.difficulty > task.train_difficulty[1], home, ranked)

    @functools.cached_property
    def _cuts(self) -> FloatArray:
        """The hashes at which val, guide and test begin."""
        place = uniform((self.home or self.task).key(self._table), self.split_seed)
        size = round((self.train_fraction or 0.0) * len(place))
        rest = len(place) - size
        starts = [size + -(-part * rest // 3) for part in range(3)]
        cuts: FloatArray = np.append(place, 1.0)[starts]
        return cuts

    @property
    def _table(self) -> Examples:
        """Every problem once, by hash."""
        if self._listed is None:
            raise SplitError(
                "data.train_fraction needs a task small enough to list all its problems, and this one has no table;"
                " use data.train_size"
            )
        return self._listed

    @functools.cached_property
    def _listed(self) -> Examples | None:
        """The same, or None where they cannot be listed; which of the ways to write a problem is left to chance."""
        task = self.home or self.task
        table = task.table()
        if table is None:
            return None
        return _KEPT.examples((task, self.split_seed, "table"), lambda: _shuffled(task, table, self.split_seed))


def _shuffled(task: Task, table: Examples, split_seed: int) -> Examples:
    shuffled = np.random.default_rng([split_seed, _TABLE]).permutation(len(table))
    table = _distinct(task, table.select(shuffled))
    return table.select(np.argsort(uniform(task.key(table), split_seed), kind="stable"))


def nothing(task: Task) -> Examples:
    """No examples at all."""
    level = task.train_difficulty[0]
    return task.sample(np.full(1, level), np.random.default_rng(0)).select(slice(0, 0))


def _weights(task: Task, mixture: Mapping[int, float] | None) -> dict[int, float]:
    levels = task.difficulties("train")
    if mixture is None:
        return dict.fromkeys(levels, 1.0)
    if set(mixture) - set(levels) or min(mixture.values()) < 0 or not sum(mixture.values()) > 0:
        raise SplitError(
            f"data.mixture: expected weights >= 0, not all 0, for difficulties {levels[0]} to {levels[-1]}"
            f" (got {dict(mixture)})"
        )
    return {level: float(mixture.get(level, 0.0)) for level in levels}


def _first_distinct(task: Task, blocks: Iterator[Examples], count: int) -> Examples:
    """The first ``count`` distinct problems, in order; fewer once the blocks end or bring nothing new."""
    found = nothing(task)
    since_new = 0
    for block in blocks:
        before = len(found)
        if len(block):  # a small family leaves many a split of a difficulty empty
            found = _distinct(task, joined([found, block])).select(slice(0, count))
        since_new = 0 if len(found) > before else since_new + max(len(block), 64)
        if len(found) >= count or since_new > _PATIENCE * max(len(found), 64):
            break
    return found


def _distinct(task: Task, examples: Examples) -> Examples:
    """``examples`` without repetitions, each at its first place."""
    if not len(examples):
        return examples
    keys = np.ascontiguousarray(task.key(examples))
    rows = keys.view(np.dtype((np.void, keys.itemsize * keys.shape[1])))[:, 0]
    return examples.select(np.sort(np.unique(rows, return_index=True)[1]))
