"""Numbers of any length in limbs of several digits: exact, and quick to add to and to multiply by small numbers.

A batch is an array (N, limbs), least significant first; a limb times ``MOST`` fits into 64 bits many times over::

    >>> numbers = Limbs(base=10)
    >>> numbers.digits(numbers.settled(np.array([[999999999999 * 3, 0]])))[0]   # limbs of 12 digits
    array([7, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 2])

With a modulus a number is its remainder, in one limb.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from factorexe.tasks.base import IntArray
from factorexe.tasks.formats import length

MOST = 4096  # what a number may be multiplied by
_BITS = 40


@dataclasses.dataclass(frozen=True)
class Limbs:
    """How numbers are held."""

    base: int
    modulus: int | None = None

    def zeros(self, count: int, largest: int) -> IntArray:
        """Zeros (N, limbs) that can hold ``largest``."""
        bits = 1 if self.modulus is not None else largest.bit_length()
        limbs = 1 + int(bits / (self._digits_each * math.log2(self.base)))
        return np.zeros((count, limbs), dtype=np.int64)

    def settled(self, columns: IntArray) -> IntArray:
        """Sums and products of limbs (N, limbs), which may exceed a limb, as a number again."""
        value: IntArray = columns.copy()
        if self.modulus is not None:
            value %= self.modulus
            return value
        limb = self.base**self._digits_each
        while (carry := value // limb).any():  # seldom more than twice: a limb is hardly ever full
            value -= carry * limb
            value[:, 1:] += carry[:, :-1]
        return value

    def digits(self, value: IntArray) -> IntArray:
        """Digits (N, width) of limbs (N, limbs), without columns that are zero in every row."""
        parts = value[:, :, None] // self.base ** np.arange(self._digits_each) % self.base
        digits = parts.reshape(len(value), -1)
        return digits[:, : int(length(digits).max(initial=1))]

    @property
    def _digits_each(self) -> int:
        return int(_BITS / math.log2(self.base))


def count_digits(number: int, base: int) -> int:
    """How many digits a number of any size has."""
    digits = int(math.log(max(number, 1), base))  # one too few, or right, or where rounding errs one off that
    while base**digits <= number:
        digits += 1
    while digits > 1 and base ** (digits - 1) > number:
        digits -= 1
    return max(digits, 1)
