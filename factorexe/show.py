"""Describe a plug-in's options and a task's problems as text, without torch."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel
from tabulate import tabulate

from factorexe.registry import PluginError, Registry, suggestion
from factorexe.splits import Splits
from factorexe.tasks.base import SPLITS, Task


def described(name: str, cls: type[BaseModel], origin: str, path: str, given: Mapping[str, Any] | None = None) -> str:
    """Name, first line of the docstring, paper, presets, and every option with its default; then, for each option that
    names a plug-in with options of its own, what can be named.

    Args:
        path: where the options stand in a run, such as "task".
        given: a block of options; the names in it say which plug-ins' options are shown.
    """
    rows = list(_options(cls, path, given or {}))
    head = ["option", "type", "default", ""]
    table = tabulate(rows, head, disable_numparse=True, maxcolwidths=[None, 34, None, 70]) if rows else "no options"
    lines = [f"{name} (from {origin}): {first_line(cls)}"]
    if paper := getattr(cls, "paper", ""):
        lines.append(f"paper: {paper}")
    lines.append(f"presets: {', '.join(getattr(cls, 'presets', {})) or 'none'}")
    named = [_choosable(where, group) for where, group in _choices(cls, path, given or {})]
    return "\n\n".join(["\n".join(lines), table, *named])


def first_line(cls: type) -> str:
    """What a plug-in is, in a line."""
    return (inspect.getdoc(cls) or "").partition("\n")[0]


def _options(cls: type[BaseModel], path: str, given: Mapping[str, Any]) -> Iterator[list[Any]]:
    """A row for every option, those of a chosen plug-in below the option that names it."""
    for field, info in cls.model_fields.items():
        where = f"{path}.{field}"
        yield [f"--{where}", *_type_and_default(info), info.description or ""]
        if plugin := _chosen(info, given.get(field)):
            yield from _options(plugin, where, _block(given.get(field)))


def _choices(cls: type[BaseModel], path: str, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where one plug-in is named, and the group it is of."""
    for field, info in cls.model_fields.items():
        mark = _mark(info)
        if mark is None or isinstance(mark.default, tuple):
            continue
        yield f"{path}.{field}", mark.group
        if plugin := _chosen(info, given.get(field)):
            yield from _choices(plugin, f"{path}.{field}", _block(given.get(field)))


def _choosable(where: str, group: str) -> str:
    """Every plug-in that can be named, with its line and its paper."""
    rows = []
    for spelling, _ in Registry(group).listing():
        try:
            cls = Registry(group).get(spelling).cls
        except PluginError as error:
            rows.append([f"  {spelling}", f"cannot be loaded: {error}", ""])
        else:
            rows.append([f"  {spelling}", first_line(cls), getattr(cls, "paper", "")])
    table = tabulate(
        rows, tablefmt="plain", disable_numparse=True, maxcolwidths=[None, 70, 50], preserve_whitespace=True
    )
    return f"--{where} NAME, one of (add it to see its options):\n{table}"


def _chosen(info: Any, given: Any) -> type[BaseModel] | None:
    """The plug-in that a field names, unless it names several, or none that can be had."""
    mark = _mark(info)
    if mark is None or isinstance(mark.default, tuple):
        return None
    name = given if isinstance(given, str) else _block(given).get("name", mark.default)
    try:
        return Registry(mark.group).get(name).cls if name else None
    except PluginError:
        return None


def _block(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {}


def _mark(info: Any) -> Any:
    """What says that a field's options are those of plug-ins."""
    return next((mark for mark in info.metadata if hasattr(mark, "group")), None)


def _type_and_default(info: Any) -> tuple[str, Any]:
    """A field whose options are those of plug-ins says which, by name."""
    mark = _mark(info)
    if mark is None:
        return _type(info.annotation), info.get_default(call_default_factory=True)
    if isinstance(mark.default, tuple):
        return f"names of {mark.group}, each with its options", ",".join(mark.default)
    return f"name of {mark.group}, with its options", mark.default


def _type(annotation: Any) -> str:
    text = getattr(annotation, "__name__", None) if isinstance(annotation, type) else str(annotation)
    return str(text).replace("typing.", "")


def problems(task: Task, split: str, count: int, seed: int, difficulty: int | None) -> list[dict[str, Any]]:
    """``count`` distinct problems of a split as text.

    Raises:
        ValueError: no such split, or a difficulty the split does not have.
    """
    if split not in SPLITS:
        raise ValueError(f"there is no split {split!r}; {suggestion(split, SPLITS)}")
    if count < 1 or seed < 0:
        raise ValueError(f"--count must be at least 1 and --seed at least 0 (got {count} and {seed})")
    levels = task.difficulties(split)
    if not levels:
        raise ValueError(f"this task has no problems in {split}")
    if difficulty is not None and difficulty not in levels:
        raise ValueError(f"{split} has difficulties {levels[0]} to {levels[-1]} (got {difficulty})")
    examples = (
        Splits(task, eval_size=10 * count).evaluation(split)
        if split != "train"
        else Splits(task, train_size=10 * count * len(levels)).finite_train()
    )
    rows = np.flatnonzero(examples.difficulty == difficulty) if difficulty is not None else np.arange(len(examples))
    picked = np.random.default_rng(seed).permutation(rows)[:count]
    examples = examples.select(np.sort(picked))
    return [
        dict(zip(("prompt", "chain", "answer"), task.texts(examples, row), strict=True))
        | {"difficulty": int(examples.difficulty[row])}
        for row in range(len(examples))
    ]


def rendered(found: list[dict[str, Any]]) -> str:
    """Problems as a table."""
    return tabulate(
        [list(problem.values()) for problem in found], list(found[0]) if found else [], disable_numparse=True
    )
