"""Any options that a task takes describe problems that keep their promises; any others are refused in one clear line.

Options are drawn from the types and bounds of the fields, so a new option is tested the day it is written.
"""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from factorexe.registry import Registry
from factorexe.testing import tasks as promises

NAMES = Registry("tasks").names()
KEPT = (
    "options_survive_json",
    "difficulties_are_ranges",
    "same_problems_without_the_chain",
    "difficulty_is_what_was_asked_for",
    "rows_agree_in_number_and_type",
    "tokens_are_in_the_alphabet",
    "padding_stands_on_the_right",
    "steps_are_numbered_in_order",
    "widths_bound_what_is_drawn",
    "answers_solve_themselves",
    "text_and_parse_are_inverse",
    "equal_problems_have_equal_solutions",
    "the_chain_determines_the_answer",
    "keys_depend_on_the_problem_alone",
    "typed_problems_are_solved_as_drawn_ones",
    "places_depend_on_nothing_later",
)


def values_of(annotation, bounds):
    """A strategy for one field: all of a closed set, small numbers within the bounds, or None; None if unknown."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return values_of(get_args(annotation)[0], [*bounds, *get_args(annotation)[1:]])
    if origin is Literal:
        return st.sampled_from(get_args(annotation))
    if origin in (Union, types.UnionType):
        parts = [st.none() if part is type(None) else values_of(part, bounds) for part in get_args(annotation)]
        return None if None in parts else st.one_of(parts)
    if annotation is bool:
        return st.booleans()
    low = next((bound.ge for bound in bounds if isinstance(bound, Ge)), None)
    low = next((bound.gt for bound in bounds if isinstance(bound, Gt)), low if low is not None else 0)
    high = next((bound.le for bound in bounds if isinstance(bound, Le)), None)
    high = next((bound.lt for bound in bounds if isinstance(bound, Lt)), high)
    if annotation is int:
        return st.integers(low, min(low + 12, high if high is not None else low + 12))
    if annotation is float:
        above = high if high is not None else low + 2
        return st.floats(low, above, exclude_min=any(isinstance(bound, Gt) for bound in bounds))
    return None


def options_of(cls):
    """Every option that can be drawn; each is left at its default in half of the draws."""
    drawn = {name: values_of(info.annotation, info.metadata) for name, info in cls.model_fields.items()}
    return st.fixed_dictionaries({}, optional={name: values for name, values in drawn.items() if values is not None})


def check(cls, options: dict[str, Any]) -> bool:
    """Whether the options were taken; they keep every promise, or are refused well."""
    try:
        cls(**options)
    except ValidationError as error:
        for detail in error.errors():
            message = detail["msg"].removeprefix("Value error, ")
            assert "\n" not in message
            assert 10 < len(message) < 300, message
            assert any(name in message for name in cls.model_fields), f"{message!r} names no option"
        return False
    kept = promises.TaskPromises(cls, options)
    for name in KEPT:
        getattr(kept, name)()
    return True


def examine(name, count):
    cls = Registry("tasks").get(name).cls
    taken = []

    @settings(max_examples=count, suppress_health_check=list(HealthCheck))
    @given(options=options_of(cls))
    def look(options):
        taken.append(check(cls, options))

    look()
    assert any(taken)


@pytest.fixture(autouse=True)
def few_problems(monkeypatch):
    monkeypatch.setattr(promises, "COUNT", 12)


@pytest.mark.parametrize("name", NAMES)
def test_any_options_are_kept_or_refused(name):
    examine(name, 12)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_many_more_options_are_kept_or_refused(name):
    examine(name, 300)
