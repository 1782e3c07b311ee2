"""Rows of tokens whose lengths differ: what several tasks need to write them."""

from __future__ import annotations

import numpy as np

from factorexe.tasks.base import IntArray


def closed_up(tokens: IntArray, steps: IntArray) -> tuple[IntArray, IntArray]:
    """``tokens`` (N, L) without the zeros between them, right-padded, and the step of each (N, L).

    >>> closed_up(np.array([[5, 0, 7]]), np.array([[0, 0, 1]]))
    (array([[5, 7, 0]]), array([[0, 1, 0]]))
    """
    row, column = np.nonzero(tokens)
    place = np.cumsum(tokens != 0, axis=1)[row, column] - 1
    closed, numbers = np.zeros((2, *tokens.shape), dtype=np.int64)
    closed[row, place] = tokens[row, column]
    numbers[row, place] = steps[row, column]
    return closed, numbers
