"""Seven significant digits of a long number, as C's and Python's ``%.7g`` write them::

    5040            5040
    3628800         3628800
    39916800        3.99168e+07        zeros at the end of the fraction are dropped
    6227020800      6.227021e+09       rounded to nearest, ties to even, from all digits of the number

Python's own ``"%.7g" % float(n)`` rounds twice, to binary and then to decimal, and ends at 1.8e308.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from factorexe.tasks.base import IntArray
from factorexe.tasks.formats import column, length, written

MARKS = (".", "e", "+")
_FIGURES = 7
_EXPONENT = 6  # digits it may have


def in_figures(number: IntArray, marks: Sequence[int]) -> IntArray:
    """Tokens (N, width), with gaps of 0, of decimal digits (N, digits), least significant first.

    ``marks`` are the tokens of ``MARKS``.
    """
    point, times_ten, plus = (column(len(number), token) for token in marks)
    size = length(number)
    figures, exponent = _rounded(number, size)
    behind = figures[:, -2::-1]  # the fraction, as it is read
    dropped = np.cumsum(behind[:, ::-1], axis=1)[:, ::-1] == 0
    power = exponent[:, None] // 10 ** np.arange(_EXPONENT) % 10
    long = np.concatenate(
        [
            figures[:, -1:] + 1,
            np.where(dropped[:, :1], 0, point),
            np.where(dropped, 0, behind + 1),
            times_ten,
            plus,
            written(power, "plain", np.maximum(length(power), 2)),
        ],
        axis=1,
    )
    low = np.pad(number, ((0, 0), (0, max(0, _FIGURES - number.shape[1]))))[:, :_FIGURES]
    short = np.pad(written(low, "plain", size), ((0, 0), (0, long.shape[1] - _FIGURES)))
    return np.where((size > _FIGURES)[:, None], long, short)


def widest(digits: int) -> int:
    """The most characters that a number of so many digits takes."""
    return digits if digits <= _FIGURES else _FIGURES + 3 + max(2, len(str(digits - 1)))


def _rounded(number: IntArray, size: IntArray) -> tuple[IntArray, IntArray]:
    """The leading digits (N, 7), least significant first, and the exponent of the first of them (N,)."""
    place = size[:, None] - _FIGURES + np.arange(_FIGURES)
    head = np.where(place >= 0, np.take_along_axis(number, np.maximum(place, 0), axis=1), 0)
    value = (head * 10 ** np.arange(_FIGURES)).sum(axis=1)
    next_place = size - _FIGURES - 1
    following = np.take_along_axis(number, np.maximum(next_place, 0)[:, None], axis=1)[:, 0]
    more = (number * (np.arange(number.shape[1]) < next_place[:, None])).any(axis=1)
    up = (next_place >= 0) & ((following > 5) | ((following == 5) & (more | (value % 2 == 1))))
    value = value + up
    over = value == 10**_FIGURES
    value = np.where(over, value // 10, value)
    return value[:, None] // 10 ** np.arange(_FIGURES) % 10, size - 1 + over
