"""A task or a model alone, with the options that ``fit`` would give it: what ``show`` and ``check`` look at.

factorexe tasks show addition --preset detailed --task.digits 4
factorexe models show universal-transformer --model.halting act
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import ValidationError

from factorexe.blocks import merged, nested
from factorexe.choice import Binder, Choice, Options
from factorexe.cli.command import BadInput, refusing
from factorexe.commandline import Words
from factorexe.config import sentence
from factorexe.registry import Registry, suggestion


class _Task(Options):
    """A task and nothing else of a run."""

    task: Annotated[Any, Choice("tasks")]


class _Model(Options):
    """A model and nothing else of a run."""

    model: Annotated[Any, Choice("models")]


_ALONE: dict[str, type[Options]] = {"task": _Task, "model": _Model}


def chosen(given: argparse.Namespace, rest: Sequence[str], kind: str = "task") -> tuple[Any, Any, dict[str, Any]]:
    """The plug-in ``given.name``, its options, and those of them that differ from its own defaults, with the names of
    all it chooses."""
    with refusing():
        plugin = Registry(f"{kind}s").get(given.name)
    typed = Words([f"--{kind}", given.name, *rest], f"factorexe {kind}s {given.below}")
    binder = Binder(typed.said, nested(_of_presets(kind, plugin.cls.presets, given.preset)))
    bound: Any = binder.bind(_ALONE[kind])
    values, wrong = typed.parse(bound)
    values = merged(binder.given, values)
    try:
        options = getattr(bound.model_validate(values), kind)
    except ValidationError as error:
        wrong += [sentence(detail, bound) for detail in error.errors()]
    if wrong + binder.errors:
        raise BadInput(*dict.fromkeys(wrong + binder.errors))
    return plugin, options, {name: value for name, value in values[kind].items() if name != "name"}


def _of_presets(kind: str, presets: Any, preset: str | None) -> dict[str, Any]:
    """The plug-in's own options in the default preset and in ``preset``."""
    if preset and preset not in presets:
        raise BadInput(f"there is no preset {preset!r}; {suggestion(preset, presets)}")
    both = {**presets.get("default", {}), **(presets[preset] if preset else {})}
    return {path: value for path, value in both.items() if path.startswith(f"{kind}.")}
