"""What can be said of numbers that are only known to be greater than a limit."""

from math import inf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorexe.sweeps.censored import Measured, mean, quantile


def numbers(text):
    """``100 >500`` as two numbers."""
    return [Measured(float(word.lstrip(">")), ">" if word.startswith(">") else "") for word in text.split()]


@pytest.mark.parametrize(
    ("text", "median"),
    [
        ("100 200 400", Measured(200)),
        ("400 100", Measured(250)),
        ("100 200 >500", Measured(200)),
        ("100 >500 >500", Measured(500, ">")),
        ("100 >500", Measured(300, ">")),
        ("300 >200 400", Measured(300, ">=")),
        ("100 >500 500", Measured(500)),  # what is beyond 500 stands behind 500
        (">500", Measured(500, ">")),
        ("7", Measured(7)),
    ],
)
def test_the_median_is_a_number_only_where_it_cannot_change(text, median):
    assert quantile(numbers(text), 0.5) == median


def test_quartiles_of_five_are_the_second_and_the_fourth():
    five = numbers("30 10 50 20 40")
    assert quantile(five, 0.25) == Measured(20)
    assert quantile(five, 0.75) == Measured(40)
    assert [quantile(five, share).value for share in (0, 1)] == [10, 50]


def test_quartiles_of_two_lie_a_quarter_of_the_way_from_either():
    assert quantile(numbers("0 8"), 0.25) == Measured(2)
    assert quantile(numbers("0 8"), 0.75) == Measured(6)


def test_the_mean_is_a_bound_as_soon_as_one_number_is():
    assert mean(numbers("100 200 600")) == Measured(300)
    assert mean(numbers("100 200 >600")) == Measured(300, ">=")


def test_nan_is_not_hidden_and_infinity_is_the_largest_number():
    assert isnan(quantile([Measured(1.0), Measured(nan), Measured(2.0)], 0.5).value)
    assert isnan(mean([Measured(1.0), Measured(nan)]).value)
    assert quantile([Measured(inf), Measured(1.0), Measured(2.0)], 0.5) == Measured(2)
    assert quantile([Measured(inf), Measured(inf)], 0.5) == Measured(inf)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.integers(1, 20)), min_size=1, max_size=6),
    st.sampled_from([0, 0.25, 0.5, 0.75, 1]),
)
def test_whatever_the_unknown_numbers_are_what_was_said_holds(drawn, share):
    said = quantile([Measured(value, ">" if beyond else "") for value, beyond, _ in drawn], share)
    truth = quantile([Measured(value + more if beyond else value) for value, beyond, more in drawn], share)
    if said.known:
        assert truth == said
    else:
        assert truth.value > said.value or (said.sign == ">=" and truth.value == said.value)
