"""Regression against |x| and against interpolation between the corners of the zigzag."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorexe.tasks.base import Values
from factorexe.tasks.regression import Regression


def typed(task, *numbers):
    x = np.array(numbers)[:, None]
    return task.complete(np.ones(x.shape, dtype=np.int64), x)


def drawn(task, levels, seed=0, count=200):
    return task.sample(np.repeat(levels, count), np.random.default_rng(seed))


def test_two_pieces_are_the_absolute_value_far_outside_too():
    found = typed(Regression(), -0.25, 0.75, -1.4, 0.0)
    assert found.values.answer[:, 0].tolist() == pytest.approx([0.25, 0.75, 1.4, 0.0])
    assert [Regression().text(chain) for chain in found.chain] == ["p0", "p1", "p0", "p1"]


def test_a_problem_is_written_with_its_numbers_and_read_back():
    task = Regression()
    found = typed(task, -0.25)
    assert task.texts(found, 0) == ("x=-0.25", "p0", "y=0.25")
    assert task.parse("x=-0.25").tolist() == [1]
    assert task.parse_values("x=-0.25").tolist() == [-0.25]


@given(pieces=st.integers(1, 9), seed=st.integers(0, 99))
def test_inside_it_interpolates_between_corners_of_height_one_and_zero(pieces, seed):
    found = drawn(Regression(pieces=pieces), [0], seed)
    x, y = found.values.prompt[:, 0], found.values.answer[:, 0]
    corners = np.linspace(-1, 1, pieces + 1)
    assert y == pytest.approx(np.interp(x, corners, np.arange(pieces + 1) % 2 == 0), abs=1e-9)
    piece = found.chain[:, 0] - 3
    assert ((corners[piece] <= x + 1e-9) & (x <= corners[piece + 1] + 1e-9)).all()


@given(reach=st.floats(0.1, 5), levels=st.integers(1, 5), seed=st.integers(0, 99))
def test_difficulty_is_the_distance_from_the_interval_in_units_of_reach(reach, levels, seed):
    found = drawn(Regression(reach=reach, ood_levels=levels), range(levels + 1), seed)
    beyond = np.abs(found.values.prompt[:, 0]) - 1
    assert (beyond[found.difficulty == 0] <= 0).all()
    for level in range(1, levels + 1):
        within = beyond[found.difficulty == level] / reach
        assert within.min() >= level - 1 - 1e-3
        assert within.max() <= level + 1e-3
        assert (found.values.prompt[found.difficulty == level] < 0).mean() == pytest.approx(0.5, abs=0.15)


def test_solved_is_one_number_within_the_tolerance():
    task = Regression(tolerance=0.1)
    problems = typed(task, 0.5, 0.5, 0.5, 0.5)
    answer = np.array([[2, 0], [2, 0], [2, 2], [1, 0]])  # a number, a number too far, two numbers, x instead of y
    numbers = np.array([[0.59, 1], [0.61, 1], [0.5, 0.5], [0.5, 1]])
    assert task.solved(problems, answer, numbers).tolist() == [True, False, False, False]
    error = task.qualities(problems, answer, numbers)["squared_error"]
    assert error[:2] == pytest.approx([0.0081, 0.0121])
    assert np.isnan(error[2:]).all()


def test_the_key_is_the_number_whatever_the_function():
    assert Regression(pieces=5).key(typed(Regression(pieces=5), 0.125)).tolist() == [[1250]]
    assert Regression().key(typed(Regression(), 0.125)).tolist() == [[1250]]


@pytest.mark.parametrize("prompt", [[[2]], [[1, 1]]])
def test_anything_but_one_x_is_refused(prompt):
    prompt = np.array(prompt)
    with pytest.raises(ValueError, match=r"expected a number such as x=0.25"):
        Regression().complete(prompt, np.ones(prompt.shape))


def test_answers_without_numbers_are_a_programming_error():
    with pytest.raises(ValueError, match="give the values"):
        Regression().solved(typed(Regression(), 0.5), np.array([[2]]))


def test_values_follow_their_rows():
    found = drawn(Regression(), [0, 1])
    some = found.select([3, 250])
    assert isinstance(some.values, Values)
    assert some.values.prompt[1, 0] == found.values.prompt[250, 0]
