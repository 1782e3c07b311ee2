"""Factorials against those done in the head, Python's integers, Wilson's theorem and multiplication's own steps."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import in_base

from factorexe.tasks.factorial import Factorial
from factorexe.tasks.multiplication import Multiplication


def solved(task, *numbers):
    """Prompt, chain and answer of each number, as text."""
    typed = [task.parse(in_base(number, task.base)) for number in numbers]
    width = max(map(len, typed))
    found = task.complete(np.stack([np.pad(row, (0, width - len(row))) for row in typed]))
    return [
        tuple(task.text(tokens[row]) for tokens in (found.prompt, found.chain, found.answer))
        for row in range(len(found))
    ]


def as_written(number, task):
    text = in_base(number, task.base)
    return text[::-1] if task.digit_order == "reversed" else text


def products(n, order):
    """Every running product."""
    factors = range(1, n + 1) if order == "ascending" else range(n, 0, -1)
    reached = 1
    for factor in factors:
        reached *= factor
        yield reached


def test_five_factorial_downwards_and_upwards():
    assert solved(Factorial(digit_order="plain"), 5) == [("5", ">5>20>60>120>120", "120")]
    assert solved(Factorial(), 5) == [("5", ">5>02>06>021>021", "021")]
    assert solved(Factorial(order="ascending"), 5) == [("5", ">1>2>6>42>021", "021")]
    assert solved(Factorial(), 1) == [("1", ">1", "1")]


def test_modulo_seven_every_step_is_a_remainder():
    task = Factorial(form="modulus", modulus=7)
    assert solved(task, 6) == [("6", ">6>2>1>3>6>6", "6")]  # 6, 30, 4x2 = 8, 3, 6, 6
    assert solved(task, 7) == [("7", ">0>0>0>0>0>0>0", "0")]


def test_long_detail_by_hand():
    assert solved(Factorial(detail="long"), 4) == [("4", ";4*3+21;12*2+420;24*1+420;24", "42")]
    assert solved(Factorial(detail="long", order="ascending"), 3) == [("3", ";1*2+20;2*3+60;6", "6")]
    assert solved(Factorial(detail="long"), 1) == [("1", ";1", "1")]


@given(
    numbers=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    base=st.integers(2, 36),
    digit_order=st.sampled_from(["reversed", "plain"]),
    order=st.sampled_from(["descending", "ascending"]),
    modulus=st.none() | st.integers(2, 2**31),
)
def test_products_are_those_of_integers(numbers, base, digit_order, order, modulus):
    form = {} if modulus is None else {"form": "modulus", "modulus": modulus}
    task = Factorial(base=base, digit_order=digit_order, order=order, **form)
    for n, (prompt, chain, answer) in zip(numbers, solved(task, *numbers), strict=True):
        assert prompt == in_base(n, base)
        reached = [number if modulus is None else number % modulus for number in products(n, order)]
        assert chain == "".join(">" + as_written(number, task) for number in reached)
        assert answer == as_written(reached[-1], task)


@given(
    n=st.integers(1, 30),
    base=st.sampled_from([2, 3, 10, 36]),
    digit_order=st.sampled_from(["reversed", "plain"]),
    order=st.sampled_from(["descending", "ascending"]),
)
def test_long_steps_are_those_of_multiplication_token_for_token(n, base, digit_order, order):
    task = Factorial(detail="long", base=base, digit_order=digit_order, order=order)
    other = Multiplication(base=base, digit_order=digit_order)
    assert task.symbols[: len(other.symbols)] == other.symbols
    ((_, chain, _),) = solved(task, n)
    *steps, last = chain[1:].split(";")
    reached = list(products(n, order))
    factors = range(2, n + 1) if order == "ascending" else range(n - 1, 0, -1)
    for step, product, factor in zip(steps, reached[:-1], factors, strict=True):
        problem = f"{in_base(product, base)}*{in_base(factor, base)}"
        assert step == problem + other.text(other.complete(other.parse(problem)[None]).chain[0])
    assert last == in_base(reached[-1], base)


def test_long_steps_of_many_numbers_in_one_batch_are_those_of_each_alone():
    task = Factorial(detail="long")
    assert solved(task, 3, 12, 101, 1, 24) == [solved(task, n)[0] for n in (3, 12, 101, 1, 24)]


def test_steps_count_the_products():
    for detail, mark in (("product", ">"), ("long", ";")):
        task = Factorial(detail=detail)
        found = task.complete(task.parse("13")[None])
        opened = np.cumsum(found.chain[0] == task.symbols.index(mark)) - 1
        assert (found.chain_step[0] == opened).all()
        assert opened[-1] == 12


@pytest.mark.parametrize("n", [1, 9, 10, 11, 13, 24, 60, 170])
def test_seven_figures_are_those_of_the_ancestors_script(n):
    ((_, chain, answer),) = solved(Factorial(form="significant"), n)
    assert answer == f"{float(math.factorial(n)):.7g}"
    assert chain.split(">")[1:] == [f"{float(product):.7g}" for product in products(n, "descending")]


def test_thirteen_factorial_in_seven_figures():
    assert solved(Factorial(form="significant"), 13)[0][2] == "6.227021e+09"  # 6227020800


def test_digits_are_exact_where_floats_have_ended():
    task = Factorial(held_out="range", smallest=1000, largest=1001, val_smallest=1001, val_largest=1001)
    drawn = task.sample(np.array([1000, 1001, 1006]), np.random.default_rng(0), chain=False)
    for row, n in enumerate((1000, 1001, 1006)):
        value = 0
        for token in reversed(drawn.answer[row][drawn.answer[row] != 0].tolist()):
            value = value * 10 + token - 1
        assert value == math.factorial(n)
        assert task.widths(n).answer == (drawn.answer[row] != 0).sum()


@pytest.mark.parametrize("p", [2, 3, 5, 97, 1009])
def test_wilsons_theorem(p):
    task = Factorial(form="modulus", modulus=p, digit_order="plain")
    assert solved(task, p - 1)[0][2] == str(p - 1)


@pytest.mark.parametrize("m", [6, 9, 100])
def test_wilsons_theorem_fails_for_composite_numbers(m):
    task = Factorial(form="modulus", modulus=m, digit_order="plain")
    assert solved(task, m - 1)[0][2] == "0"


def test_upwards_a_chain_begins_with_that_of_every_smaller_number_and_downwards_not():
    up, down = (
        [chain for _, chain, _ in solved(Factorial(order=order), *range(3, 25))]
        for order in ("ascending", "descending")
    )
    assert all(later.startswith(chain) for chain, later in itertools.pairwise(up))
    assert not any(later.startswith(chain) for chain, later in itertools.pairwise(down))


@pytest.mark.parametrize(
    "options", [{}, {"base": 3}, {"order": "ascending"}, {"detail": "long"}, {"detail": "long", "base": 2}]
)
def test_widths_are_exact(options):
    task = Factorial(**options)
    for n in (1, 2, 10, 19, 24):
        found = task.complete(task.parse(in_base(n, task.base))[None])
        widths = [(tokens != 0).sum() for tokens in (found.prompt, found.chain, found.answer)]
        assert list(task.widths(n)) == widths


def test_long_products_must_be_exact():
    with pytest.raises(ValueError, match=r"form must be exact \(got modulus\)"):
        Factorial(detail="long", form="modulus")
