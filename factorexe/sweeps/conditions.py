"""Conditions on a run's options, by which a sweep leaves runs out.

Condition("model.width > 64 and model.steps > 4")               an expression
Condition({"model": "transformer", "model.width": [64, 128]})   all of these; of a list, one of them
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from factorexe.config import ConfigError
from factorexe.sweeps.expressions import Expression, option_at
from factorexe.sweeps.paths import flat, named


class Condition:
    """What is true of some runs.

    Raises:
        ConfigError: it says nothing, or is neither an expression nor values.
    """

    def __init__(self, test: str | Mapping[str, Any]) -> None:
        self._expression = Expression(test) if isinstance(test, str) else None
        self._values: dict[str, Any] = {}
        if self._expression is None:
            if not named(test):
                raise ConfigError(f"expected an expression or values as {{model.width: 128}} (got {test!r})")
            assert isinstance(test, Mapping)
            self._values = flat(test)
        for path, value in self._values.items():
            if value == []:
                raise ConfigError(f"{path} has no values")

    def __repr__(self) -> str:
        return f"Condition({self.text})"

    @property
    def text(self) -> str:
        """As it may stand in a file."""
        if self._expression:
            return self._expression.text
        return "{" + ", ".join(f"{path}: {value}" for path, value in self._values.items()) + "}"

    def names(self) -> tuple[str, ...]:
        """The options it speaks of."""
        return self._expression.names() if self._expression else tuple(self._values)

    def holds(self, options: Mapping[str, Any]) -> bool:
        """Whether it is true of a run with these options, nested.

        Values that are all there but one do not hold, even if the run has no option of that one's name.

        Raises:
            ConfigError: it hangs on an option that the run does not have, or comes to neither true nor false.
        """
        if self._expression is None:
            return self._all_equal(options)
        value = self._expression.value(options)
        if not isinstance(value, bool):
            raise ConfigError(f"{self.text!r}: expected a comparison, which is true or false (got {value!r})")
        return value

    def _all_equal(self, options: Mapping[str, Any]) -> bool:
        missing: list[str] = []
        for path, wanted in self._values.items():
            try:
                found = option_at(options, path)
            except ConfigError as error:
                missing.append(f"{self.text}: {error}")
                continue
            if found not in (wanted if isinstance(wanted, list) else [wanted]):
                return False
        if missing:
            raise ConfigError(*missing)
        return True
