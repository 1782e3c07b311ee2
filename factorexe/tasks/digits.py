"""Numbers as columns of digits, least significant first, exact at any length.

A batch of N numbers is an integer array (N, width) in some base::

    >>> times(np.array([[3, 2, 1]]), np.array([[6]]), base=10)   # 123 x 6 = 738
    array([[8, 3, 7, 0]])

Work is vectorised over the batch; only carries run along the digits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

GLYPHS = "0123456789abcdefghijklmnopqrstuvwxyz"

# Primes below 2**63 / 36: a residue times the largest base still fits into 64 bits.
_PRIMES = (2**57 - 13, 2**56 - 5)


def draw(count: int, width: int, base: int, rng: np.random.Generator) -> IntArray:
    """``count`` uniform numbers of exactly ``width`` digits (N, width); a single digit may be 0."""
    digits = rng.integers(0, base, (count, width), dtype=np.int64)
    if width > 1:
        digits[:, -1] = rng.integers(1, base, count, dtype=np.int64)
    return digits


def carried(columns: IntArray, base: int) -> IntArray:
    """Column sums (N, width) as digits (N, width); the value must fit into the width."""
    digits = np.empty_like(columns)
    carry = np.zeros(len(columns), dtype=np.int64)
    for place in range(columns.shape[1]):
        total = columns[:, place] + carry
        carry = total // base
        digits[:, place] = total - carry * base
    return digits


def times(first: IntArray, second: IntArray, base: int) -> IntArray:
    """The products (N, N1 + N2) of numbers (N, N1) and (N, N2)."""
    count, width = first.shape
    columns = np.zeros((count, width + second.shape[1]), dtype=np.int64)
    for place in range(second.shape[1]):
        columns[:, place : place + width] += first * second[:, place, None]
    return carried(columns, base)


def residues(digits: IntArray, base: int) -> IntArray:
    """The numbers modulo two primes near 2**57 (N, 2): equal for equal numbers in any base.

    Numbers below 2**57 are told apart exactly; two longer ones are confused with probability below 2**-112.
    """
    columns = []
    for prime in _PRIMES:
        value = np.zeros(len(digits), dtype=np.int64)
        for place in reversed(range(digits.shape[1])):
            value = (value * base + digits[:, place]) % prime
        columns.append(value)
    return np.stack(columns, axis=1)
