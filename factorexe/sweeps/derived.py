"""Options that a sweep computes for each run: from other options, or as the largest within a budget.

derive:
  model.feedforward: 4 * model.width
  model.width: {parameters: 200000, multiple_of: 16}
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

from factorexe.config import ConfigError
from factorexe.registry import suggestion
from factorexe.sweeps.expressions import Expression
from factorexe.sweeps.mistakes import Mistakes
from factorexe.sweeps.paths import named, plain

Quantity = Literal["parameters", "multiply_adds"]
EXAMPLE = "{parameters: 200000, multiple_of: 16}"


class Budget(NamedTuple):
    """The largest value of an option with which a run keeps within a limit."""

    quantity: Quantity  # of the model, or of its whole training
    limit: float
    multiple_of: int = 1  # what the value has to be a multiple of


def derived(content: Any, mistakes: Mistakes) -> dict[str, Expression | Budget]:
    """What stands below ``derive``, in its order."""
    if content is None:
        return {}
    if not named(content):
        mistakes.append(f"derive: expected options, each with an expression or a budget (got {content!r})")
        return {}
    found: dict[str, Expression | Budget] = {}
    for path, value in content.items():
        with mistakes.at(f"derive: {path}"):
            if plain(path) in found:
                raise ConfigError(f"{plain(path)} is derived twice; keep one")
            found[plain(path)] = _one(value)
    return found


def _one(value: Any) -> Expression | Budget:
    if isinstance(value, str):
        return Expression(value)
    if isinstance(value, Mapping):
        return _budget(value)
    raise ConfigError(
        f"expected an expression, or a budget as {EXAMPLE} (got {value!r}); what all runs share belongs below base"
    )


def _budget(block: Mapping[Any, Any]) -> Budget:
    known = (*get_args(Quantity), "multiple_of")
    for key in block:
        if key not in known:
            raise ConfigError(f"a budget has no {key!r}; {suggestion(str(key), known)}")
    quantities: list[Quantity] = [quantity for quantity in get_args(Quantity) if quantity in block]
    if len(quantities) != 1:
        raise ConfigError(f"expected a budget of parameters or of multiply_adds, as {EXAMPLE} (got {dict(block)})")
    limit, multiple = block[quantities[0]], block.get("multiple_of", 1)
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 < limit <= sys.float_info.max:
        raise ConfigError(f"{quantities[0]}: expected a number above 0 (got {limit!r})")
    if isinstance(multiple, bool) or not isinstance(multiple, int) or multiple < 1:
        raise ConfigError(f"multiple_of: expected a whole number, at least 1 (got {multiple!r})")
    return Budget(quantities[0], float(limit), multiple)
