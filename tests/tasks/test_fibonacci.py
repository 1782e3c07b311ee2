"""Fibonacci numbers against those done in the head, Python's integers and the doubling formulas."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from factorexe.tasks.fibonacci import Fibonacci


def solved(task, n):
    found = task.complete(task.parse(np.base_repr(n, task.base).lower())[None])
    return task.text(found.chain[0]), task.text(found.answer[0])


def number(text, task):
    return int(text[::-1] if task.digit_order == "reversed" else text, task.base)


def doubled(n):
    """F(n) and F(n + 1) by F(2k) = F(k) (2 F(k+1) - F(k)) and F(2k+1) = F(k)^2 + F(k+1)^2."""
    if n == 0:
        return 0, 1
    here, following = doubled(n // 2)
    even, odd = here * (2 * following - here), here**2 + following**2
    return (odd, even + odd) if n % 2 else (even, odd)


def test_pairs_up_to_the_seventh():
    assert solved(Fibonacci(), 1) == (">1,1", "1")
    assert solved(Fibonacci(digit_order="plain"), 7) == (">1,1>1,2>2,3>3,5>5,8>8,13>13,21", "13")
    assert solved(Fibonacci(), 7) == (">1,1>1,2>2,3>3,5>5,8>8,31>31,12", "31")


def test_modulo_two_every_third_is_even():
    task = Fibonacci(form="modulus", modulus=2)
    assert solved(task, 6) == (">1,1>1,0>0,1>1,1>1,0>0,1", "0")


@given(
    n=st.integers(1, 150),
    base=st.integers(2, 36),
    order=st.sampled_from(["reversed", "plain"]),
    modulus=st.none() | st.integers(2, 2**31),
)
def test_every_pair_is_that_of_integers(n, base, order, modulus):
    form = {} if modulus is None else {"form": "modulus", "modulus": modulus}
    task = Fibonacci(base=base, digit_order=order, **form)
    chain, answer = solved(task, n)
    pairs = [tuple(number(text, task) for text in pair.split(",")) for pair in chain.split(">")[1:]]
    expected = [doubled(k) for k in range(1, n + 1)]
    assert pairs == [tuple(value % modulus if modulus else value for value in pair) for pair in expected]
    assert number(answer, task) == pairs[-1][0]


def test_the_two_thousandth_is_exact():
    task = Fibonacci(digit_order="plain")
    assert int(solved(task, 2000)[1]) == doubled(2000)[0]


def test_widths_are_exact():
    task = Fibonacci()
    for n in (1, 7, 24):
        chain, answer = solved(task, n)
        assert list(task.widths(n)) == [len(str(n)), len(chain), len(answer)]


def test_seven_figures_of_a_long_one():
    assert solved(Fibonacci(form="significant"), 50)[1] == "1.258627e+10"  # 12586269025


def test_widths_hold_long_numbers_in_seven_figures():
    task = Fibonacci(form="significant", held_out="range", largest=60)
    for n in (38, 45, 60):
        chain, answer = solved(task, n)
        bound = task.widths(n)
        assert len(chain) <= bound.chain
        assert len(answer) <= bound.answer
