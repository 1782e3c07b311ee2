"""Expressions and conditions on options: what they come to, and what is said where they come to nothing."""

import pickle

import pytest

from factorexe.config import ConfigError, resolve
from factorexe.sweeps.conditions import Condition
from factorexe.sweeps.expressions import Expression

OPTIONS = {
    "task": {"name": "multiplication", "digits": 3, "second_digits": None},
    "model": {"name": "transformer", "width": 64, "layers": 2, "inner": {"name": "gru", "width": 16}},
    "trainer": {"max_steps": 500, "compile": False},
    "seed": 3,
}


def message(error):
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4 * model.width", 256),
        ("model.width // model.inner.width", 4),
        ("round(trainer.max_steps / 3)", 167),
        ("int(sqrt(model.width)) + log2(model.width)", 14.0),
        ("min(model.width, 32) - max([1, model.layers])", 30),
        ("2 ** model.layers % 3", 1),
        ("seed if model.layers > 2 else -seed", -3),
        ("model", "transformer"),
        ("model.name", "transformer"),
        ("model.inner", "gru"),
        ('model == "transformer" and model.width in [64, 128]', True),
        ("1 < model.layers <= 2", True),
        ("not trainer.compile", True),
        ("trainer.compile == true or trainer.compile == True", False),
        ("task.second_digits is None and task.second_digits == null", True),
        ("task.digits not in (1, 2)", True),
    ],
)
def test_an_expression_computes_with_the_options_of_a_run(text, value):
    found = Expression(text).value(OPTIONS)
    assert (found, type(found)) == (value, type(value))


def test_an_expression_reads_a_resolved_run():
    options = resolve({"task": "addition", "model.width": 48}, preset="tiny").config.model_dump(mode="json")
    assert Expression('4 * model.width if task == "addition" else 0').value(options) == 192


def test_an_expression_says_which_options_are_in_it():
    assert Expression("max(model.width, seed) + model.width * trainer.max_steps").names() == (
        *("model.width", "seed", "trainer.max_steps"),
    )
    assert Expression("1 + 1").names() == ()


def test_an_expression_travels_between_processes():
    again = pickle.loads(pickle.dumps(Expression("4 * model.width")))
    assert (again.text, again.names(), again.value(OPTIONS)) == ("4 * model.width", ("model.width",), 256)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model.widht", "'model.widht': there is no option model.widht; did you mean width?"),
        ("layers + 1", "'layers + 1': there is no option layers; did you mean model.layers?"),
        ("modle", "'modle': there is no option modle; did you mean model?"),
        ("trainer.zzz", "'trainer.zzz': there is no option trainer.zzz; known: max_steps, compile"),
        (
            "modle.width",
            "'modle.width': there is no option modle.width; did you mean model.width or model.inner.width?",
        ),
        ("seed.x", "'seed.x': there is no option seed.x; did you mean seed?"),
        ("trainer", "'trainer': trainer is a block of options; choose one, such as trainer.max_steps"),
        ("1 / (seed - 3)", "'1 / (seed - 3)' cannot be computed: division by zero"),
        ("1e308 * 10", "'1e308 * 10' cannot be computed: it comes to inf"),
        (
            "model + 1",
            "'model + 1' cannot be computed: can only concatenate str (not \"int\") to str",
        ),
        ("(-1) ** 0.5", "'(-1) ** 0.5' cannot be computed: must be real number, not complex"),
        ("9 ** 9 ** 9", "'9 ** 9 ** 9' cannot be computed: Sorry! I don't want to evaluate 9 ** 387420489"),
    ],
)
def test_an_expression_without_a_result_says_why(text, said):
    with pytest.raises(ConfigError) as error:
        Expression(text).value(OPTIONS)
    assert message(error) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lg2(model.width)", "'lg2(model.width)': there is no function lg2; did you mean log2?"),
        ("open('x')", "\"open('x')\": there is no function open; known: min, max, round, int, log2, sqrt"),
        (
            "model.name.upper()",
            "'model.name.upper()': there is no function model.name.upper; known: min, max, round, int, log2, sqrt",
        ),
        (
            "[x for x in [1]]",
            "'[x for x in [1]]': [x for x in [1]] is more than arithmetic, comparisons, lists and min, max, round, int,"
            " log2, sqrt",
        ),
        (
            "model[0].width",
            "'model[0].width': expected the path of an option, such as model.width (got model[0].width)",
        ),
    ],
)
def test_what_is_no_expression_is_refused_before_it_is_computed(text, said):
    with pytest.raises(ConfigError) as error:
        Expression(text)
    assert message(error) == said


@pytest.mark.parametrize(
    "text", ["", "model.width >", "model.width = 3", "import os", "1; 2", "(" * 300, "1" + "+1" * 9999]
)
def test_what_cannot_be_read_is_no_expression(text):
    with pytest.raises(ConfigError, match="is no expression: "):
        Expression(text)


@pytest.mark.parametrize("text", ["3j", "...", "b'a'", "2 ^ 3", "f'{seed}'", "lambda: 1", "round(seed, ndigits=1)"])
def test_an_expression_holds_nothing_but_what_it_is_for(text):
    with pytest.raises(ConfigError, match="is more than arithmetic"):
        Expression(text)


@pytest.mark.parametrize(
    ("test", "holds"),
    [
        ("model.width > 32", True),
        ("model.width > 32 and seed == 0", False),
        ({"model.width": 64, "seed": 3}, True),
        ({"model.width": 64, "seed": 4}, False),
        ({"seed": [1, 3]}, True),
        ({"seed": [1, 2]}, False),
        ({"model": "transformer"}, True),
        ({"model.name": ["gru", "transformer"]}, True),
        ({"model": {"name": "transformer", "width": 32}}, False),
        ({"task.second_digits": None}, True),
        ({"model": "universal-transformer", "model.steps": 3}, False),  # a run without model.steps is not meant
        ({"model.steps": 3, "model": "universal-transformer"}, False),
        ('model == "universal-transformer" and model.steps > 3', False),
    ],
)
def test_a_condition_holds_where_all_of_it_is_true(test, holds):
    assert Condition(test).holds(OPTIONS) is holds


def test_a_condition_says_which_options_it_speaks_of():
    assert Condition({"model": {"name": "transformer", "width": 32}}).names() == ("model", "model.width")
    assert Condition("model.width > seed").names() == ("model.width", "seed")


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (
            {"model": "transformer", "model.steps": 3},
            "{model: transformer, model.steps: 3}: there is no option model.steps",
        ),
        ("model.width", "'model.width': expected a comparison, which is true or false (got 64)"),
        ({"trainer": 3, "seed": 3}, "{trainer: 3, seed: 3}: trainer is a block of options"),
    ],
)
def test_a_condition_that_cannot_be_decided_says_why(test, said):
    with pytest.raises(ConfigError) as error:
        Condition(test).holds(OPTIONS)
    assert message(error).startswith(said)


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ({}, "expected an expression or values as {model.width: 128} (got {})"),
        (3, "expected an expression or values as {model.width: 128} (got 3)"),
        ({"model.width": []}, "model.width has no values"),
        ({"model.width": 1, "model": {"width": 2}}, "model.width is given twice; keep one"),
    ],
)
def test_a_condition_that_says_nothing_is_refused(test, said):
    with pytest.raises(ConfigError) as error:
        Condition(test)
    assert message(error) == said
