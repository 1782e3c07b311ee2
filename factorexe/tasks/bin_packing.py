"""Pack items into as few bins as you can.

A problem is a capacity and the sizes of items; the answer names a bin for each item, in the order given, such that no
bin holds more than its capacity.  The chain is first-fit decreasing (Johnson et al. 1974): the greatest item that is
left goes into the first bin with room for it; written are its size, its bin, and the room left in that bin.  Then the
items are gone through in the order given, each with its bin::

    6 : 2 2 4 4    4 A 2  4 B 2  2 A 0  2 B 0    2 A  2 B  4 A  4 B
    answer         A B A B

Any packing that is feasible and uses no more bins than that is right, and bins may be renamed: ``solved`` counts, it
does not compare.  Placing items as they come is often as good, so only problems are drawn where it is not: above, 2
and 2 would share a bin and each 4 need one of its own.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from factorexe.tasks.base import BoolArray, Examples, FloatArray, IntArray, Task, Widths
from factorexe.tasks.ranges import refuse_disorder
from factorexe.tasks.rows import closed_up

BINS = string.ascii_uppercase
SMALL = 10  # most items for which the optimum is worked out


class _Packing(NamedTuple):
    """An answer read against its problem."""

    bins: IntArray  # (N,) bins that hold something
    feasible: BoolArray  # (N,) every item is in a bin and no bin above its capacity


class BinPacking(Task):
    """Pack items into as few bins as first-fit decreasing does; the chain is its trace."""

    axis: ClassVar[str] = "number of items"
    paper: ClassVar[str] = "Johnson et al. 1974, doi:10.1137/0203025"

    items: int = Field(8, ge=1, le=len(BINS))
    """Most items in training."""
    min_items: int | None = Field(None, ge=1, le=len(BINS))
    """Fewest items in training; as many as `items` if not given."""
    ood_items: int | None = Field(None, ge=2, le=len(BINS))
    """Most items out of distribution, which begins one above `items`; just that one if not given."""
    capacity: int = Field(20, ge=2, le=1000)
    """Greatest capacity of a bin."""
    min_capacity: int | None = Field(None, ge=2, le=1000)
    """Least capacity of a bin, drawn uniformly up to `capacity`; the same for all problems if not given."""
    largest: int = Field(70, ge=1, le=100)
    """Largest item, in percent of the capacity; sizes are uniform from 1 on."""
    order_matters: bool = True
    """Only problems for which first fit in the order given needs more bins than first-fit decreasing."""

    # The default, seed 0, one thread with others beside it: val 0.556, 0.844, 0.940, 0.976 at steps 250, 500, 750 and
    # 1000, ood 0.000 (694 s).
    presets: ClassVar = {
        "default": {
            "objective": "chain",
            "model": "universal-transformer",
            "model.positions": "learned",
            "model.heads": 8,
            "model.dropout": 0.1,
            "data.batch_size": 128,
            "data.eval_size": 250,
            "optim.optimizer.lr": 3e-3,
            "trainer.max_steps": 1000,
            "trainer.val_check_interval": 250,
        },
        "tiny": {
            "task.items": 5,
            "task.capacity": 10,
            "data.batch_size": 32,
            "data.eval_size": 50,
            "optim.warmup": 20,
            "trainer.max_steps": 150,
            "trainer.val_check_interval": 75,
        },
    }

    @model_validator(mode="after")
    def _options_fit_together(self) -> BinPacking:
        refuse_disorder(self, "items")
        if self.ood_difficulty[1] > len(BINS):
            raise ValueError(f"items ({self.items}) must be less than {len(BINS)}: ood is harder than training")
        least = self.min_capacity or self.capacity
        if least > self.capacity:
            raise ValueError(f"min_capacity ({least}) must not exceed capacity ({self.capacity})")
        if least * self.largest < 100:
            raise ValueError(f"the largest item, {self.largest} % of {least}, is below 1; raise largest or capacity")
        if self.order_matters:
            self._some_orders_matter()
        return self

    def _some_orders_matter(self) -> None:
        tried, fewest = 2000, self.train_difficulty[0]
        capacity, sizes = self._candidates(np.full(tried, fewest), np.random.default_rng(0))
        found = int(_order_matters(sizes, capacity).sum())
        if found < tried // 200:
            raise ValueError(
                f"order_matters leaves hardly a problem with {fewest} items ({found} of {tried}): it takes four or"
                " more, some of them above half the capacity; raise min_items or largest, or use order_matters=false"
            )

    @property
    def symbols(self) -> tuple[str, ...]:
        """Numbers from 0 to ``capacity``, ``:`` after the capacity, and letters for bins."""
        return ("", *map(str, range(self.capacity + 1)), ":", *BINS[: self.ood_difficulty[1]])

    @property
    def train_difficulty(self) -> tuple[int, int]:
        """Fewest and most items."""
        return (self.min_items or self.items, self.items)

    @property
    def ood_difficulty(self) -> tuple[int, int]:
        """From one item more than in training to ``ood_items``."""
        return (self.items + 1, self.ood_items or self.items + 1)

    def widths(self, difficulty: int) -> Widths:
        """Every number and bin is one token, so these are exact."""
        return Widths(difficulty + 2, 5 * difficulty, difficulty)

    def sample(self, difficulty: IntArray, rng: np.random.Generator, *, chain: bool = True) -> Examples:
        """One problem per entry of ``difficulty``, sizes uniform among the problems wanted."""
        capacity, sizes = self._candidates(difficulty, rng)
        wanted = np.arange(len(difficulty)) if self.order_matters else np.arange(0)
        while len(wanted := wanted[~_order_matters(sizes[wanted], capacity[wanted])]):
            capacity[wanted], again = self._candidates(difficulty[wanted], rng)
            sizes[wanted, : again.shape[1]] = again
        return self._worked_out(capacity, sizes, chain)

    def key(self, examples: Examples) -> IntArray:
        """The capacity and the sizes, greatest first (N, 1 + most items)."""
        capacity, sizes = self._read(examples.prompt)
        ranked = -np.sort(-sizes, axis=1)
        missing = max(0, self.ood_difficulty[1] - ranked.shape[1])
        return np.concatenate([capacity[:, None], np.pad(ranked, ((0, 0), (0, missing)))], axis=1)

    def complete(self, prompt: IntArray) -> Examples:
        """Typed problems, solved; any capacity and items that there are symbols for, whether or not order matters."""
        most = self.ood_difficulty[1]
        for row in prompt:
            written = row[row != 0]
            numbers = np.delete(written, 1) - 1 if len(written) > 2 and written[1] == self._colon else np.array([0])
            if not ((numbers >= 1) & (numbers <= min(numbers[0], self.capacity))).all() or len(numbers) > most + 1:
                raise ValueError(
                    f"expected a capacity up to {self.capacity} and at most {most} items no larger, such as 6 : 2 2 4 4"
                    f" (got {self.text(row)!r})"
                )
        return self._worked_out(*self._read(prompt), chain=True)

    def solved(self, examples: Examples, answer: IntArray, values: FloatArray | None = None) -> BoolArray:
        """Whether the packing is feasible and uses no more bins than first-fit decreasing."""
        capacity, sizes = self._read(examples.prompt)
        packing = self._packing(capacity, sizes, answer)
        right: BoolArray = packing.feasible & (packing.bins <= _first_fit_decreasing(sizes, capacity).max(axis=1) + 1)
        return right

    def qualities(
        self, examples: Examples, answer: IntArray, values: FloatArray | None = None
    ) -> Mapping[str, FloatArray]:
        """Whether the packing is feasible; bins above the least that sizes allow, and above the least there are.

        The second is known for up to 10 items; both are NaN where the packing is not feasible.
        """
        capacity, sizes = self._read(examples.prompt)
        packing = self._packing(capacity, sizes, answer)
        few = (sizes > 0).sum(axis=1) <= SMALL
        optimum = np.full(len(sizes), np.nan)
        optimum[few] = _optimum(sizes[few, :SMALL], capacity[few])
        at_least = -(-sizes.sum(axis=1) // capacity)
        return {
            "feasible": packing.feasible.astype(np.float64),
            "bins_over_lower_bound": np.where(packing.feasible, packing.bins - at_least, np.nan),
            "bins_over_optimum": np.where(packing.feasible, packing.bins - optimum, np.nan),
        }

    def _candidates(self, difficulty: IntArray, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Capacities (N,) and sizes (N, most items), 0 after the last, whether or not order matters."""
        capacity = rng.integers(self.min_capacity or self.capacity, self.capacity + 1, len(difficulty))
        there = np.arange(difficulty.max(initial=1)) < difficulty[:, None]
        sizes = rng.integers(1, (capacity * self.largest // 100)[:, None] + 1, there.shape)
        return capacity, np.where(there, sizes, 0)

    def _worked_out(self, capacity: IntArray, sizes: IntArray, chain: bool) -> Examples:
        """Problems with capacities (N,) and sizes (N, most items), 0 after the last, solved."""
        there = sizes > 0
        count = there.sum(axis=1)
        order = np.argsort(-sizes, axis=1, kind="stable")
        ranked = np.take_along_axis(sizes, order, axis=1)
        chosen, left = _first_fit(ranked, capacity)
        bins = np.empty_like(chosen)
        np.put_along_axis(bins, order, chosen, axis=1)
        answer = np.where(there, self._colon + 1 + bins, 0)
        colon = np.full(len(sizes), self._colon)
        steps = numbers = np.zeros((len(sizes), 0), dtype=np.int64)
        if chain:
            packed = np.stack([ranked + 1, self._colon + 1 + chosen, left + 1], axis=2) * (ranked > 0)[:, :, None]
            read = np.stack([sizes + 1, answer], axis=2) * there[:, :, None]
            lines = [packed.reshape(len(sizes), -1), read.reshape(len(sizes), -1)]
            step = np.arange(sizes.shape[1])
            of_read = count[:, None] + np.repeat(step, 2)
            of_packed = np.broadcast_to(np.repeat(step, 3), lines[0].shape)
            steps, numbers = closed_up(np.concatenate(lines, axis=1), np.concatenate([of_packed, of_read], axis=1))
        return Examples(
            prompt=np.concatenate([capacity[:, None] + 1, colon[:, None], np.where(there, sizes + 1, 0)], axis=1),
            chain=steps,
            chain_step=numbers,
            answer=answer,
            difficulty=count,
        )

    def _packing(self, capacity: IntArray, sizes: IntArray, answer: IntArray) -> _Packing:
        width = max(sizes.shape[1], answer.shape[1])
        sizes, answer = (np.pad(array, ((0, 0), (0, width - array.shape[1]))) for array in (sizes, answer))
        first, there = self._colon + 1, sizes > 0
        names_bin = there & (answer >= first) & (answer < len(self.symbols))
        feasible: BoolArray = np.all(names_bin | ~there & (answer == 0), axis=1)
        bins = np.zeros(len(sizes), dtype=np.int64)
        for token in range(first, len(self.symbols)):
            load = np.where(answer == token, sizes, 0).sum(axis=1)
            feasible &= load <= capacity
            bins += load > 0
        return _Packing(bins, feasible)

    def _read(self, prompt: IntArray) -> tuple[IntArray, IntArray]:
        """Capacities (N,) and sizes (N, most items), 0 after the last."""
        return prompt[:, 0] - 1, np.maximum(prompt[:, 2:] - 1, 0)

    @property
    def _colon(self) -> int:
        """Token after the capacity; those below it are numbers plus one, those above it bins."""
        return self.capacity + 2


def _first_fit(sizes: IntArray, capacity: IntArray) -> tuple[IntArray, IntArray]:
    """The bin of every item (N, items), from 0, in the order given, and the room left in it then (N, items)."""
    count, items = sizes.shape
    room = np.repeat(capacity[:, None], items, axis=1)
    row = np.arange(count)
    bins, left = np.empty((2, count, items), dtype=np.int64)
    for item in range(items):
        chosen = (room >= sizes[:, item, None]).argmax(axis=1)
        room[row, chosen] -= sizes[:, item]
        bins[:, item], left[:, item] = chosen, room[row, chosen]
    return bins, left


def _first_fit_decreasing(sizes: IntArray, capacity: IntArray) -> IntArray:
    """The bin (N, items), from 0, of every item, greatest first."""
    return _first_fit(-np.sort(-sizes, axis=1), capacity)[0]


def _order_matters(sizes: IntArray, capacity: IntArray) -> BoolArray:
    """Whether first fit in the order given needs more bins (N,) than greatest first."""
    as_given, decreasing = _first_fit(sizes, capacity)[0], _first_fit_decreasing(sizes, capacity)
    needs_more: BoolArray = as_given.max(axis=1) > decreasing.max(axis=1)
    return needs_more


def _optimum(sizes: IntArray, capacity: IntArray) -> IntArray:
    """The fewest bins (N,) for sizes (N, few): over all subsets, the fewest bins and then the least in the last one.

    An item goes into the last bin or opens another; which came before it is settled by its subset.
    """
    items, bin_ = sizes.shape[1], int(capacity.max(initial=0)) + 1  # a state is bins * bin_ + load of the last one
    subset = np.arange(2**items)
    size_of = np.array([bin(members).count("1") for members in subset])
    best = np.full((len(sizes), len(subset)), np.iinfo(np.int64).max)
    best[:, 0] = capacity  # no bin is open: the last one is full
    for held in range(items):
        for item in range(items):
            before = subset[(size_of == held) & (subset >> item & 1 == 0)]
            state, size, limit = best[:, before], sizes[:, item, None], capacity[:, None]
            opened = (state // bin_ + 1) * bin_ + size
            added = np.where(state % bin_ + size <= limit, state + size, opened)
            after = before | 1 << item
            best[:, after] = np.minimum(best[:, after], added)
    return best[:, -1] // bin_
