"""The largest value within a budget."""

import pytest

from factorexe.config import ConfigError
from factorexe.sweeps.budgets import largest
from factorexe.sweeps.derived import Budget


def square(value):
    return float(value * value)


@pytest.mark.parametrize(("limit", "unit", "value"), [(100, 1, 10), (99, 1, 9), (99, 4, 8), (1, 1, 1), (10**6, 7, 994)])
def test_the_square_within_a_limit_is_that_of_its_root(limit, unit, value):
    assert largest(Budget("parameters", limit, unit), square) == value


def test_a_value_that_the_option_does_not_allow_is_beyond():
    def allowed_to_20(value):
        if value > 20:
            raise ConfigError("at most 20")
        return square(value)

    assert largest(Budget("parameters", 10**6), allowed_to_20) == 20


def test_an_option_that_costs_nothing_is_refused():
    with pytest.raises(ConfigError, match="still within 5 parameters"):
        largest(Budget("parameters", 5), lambda value: 1.0)


def test_each_value_is_tried_about_twice_the_logarithm_of_times():
    tried = []

    def spent(value):
        tried.append(value)
        return float(value)

    assert largest(Budget("multiply_adds", 1000), spent) == 1000
    assert len(tried) <= 2 * 10 + 1
