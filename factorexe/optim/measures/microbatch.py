"""The gradients of K parts of the batch: from one pass of all of it where the model lets parts be told apart
(``one_pass``), else each split off before its forward pass.

How the batch is split decides what agreement means.  64 problems of 2, 3 and 4 digits in 3 parts::

    random         any 21 or 22 of them          agreement is less noise
    stratified     as many of each size in each  the same with the sizes held equal
    difficulty     the 2s, the 3s, the 4s        agreement is what holds for every size: invariance
    some_key       by any group of the task's examples, in the same way

A group is never torn apart: there are at most as many parts as groups, neighbouring values share one where there are
more, and parts are as equal as that allows.  Parts of unequal size count by the tokens they speak for.
"""

from __future__ import annotations

import itertools
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from factorexe.choice import Choice
from factorexe.optim.measure import Measure, MeasureConfig, Pending, Several, Step
from factorexe.optim.measures.plain import Plain


class Microbatch(Measure):
    """Gradients of parts.

    Args:
        parts: K.
        split: random, stratified, difficulty, or a key of the examples' groups.
        inner: what each part is asked for.
    """

    def __init__(self, parts: int, split: str, inner: Measure) -> None:
        self.parts, self.split, self.inner = parts, split, inner
        self.guides, self.passes = inner.guides, inner.passes
        self.gradients = parts * inner.gradients

    def begin(self, step: Step, batch: Any) -> Pending:
        """The losses of the parts."""
        rows = divided(batch.examples, self.parts, self.split)

        def of_each() -> Pending:
            return Several([self.inner.begin(step, batch.select(torch.from_numpy(part))) for part in rows])

        one_pass = step.in_one_pass(batch, rows, of_each) if isinstance(self.inner, Plain) and len(rows) > 1 else None
        return of_each() if one_pass is None else one_pass


def divided(examples: Any, parts: int, split: str) -> list[Any]:
    """Row numbers of each part of N examples; no part is empty."""
    count = len(examples)
    if split == "random":  # batches are in random order
        order, even, more = np.arange(count), count // parts, count % parts
        ends = itertools.accumulate((even + (part < more) for part in range(parts)), initial=0)
        return _filled([order[begin:end] for begin, end in itertools.pairwise(ends)])
    if split == "stratified":
        order = np.argsort(examples.difficulty, kind="stable")
        return _filled([np.sort(order[first::parts]) for first in range(parts)])
    key = examples.difficulty if split == "difficulty" else examples.groups[split]
    _, group, sizes = np.unique(key, return_inverse=True, return_counts=True)
    middle = np.cumsum(sizes) - sizes / 2
    part = (middle * parts / count).astype(np.int64)[group]
    return _filled([np.flatnonzero(part == number) for number in range(parts)])


def _filled(parts: list[Any]) -> list[Any]:
    return [part for part in parts if len(part)]


class MicrobatchConfig(MeasureConfig):
    """The gradients of parts of the batch."""

    parts: int = Field(8, ge=1)
    """Parts; fewer where there are not as many problems, or groups."""
    split: str = "random"
    """How problems are shared out: random, stratified (as many of each difficulty in each part), difficulty, or the
    name of a group of the task's examples."""
    inner: Annotated[Any, Choice("measures", "plain")]
    """What each part is asked for."""

    def build(self) -> Microbatch:
        """The measure."""
        return Microbatch(self.parts, self.split, self.inner.build())

    def check(self, step: Step, batch: Any) -> None:
        """The batch's examples have that group."""
        known = ["random", "stratified", "difficulty", *batch.examples.groups]
        if self.split not in known:
            raise ValueError(f"split: this task has no group {self.split!r}; use one of {', '.join(known)}")
        self.inner.check(step, batch)
