"""Which n there are, for tasks that have one problem for every n: difficulty is n itself.

What is trained on is a choice among a few dozen numbers::

    held_out     train              val              ood
    ancestor     1-9 and 15-19      10-14            20-24       Fchaubard/factorial_experiments on GitHub
    range        the others up to   val_smallest to  the rest up to
                 largest            val_largest      ood_largest
    hash         70 % of them       10 %             half of those up to ood_largest

``span`` makes so many n in a row one difficulty, for the larger families that a modulus allows.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from factorexe.tasks.base import SPLITS, Examples, IntArray, Task
from factorexe.tasks.limbs import MOST

_ANCESTOR = {"smallest": 1, "largest": 19, "val_smallest": 10, "val_largest": 14, "last": 24, "span": 1}


class NumberFamily(Task):
    """A task whose key is a number n."""

    axis: ClassVar[str] = "the number n, or the span that it lies in"

    held_out: Literal["ancestor", "range", "hash"] = "ancestor"
    """Which n are not trained on: 10 to 14 of 1 to 19, `val_smallest` to `val_largest`, or by a hash of n."""
    smallest: int = Field(1, ge=1, le=MOST)
    """Smallest n."""
    largest: int = Field(19, ge=1, le=MOST)
    """Largest n in training."""
    val_smallest: int = Field(10, ge=1, le=MOST)
    """Smallest n in val, where a range is held out."""
    val_largest: int = Field(14, ge=1, le=MOST)
    """Largest n in val, where a range is held out."""
    ood_largest: int | None = Field(None, ge=2, le=MOST)
    """Largest n out of distribution, which begins one above `largest`; five difficulties more if not given."""
    span: int = Field(1, ge=1, le=MOST)
    """So many n in a row are one difficulty."""

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> NumberFamily:
        if self.held_out == "ancestor":
            got = {name: self._last if name == "last" else getattr(self, name) for name in _ANCESTOR}
            if wrong := [name.replace("last", "ood_largest") for name in got if got[name] != _ANCESTOR[name]]:
                raise ValueError(
                    f"held_out ancestor fixes which n there are (1 to 24), so {', '.join(wrong)} cannot be chosen;"
                    " use held_out range or hash"
                )
        if self.smallest > self.largest:
            raise ValueError(f"smallest ({self.smallest}) must not exceed largest ({self.largest})")
        if self.largest % self.span:
            raise ValueError(
                f"largest ({self.largest}) must be a multiple of span ({self.span}), so that ood begins a difficulty"
            )
        if not self.largest < self._last <= MOST:
            raise ValueError(f"ood_largest ({self._last}) must exceed largest ({self.largest}) and be at most {MOST}")
        inside = self.smallest <= self.val_smallest <= self.val_largest <= self.largest
        if self.held_out == "range" and not inside:
            raise ValueError(
                f"val_smallest to val_largest ({self.val_smallest} to {self.val_largest}) must lie within smallest to"
                f" largest ({self.smallest} to {self.largest})"
            )
        if self.held_out == "range" and self.val_largest - self.val_smallest == self.largest - self.smallest:
            raise ValueError(f"val takes every n from {self.smallest} to {self.largest}; leave some to train on")
        return self

    @property
    def train_difficulty(self) -> tuple[int, int]:
        """From ``smallest`` to ``largest``, in spans."""
        return (-(-self.smallest // self.span), self.largest // self.span)

    @property
    def ood_difficulty(self) -> tuple[int, int]:
        """What lies above ``largest``, in spans."""
        return (self.largest // self.span + 1, -(-self._last // self.span))

    def split(self, examples: Examples, split_seed: int) -> IntArray:
        """By n; where a range is held out there is no guide, test or ood_test."""
        if self.held_out == "hash":
            return super().split(examples, split_seed)
        number = self.key(examples)[:, 0]
        held = (number >= self.val_smallest) & (number <= self.val_largest)
        home = np.where(held, SPLITS.index("val"), SPLITS.index("train"))
        return np.where(number > self.largest, SPLITS.index("ood"), home)

    def _bounds(self, difficulty: IntArray) -> tuple[IntArray, IntArray]:
        """Smallest and largest n of each difficulty."""
        top = np.asarray(difficulty) * self.span
        return np.maximum(top - self.span + 1, self.smallest), np.minimum(top, self._last)

    @property
    def _last(self) -> int:
        return self.ood_largest or self.largest + 5 * self.span
