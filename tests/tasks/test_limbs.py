"""Long numbers in limbs against Python's integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorexe.tasks.limbs import MOST, Limbs, count_digits


def value(limbs, number):
    digits = limbs.digits(number)[0].tolist()
    return sum(digit * limbs.base**place for place, digit in enumerate(digits))


@given(
    base=st.integers(2, 36),
    factors=st.lists(st.integers(1, MOST), min_size=1, max_size=30),
    modulus=st.none() | st.integers(2, 2**31),
)
def test_products_are_exact(base, factors, modulus):
    limbs, expected = Limbs(base, modulus), 1
    number = limbs.zeros(1, MOST ** len(factors))
    number[:, 0] = 1
    for factor in factors:
        number, expected = limbs.settled(number * factor), expected * factor
    assert value(limbs, number) == (expected % modulus if modulus else expected)


def test_a_carry_runs_through_full_limbs():
    limbs = Limbs(10)  # of twelve digits
    nines = limbs.settled(np.array([[10**12 - 1, 10**12 - 1, 0]]))
    nines[:, 0] += 1
    assert limbs.settled(nines).tolist() == [[0, 0, 1]]
    assert limbs.digits(np.zeros((1, 3), dtype=np.int64)).tolist() == [[0]]


@pytest.mark.parametrize("base", [2, 3, 10, 36])
def test_digits_are_counted_exactly_at_powers_of_the_base(base):
    assert count_digits(0, base) == 1
    for power in (1, 2, 3, 20, 500):
        assert count_digits(base**power, base) == power + 1
        assert count_digits(base**power - 1, base) == power
