"""In its coordinates every operation is an addition."""

import numpy as np
import pytest

from factorexe.probes.coordinates import coordinates
from factorexe.tasks.modular import Modular


def answers(operation, modulus):
    """(n, n) what the task itself answers to every cell."""
    found = coordinates(operation, modulus)
    first, second = found.pairs.T
    prompt = np.stack([first + 1, np.full_like(first, modulus + 1), second + 1], axis=1)
    examples = Modular(modulus=modulus, operation=operation).complete(prompt)
    return examples.answer[:, 0].reshape(len(found.first), -1) - 1


@pytest.mark.parametrize("operation", ["add", "subtract", "multiply", "divide"])
@pytest.mark.parametrize("modulus", [5, 13, 23])
def test_the_answer_depends_on_the_sum_of_the_coordinates_alone(operation, modulus):
    table = answers(operation, modulus)
    n = len(table)
    x, y = np.indices((n, n))
    assert n == (modulus if operation in ("add", "subtract") else modulus - 1)
    assert (table == table[0][(x + y) % n]).all()
    assert len(np.unique(table[0])) == n


def test_three_is_the_least_primitive_root_of_seven():
    assert coordinates("multiply", 7).first.tolist() == [1, 3, 2, 6, 4, 5]


def test_sums_need_no_prime_and_products_do():
    assert len(coordinates("add", 12).first) == 12
    assert coordinates("multiply", 12) is None


@pytest.mark.parametrize(
    ("operation", "modulus"),
    [("squares", 7), ("mixed", 7), ("quadratic", 7), ("cubic", 7), ("multiply", 3), ("add", 2)],
)
def test_what_has_no_coordinates_or_no_waves_has_none(operation, modulus):
    assert coordinates(operation, modulus) is None


@pytest.mark.parametrize("operation", ["subtract", "divide"])
def test_pairs_are_found_in_the_cell_in_which_they_stand(operation):
    found = coordinates(operation, 11)
    first, second = found.pairs.T
    assert found.cells(first, second).tolist() == list(range(len(first)))


def test_pairs_without_coordinates_are_left_out():
    found = coordinates("multiply", 7)
    cells = found.cells(np.array([0, 3, 5, 3]), np.array([2, 3, 0, 1]))
    assert cells.tolist() == [1 * 6 + 1, 1 * 6 + 0]  # 3 = 3^1 and 1 = 3^0
