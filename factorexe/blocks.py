"""Options as blocks: a tree of names and values, merged from several sources, the newer one over the older.

    merged({"model": {"name": "transformer", "layers": 3}}, {"model": {"width": 64}})    keeps the layers
    merged({"model": {"name": "transformer", "layers": 3}}, {"model": "other"})          drops them

An ordered set of plug-ins is a list of names or a map from names to options.  Each is known by its *key*, its name
with underscores; a file may choose another key, so that one plug-in stands twice: ``{short: {name: addition,
digits: 1}, long: {name: addition}}``.  A list or map says what the whole set is; a path such as
``task.tasks.c-vpr.length`` only adds to what is known of one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any


class Merged(dict[str, Any]):
    """Options from several sources; ``listed`` keeps the keys of the last source that gave the whole block.

    An ordered set is what was listed last.  An option given by its path lists nothing.
    """

    listed: tuple[str, ...] | None = None


def key_of(name: str) -> str:
    """What a plug-in's options stand under in a set: ``c-vpr`` under c_vpr, ``./file.py:MyTask`` under my_task."""
    if ":" in name:
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.rpartition(":")[2]).lower()
    return re.sub(r"\W", "_", name).strip("_")


def members(value: Any, default: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """An ordered set, however it is written, as key -> options with the plug-in's name.

    Raises:
        ValueError: it is no set of names, or one of them stands there twice.
    """
    options: dict[str, Any] = {}
    names = value
    if isinstance(value, Mapping):
        listed = _listed(value)
        names = default if listed is None else value["name"] if "name" in listed else listed
        for name, block in value.items():
            if name != "name":
                options = merged(options, {key_of(str(name)): {} if block is None else block})
    names = names_in(names) if isinstance(names, str) else list(default) if names is None else names
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"expected names, or a map from names to options (got {value!r})")
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        key = key_of(name)
        block = _block(options.get(key, {}))
        if not isinstance(block, Mapping):
            raise ValueError(f"{name}: expected a map of options (got {block!r})")
        if key in found:
            raise ValueError(
                f"{name} stands there twice; say it once, or give each a name of its own in a file:"
                f" {{first: {{name: {name}}}, second: {{name: {name}}}}}"
            )
        is_path = ":" in name  # what is said by a path is meant, whatever stands under that key
        found[key] = {"name": name} if is_path and block.get("name", name) != name else {"name": name, **block}
    return found


def nested(paths: Mapping[str, Any]) -> dict[str, Any]:
    """``{"data.train_size": 5}`` as ``{"data": {"train_size": 5}}``; a name and its options may stand side by side."""
    tree: dict[str, Any] = {}
    for path, value in paths.items():
        part: Any = value
        for key in reversed(path.split(".")):
            part = Merged({key: part})
        tree = merged(tree, part)
    return tree


def by_path(tree: Mapping[str, Any], parent: str = "") -> dict[str, Any]:
    """What ``nested`` makes the same options of again, in JSON or YAML too: what was given by its path stands under it,
    what was given as a whole block stays one."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{parent}{key}"
        if not isinstance(value, Merged) or not value:
            found[path] = value
            continue
        listed = None if value.listed is None else [name for name in value.listed if name in value]
        if listed is not None:
            found[path] = {name: value[name] for name in listed}
        found |= by_path({name: block for name, block in value.items() if name not in (listed or ())}, f"{path}.")
    return found


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The newer value wins, block by block; a block that names another plug-in starts afresh."""
    both = Merged(old)
    both.listed = _listed(old) if _listed(new) is None else _listed(new)
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, Mapping) or isinstance(value, Mapping):
            before, value = _block(before), _block(value)
            if isinstance(before, Mapping) and isinstance(value, Mapping):
                renamed = value.get("name", before.get("name")) != before.get("name", value.get("name"))
                value = value if renamed else merged(before, value)
        both[key] = value
    return both


def _block(value: Any) -> Any:
    """A name, or a list of names, as a block of options."""
    if isinstance(value, str):
        return _block(names_in(value)) if "," in value else {"name": value}
    if isinstance(value, list) and all(isinstance(name, str) for name in value) and len({*value}) == len(value):
        return {name: {} for name in value}
    return value


def names_in(text: str) -> list[str]:
    """The names in ``addition,c-vpr``."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _listed(block: Mapping[str, Any]) -> tuple[str, ...] | None:
    return block.listed if isinstance(block, Merged) else tuple(block)


def name_at(tree: Any, path: str) -> str | None:
    """The name chosen at an option path, if one is."""
    found = value_at(tree, path)
    return found.get("name") if isinstance(found, Mapping) else found


def value_at(tree: Any, path: str) -> Any:
    """What stands at an option path, if anything does."""
    for part in path.split("."):
        tree = tree.get(part) if isinstance(tree, Mapping) else None
    return tree
