"""Long multiplication, written out: the one chain of every task that multiplies by hand.

For each digit of the second number the partial product and, from the second digit on, the running sum, shifted to
its place::

    123*456    +8370            123 x 6 =   738
               +5160>88860      123 x 5 =   615, shifted by one and added: 6888
               +2940>880650     123 x 4 =   492, shifted by two and added: 56088

A model that was trained on ``multiplication`` has seen every such line.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from factorexe.tasks.base import IntArray
from factorexe.tasks.digits import carried, times
from factorexe.tasks.formats import column, packed


def written_out(
    first: IntArray,
    second: IntArray,
    *,
    base: int,
    written: Callable[[IntArray, int], IntArray],
    partial_mark: int,
    sum_mark: int,
) -> tuple[IntArray, IntArray, IntArray]:
    """Chain (N, C), the step of each of its tokens (N, C), and the product (N, N1 + N2) of digits (N, N1), (N, N2).

    Args:
        written: tokens of a computed number whose lowest digit has the given significance (0 for ones).
        partial_mark: token before a partial product.
        sum_mark: token before a running sum.
    """
    plus, reached = column(len(first), partial_mark), column(len(first), sum_mark)
    pieces: list[IntArray] = []
    steps: list[int] = []
    total = np.zeros((len(first), 0), dtype=np.int64)
    for place in range(second.shape[1]):
        partial = times(first, second[:, place, None], base)
        line = [plus, written(partial, place)]
        total = shifted_sum(total, partial, place, base) if place else partial
        if place:
            line += [reached, written(total, 0)]
        pieces += line
        steps += [place] * len(line)
    return *packed(pieces, steps), total


def shifted_sum(total: IntArray, partial: IntArray, place: int, base: int) -> IntArray:
    """The running sum (N, N1 + place + 1) after a partial product (N, N1 + 1) is added at its place."""
    columns = np.pad(total, ((0, 0), (0, 1)))
    columns[:, place:] += partial
    return carried(columns, base)
