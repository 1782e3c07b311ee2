"""What a model is, as a row of a list: one line, paper, layout, what can halt it, how many parameters.

    universal-transformer    A pre-norm decoder ...    Dehghani et al. 2019    sequence    any    201,216

Parameters are counted with the model's own defaults, for as many symbols and positions as addition has with its.
Nothing here imports torch; the models do, when they are loaded.
"""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

from pydantic import BaseModel

from factorexe.choice import mark_of
from factorexe.registry import PluginError, Registry

SYMBOLS, POSITIONS = 16, 15


class Card(NamedTuple):
    """One row."""

    paper: str
    layout: str
    halting: str
    parameters: int


def card(cls: type[Any]) -> Card:
    """The card of a model's options class.

    Raises:
        Exception: whatever building it raises.
    """
    return Card(cls.paper, cls.layout, halting(cls), parameters(cls()))


def halting(cls: type[BaseModel]) -> str:
    """The policies that can halt its tokens: ``any`` of those that can be loaded, or their names; ``as inner``, where
    it wraps a model that is chosen; ``-`` where it does not loop."""
    groups = {mark.group: field for field, info in cls.model_fields.items() if (mark := mark_of(info)) is not None}
    if "halting" not in groups:
        return "as inner" if "models" in groups else "-"
    known = [name for name in Registry("halting").names() if _loads(name)]
    taken = [name for name in known if _takes(cls, {groups["halting"]: name})]
    return "any" if taken == known else ", ".join(taken)


def parameters(options: Any) -> int:
    """Parameters of the model that these options make."""
    model = options.build(SYMBOLS, POSITIONS)
    return sum(parameter.numel() for parameter in model.parameters())


def _loads(name: str) -> bool:
    with contextlib.suppress(PluginError):
        return bool(Registry("halting").get(name))
    return False


def _takes(cls: type[Any], options: dict[str, str]) -> bool:
    with contextlib.suppress(ValueError):
        return bool(cls(**options).build(SYMBOLS, POSITIONS))
    return False
