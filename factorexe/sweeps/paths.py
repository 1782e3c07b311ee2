"""Options as flat paths, so that one value stands for one option wherever it is written.

    flat({"model": {"name": "transformer", "layers": 2}})       {"model": "transformer", "model.layers": 2}
    flat({"trainer": {"max_steps": 5}, "seed": 1})              {"trainer.max_steps": 5, "seed": 1}

Where a plug-in is chosen, its path holds the name.  A set of plug-ins (below the first level, a mapping of mappings
as in ``task.tasks: {addition: {digits: 2}, copy: {}}``) is one value, for it says what the whole set is.
``blocks.nested`` makes the options of it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from factorexe.config import ConfigError


def flat(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options, nested or by path, as option path -> value.

    Raises:
        ConfigError: one of them is given twice.
    """
    found: dict[str, Any] = {}
    for path, value in options.items():
        for inner, leaf in _opened(path, value):
            if inner in found:
                raise ConfigError(f"{inner} is given twice; keep one")
            found[inner] = leaf
    return found


def plain(path: str) -> str:
    """``model.name`` as ``model``: a plug-in's name stands at the path of its choice."""
    return path.removesuffix(".name")


def within(path: str, value: Any) -> Iterator[str]:
    """Every option path that a value speaks of: its own, and those in a mapping."""
    yield path
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from within(f"{path}.{key}", inner)


def named(options: Any) -> bool:
    """Whether it is a mapping from names to something, and holds any."""
    return isinstance(options, Mapping) and bool(options) and all(isinstance(key, str) for key in options)


def _opened(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not _is_block(path, value):
        yield plain(path), value
        return
    for key, inner in value.items():
        yield from _opened(path if key == "name" else f"{path}.{key}", inner)


def _is_block(path: str, value: Any) -> bool:
    """Whether a mapping holds options rather than the members of a set."""
    if not named(value):
        return False
    return "." not in path or any(not isinstance(inner, Mapping) and inner is not None for inner in value.values())
