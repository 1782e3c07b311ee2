"""Describe a plug-in's options and a task's problems as text, without torch."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from pydantic import BaseModel
from tabulate import tabulate

from factorexe.registry import suggestion
from factorexe.splits import Splits
from factorexe.tasks.base import SPLITS, Task


def described(name: str, cls: type[BaseModel], origin: str, path: str) -> str:
    """Name, first line of the docstring, presets, and every option with its default.

    Args:
        path: where the options stand in a run, such as "task".
    """
    fields = cls.model_fields.items()
    rows = [[f"--{path}.{field}", *_type_and_default(info), info.description or ""] for field, info in fields]
    presets = ", ".join(getattr(cls, "presets", {})) or "none"
    head = ["option", "type", "default", ""]
    table = tabulate(rows, head, disable_numparse=True, maxcolwidths=[None, 34, None, 70]) if rows else "no options"
    return f"{name} (from {origin}): {first_line(cls)}\npresets: {presets}\n\n{table}"


def first_line(cls: type) -> str:
    """What a plug-in is, in a line."""
    return (inspect.getdoc(cls) or "").partition("\n")[0]


def _type_and_default(info: Any) -> tuple[str, Any]:
    """A field whose options are those of plug-ins says which, by name."""
    mark = next((mark for mark in info.metadata if hasattr(mark, "group")), None)
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
