"""How numbers are written: base, order of the digits, and rows whose numbers differ in length.

A batch of numbers is an array of digits (N, width), least significant first (see ``digits``); on paper digit d is
token d + 1, because 0 is padding::

    >>> number = np.array([[8, 2, 1]])              # 128
    >>> written(number, "plain"), written(number, "reversed")
    (array([[2, 3, 9]]), array([[9, 3, 2]]))

Operands are written as people write them; ``digit_order`` is that of what is computed from them.  "reversed", the
order in which carries run, is the "reverse" of Lee et al. 2023 (arXiv:2307.03381).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from factorexe.tasks.base import IntArray, Task
from factorexe.tasks.digits import GLYPHS

Order = Literal["reversed", "plain"]


class NumberFormat(Task):
    """A task that writes numbers: ids 1 to ``base`` are the digits, its other symbols come after them."""

    base: int = Field(10, ge=2, le=36)
    """Base in which numbers are written."""
    digit_order: Order = "reversed"
    """Order of the digits in chain and answer: least significant first, or as in the prompt."""

    @property
    def _glyphs(self) -> tuple[str, ...]:
        """Padding and the digits: what ``symbols`` begins with."""
        return ("", *GLYPHS[: self.base])


def written(number: IntArray, order: Order, length: IntArray | None = None) -> IntArray:
    """Tokens (N, width) of digits (N, width); of the lowest ``length`` (N,) of them, with gaps of 0 for the others."""
    tokens = number + 1
    if length is not None:
        tokens = np.where(np.arange(number.shape[1]) < length[:, None], tokens, 0)
    return tokens if order == "reversed" else tokens[:, ::-1]


def read(tokens: IntArray, order: Order) -> IntArray:
    """Digits (N, width) of right-padded tokens (N, width), zeros above."""
    if order == "plain":
        source = (tokens != 0).sum(axis=1)[:, None] - 1 - np.arange(tokens.shape[1])
        tokens = np.where(source >= 0, np.take_along_axis(tokens, np.maximum(source, 0), axis=1), 0)
    return np.maximum(tokens - 1, 0)


def hinted(tokens: IntArray, hints: IntArray) -> IntArray:
    """Each digit of tokens (N, width) after its hint (N, 2 * width); gaps have none."""
    return np.stack([np.where(tokens != 0, hints, 0), tokens], axis=2).reshape(len(tokens), 2 * tokens.shape[1])


def length(number: IntArray) -> IntArray:
    """How many digits each number has without zeros in front (N,); 0 has one."""
    filled = number != 0
    counts: IntArray = np.where(filled.any(axis=1), number.shape[1] - filled[:, ::-1].argmax(axis=1), 1)
    return counts


def column(count: int, token: int) -> IntArray:
    """One token in every row (N, 1)."""
    return np.full((count, 1), token, dtype=np.int64)


def packed(pieces: Sequence[IntArray], steps: Sequence[int] | None = None) -> tuple[IntArray, IntArray]:
    """Pieces (N, any width) side by side with their gaps closed, right-padded, and the step of each token.

    ``steps`` numbers the pieces; all are step 0 without it.
    """
    tokens = np.concatenate(pieces, axis=1)
    numbers = np.repeat(
        np.zeros(len(pieces), dtype=np.int64) if steps is None else np.array(steps, dtype=np.int64),
        [piece.shape[1] for piece in pieces],
    )
    if tokens.all():
        return tokens, np.broadcast_to(numbers, tokens.shape)
    row, source = np.nonzero(tokens)
    filled = tokens != 0
    target = (np.cumsum(filled, axis=1) - 1)[row, source]
    width = int(filled.sum(axis=1).max(initial=0))
    closed, step = np.zeros((2, len(tokens), width), dtype=np.int64)
    closed[row, target] = tokens[row, source]
    step[row, target] = numbers[source]
    return closed, step
