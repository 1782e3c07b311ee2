"""A task alone, with the options that ``fit`` would give it: what ``tasks show`` and ``tasks check`` look at.

factorexe tasks show addition --preset detailed --task.digits 4
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


class _Alone(Options):
    """A task and nothing else of a run."""

    task: Annotated[Any, Choice("tasks")]


def chosen(given: argparse.Namespace, rest: Sequence[str]) -> tuple[Any, Any, dict[str, Any]]:
    """The plug-in ``given.name``, the task, and the options that differ from its own defaults."""
    with refusing():
        plugin = Registry("tasks").get(given.name)
    typed = Words(["--task", given.name, *rest], f"factorexe tasks {given.below}")
    binder = Binder(typed.said, nested(_of_presets(plugin.cls.presets, given.preset)))
    bound: Any = binder.bind(_Alone)
    values, wrong = typed.parse(bound)
    values = merged(binder.given, values)
    try:
        task = bound.model_validate(values).task
    except ValidationError as error:
        wrong += [sentence(detail, bound) for detail in error.errors()]
    if wrong + binder.errors:
        raise BadInput(*dict.fromkeys(wrong + binder.errors))
    return plugin, task, {name: value for name, value in values["task"].items() if name != "name"}


def _of_presets(presets: Any, preset: str | None) -> dict[str, Any]:
    """The task's own options in the default preset and in ``preset``."""
    if preset and preset not in presets:
        raise BadInput(f"there is no preset {preset!r}; {suggestion(preset, presets)}")
    both = {**presets.get("default", {}), **(presets[preset] if preset else {})}
    return {path: value for path, value in both.items() if path.startswith("task.")}
