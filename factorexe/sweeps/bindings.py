"""Many runs from few bindings: what chooses the same plug-ins is bound once, and each run validated in a millisecond.

    bindings = Bindings({"task": "multiplication"}, preset="tiny")
    bindings.resolved({"model.width": 32, "seed": 1})       the run, as ``resolve`` would have it
    bindings.options({"model.width": 31})                   its options, nested, valid or not

Binding looks up entry points and builds classes, which takes as long as a hundred validations.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from factorexe.blocks import merged, nested
from factorexe.config import Binding, Resolved, bind


class _Bound(NamedTuple):
    """A binding, and the options of a run that gives none."""

    binding: Binding
    defaults: Mapping[str, Any]


class Bindings:
    """Runs over common options.

    Args:
        base: the options, nested.
        preset: as in ``resolve``.
    """

    def __init__(self, base: Mapping[str, Any], preset: str | None) -> None:
        self.base, self.preset = base, preset
        self._known: dict[str, _Bound] = {}

    def resolved(self, values: Mapping[str, Any]) -> Resolved:
        """The run with these options, by path.

        Raises:
            ConfigError: with one message for each thing that is wrong.
        """
        return self._bound(values).binding.resolved(_plain(values))

    def options(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The options of that run, nested, with all defaults; whether they fit together is not looked at.

        Raises:
            ConfigError: a plug-in cannot be had.
        """
        return merged(self._bound(values).defaults, _plain(values))

    def _bound(self, values: Mapping[str, Any]) -> _Bound:
        choosing = {path: value for path, value in values.items() if _may_choose(value)}
        key = json.dumps(choosing)  # in order, which counts in a set of plug-ins
        if key not in self._known:
            binding = bind(merged(self.base, nested(choosing)), preset=self.preset)
            self._known[key] = _Bound(binding, merged(_defaults(binding.cls), binding.values))
        return self._known[key]


@functools.lru_cache(maxsize=4)
def bindings_of(base: str, preset: str | None) -> Bindings:
    """Those of a plan, whose common options are given by path, as JSON; kept, since a worker asks for every run."""
    return Bindings(nested(json.loads(base)), preset)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return nested({path: value for path, value in values.items() if not _may_choose(value)})


def _may_choose(value: Any) -> bool:
    """Whether a value may name plug-ins: numbers do not."""
    if isinstance(value, list):
        return any(map(_may_choose, value))
    return value is None or isinstance(value, str | Mapping)


def _defaults(cls: type[BaseModel]) -> dict[str, Any]:
    """What the options of a bound class are if nothing is given."""
    found: dict[str, Any] = {}
    for name, info in cls.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found[name] = _defaults(inner)
        else:
            found[name] = info.get_default(call_default_factory=True, validated_data={})
    return found
