"""The dials of a model: options that spend more or less compute at test time, with values worth trying.

    dials_of(config)                                  [Dial("model.steps", trained=3, values=(1, 2, 3, 4, 5, 6, 9, 12))]
    turned(dials, "steps", (1, 2))                    [Dial("model.steps", trained=3, values=(1, 2))]

A dial holds no weights; the model itself says which of its options are dials (``ModelConfig.dials``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

from factorexe.budgets.record import Point
from factorexe.config import ConfigError, flattened
from factorexe.registry import suggestion

_MODEL = "model."
_OTHERS_SEE = "halting.others_see"


class Dial(NamedTuple):
    """One of them."""

    path: str  # of the option, below the run
    trained: Any  # its value in training
    values: tuple[Any, ...]  # to try
    numeric: bool = True
    descending: bool = False  # whether the smaller number spends more

    def budget_of(self, point: Point) -> tuple[bool, float]:
        """What points are sorted by: values that are refused last, the others as the dial has them, by what they
        spent where values are no numbers."""
        if point.refused is not None:
            return True, 0.0
        if not self.numeric:
            return False, next(iter(point.scores.values())).compute
        return False, -point.value if self.descending else point.value


def dials_of(config: Any) -> list[Dial]:
    """Every dial of a run's model."""
    options = flattened(config)
    return [_dial(_MODEL + name, options, tuple(values)) for name, values in config.model.dials().items()]


def _dial(path: str, options: Mapping[str, Any], values: tuple[Any, ...]) -> Dial:
    trained = options.get(path)
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (trained, *values))
    return Dial(path, trained, values, numeric, numeric and len(values) > 1 and values[0] > values[-1])


def turned(dials: Sequence[Dial], name: str | None, values: Sequence[Any] | None, model: str) -> list[Dial]:
    """The dials that are asked for, with the values that are.

    Args:
        name: of one dial, with ``model.`` before it or without; all if not given.
        values: to try in place of the dial's own.
        model: what the model is called.

    Raises:
        ConfigError: there is no such dial, or it is not said whose the values are.
    """
    paths = [dial.path for dial in dials]
    if not dials:
        raise ConfigError(
            f"{model} has no dial: none of its options spends more or less compute at test time; train a model that"
            " loops, halts or pauses, or see factorexe compare, which draws it as one point"
        )
    if name is not None:
        short, known = name.removeprefix(_MODEL), [path.removeprefix(_MODEL) for path in paths]
        if short not in known:
            raise ConfigError(f"--dial: {model} has no dial {name!r}; {suggestion(short, known)}")
        dials = [dial for dial in dials if dial.path == _MODEL + short]
    if values is None:
        return list(dials)
    if len(dials) > 1:
        raise ConfigError(f"--values: of which dial? say --dial NAME, one of: {', '.join(paths)}")
    return [dials[0]._replace(values=tuple(values))]


def running_instead(config: Any) -> dict[str, Any]:
    """The change by which every token of a model goes on to the end, where its halting deploys an approximation of what
    was trained; no change elsewhere."""
    for path, value in flattened(config).items():
        if not path.startswith(_MODEL) or not f".{path}".endswith(f".{_OTHERS_SEE}") or value == "running":
            continue
        policy = reduce(getattr, path.split(".")[:-1], config)
        if getattr(policy, "approximate_when_halting", False):
            return {path: "running"}
    return {}
