"""Which options of a run spend more or less compute, and in which order their values do."""

from collections.abc import Mapping
from typing import Any

import pytest
from sketched_budgets import point

from factorexe.budgets.dials import Dial, dials_of, running_instead, turned
from factorexe.config import ConfigError, resolve
from factorexe.models.transformer import TransformerConfig

LOOP = {"task": "addition", "model": "universal-transformer", "model.steps": 2}


class Twice(TransformerConfig):
    """A transformer that calls some of its options dials."""

    rate: float = 0.5
    """Spends less the larger it is."""
    way: str = "short"
    """No number."""

    def dials(self) -> Mapping[str, Any]:
        return {"rate": (0.9, 0.5, 0.1), "way": ("short", "long")}


def config(**options):
    return resolve({**LOOP, **options}, preset="tiny").config


@pytest.fixture
def twice():
    return dials_of(resolve({"task": "addition", "model": f"{__name__}:Twice"}, preset="tiny").config)


def test_a_dial_has_its_path_its_value_in_training_and_values_to_try():
    (steps,) = dials_of(config())
    assert (steps.path, steps.trained) == ("model.steps", 2)
    assert steps.values[0] == 1
    assert 8 in steps.values  # four times the trained number
    plain = resolve({"task": "addition", "model": "transformer"}, preset="tiny").config
    assert dials_of(plain) == []


def test_values_are_ordered_as_the_model_orders_them(twice):
    rate, way = twice
    few, many = point(1, 0.0, 0.0), point(2, 0.0, 0.0)
    rising = Dial("model.steps", 2, (1, 4))
    assert rising.budget_of(few) < rising.budget_of(many)
    assert rate.budget_of(few._replace(value=0.9)) < rate.budget_of(many._replace(value=0.1))
    assert way.budget_of(few._replace(value="long")) < way.budget_of(many._replace(value="short"))
    for dial in (rising, rate, way):
        assert dial.budget_of(many) < dial.budget_of(few._replace(value="x", scores={}, refused="no number"))


def test_a_dial_is_asked_for_with_its_block_or_without(twice):
    for name in ("rate", "model.rate"):
        (rate,) = turned(twice, name, ["0.2"], "twice")
        assert (rate.path, rate.values, rate.descending) == ("model.rate", ("0.2",), True)
    assert turned(twice, None, None, "twice") == twice


@pytest.mark.parametrize(
    ("name", "values", "part"),
    [
        ("rat", None, "twice has no dial 'rat'; did you mean rate?"),
        ("width", None, "twice has no dial 'width'; known: rate, way"),
        (None, [1], "of which dial? say --dial NAME, one of: model.rate, model.way"),
    ],
)
def test_what_is_no_dial_is_named(twice, name, values, part):
    with pytest.raises(ConfigError, match="--") as error:
        turned(twice, name, values, "twice")
    assert part in str(error.value)


def test_a_model_without_dials_is_told_what_would_have_one():
    with pytest.raises(ConfigError, match=r"transformer has no dial: .* train a model that loops, halts or pauses"):
        turned([], None, None, "transformer")


def test_only_a_halting_that_was_trained_with_every_token_running_is_measured_running_too():
    path = "model.halting.others_see"
    assert running_instead(config(**{"model.halting": "ponder"})) == {path: "running"}
    assert running_instead(config(**{"model.halting": "ponder", path: "soft"})) == {path: "running"}
    assert running_instead(config(**{"model.halting": "ponder", path: "running"})) == {}
    assert running_instead(config(**{"model.halting": "act"})) == {}
    assert running_instead(config()) == {}
