"""What a combination of a sweep's file becomes: left out by a condition, or completed by computed options.

    completion.of({"model.steps": 2})       {"model.steps": 2, "trainer.max_steps": 400}, or None

Conditions that need no computed option come first, so that what could not be computed may be left out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from factorexe.blocks import merged, nested
from factorexe.config import ConfigError
from factorexe.sweeps.bindings import Bindings
from factorexe.sweeps.budgets import largest
from factorexe.sweeps.conditions import Condition
from factorexe.sweeps.costs import Costs
from factorexe.sweeps.derived import Budget
from factorexe.sweeps.file import SweepFile


class Completion:
    """The conditions and computed options of one file."""

    def __init__(self, sweep: SweepFile, bindings: Bindings, costs: Costs) -> None:
        self.rules, self.bindings, self.costs = sweep.derive, bindings, costs
        self._first = [condition for condition in sweep.skip if not {*sweep.derive} & {*condition.names()}]
        self._last = [condition for condition in sweep.skip if condition not in self._first]
        self._solved: dict[str, int] = {}

    def of(self, combination: Mapping[str, Any]) -> dict[str, Any] | None:
        """The options of a run, by path; None where a condition leaves it out.

        Raises:
            ConfigError: an option cannot be computed, or a condition not be judged.
        """
        values = dict(combination)
        options = self.bindings.options(values)
        if _left_out(self._first, options):
            return None
        for path, rule in self.rules.items():
            with _at(f"derive: {path}"):
                known = self._within(rule, path, values) if isinstance(rule, Budget) else _settled(rule.value(options))
            values[path] = known
            options = merged(options, nested({path: known}))
        return None if _left_out(self._last, options) else values

    def _within(self, budget: Budget, path: str, values: Mapping[str, Any]) -> int:
        """The largest value within the budget; the seed makes no difference to it."""
        alike = {option: value for option, value in values.items() if option not in (path, "seed")}
        key = f"{path} {alike}"
        if key not in self._solved:

            def spent(value: int) -> float:
                config = self.bindings.resolved({**alike, path: value}).config
                few = budget.quantity == "parameters"
                return self.costs.parameters(config) if few else self.costs.of(config).multiply_adds

            self._solved[key] = largest(budget, spent)
        return self._solved[key]


def _left_out(conditions: Sequence[Condition], options: Mapping[str, Any]) -> bool:
    with _at("skip"):
        return any(condition.holds(options) for condition in conditions)


@contextlib.contextmanager
def _at(place: str) -> Iterator[None]:
    """Says where in the file a mistake is."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(*(f"{place}: {message}" for message in error.messages)) from None


def _settled(value: Any) -> Any:
    """4.0 is 4: a division that comes out even may be a number of layers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
