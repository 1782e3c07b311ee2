"""Choices: a field that names a plug-in and is also the group of its options.

``--model transformer --model.layers 3`` picks a class by name and sets a field of it.  A field marked with
``Choice`` is *bound* before anything is parsed: its name is taken out of the command line or the file, its
class is loaded, that class's own choices are bound in turn, and the options model is rebuilt around it::

    class RunConfig(Options):
        model: Annotated[Any, Choice("models", "transformer")]

    bound = Binder(said={"model": "transformer"}, given={}).bind(RunConfig)   # now with --model.layers

Afterwards pydantic knows every option: help, validation and ``model_dump`` are complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from factorexe.registry import PluginError, Registry


class Options(BaseModel):
    """Frozen options; each field is documented by the string beneath it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Choice:
    """Marks a field as one name of a registry group."""

    def __init__(self, group: str, default: str | None = None) -> None:
        self.group, self.default = group, default


class Bound(Options):
    """What every bound class inherits: it travels between processes by name, never by class."""

    def __reduce__(self) -> tuple[Any, ...]:
        plain = next(cls for cls in type(self).__mro__ if not issubclass(cls, Bound))
        return _rebuild, (plain, self.model_dump(mode="json"))


class Binder:
    """Replaces every choice of an options class by the class that was chosen.

    Attributes:
        said: option path -> word, from the command line; names that were used are taken out.
        given: merged files and presets, edited in place: every choice ends as a block with its name.
        own: the caller's own part of ``given``; its names may point at a class by its path, a file's may not.
        errors: one line per choice that could not be bound.
        notes: what was dropped because another plug-in was named.
        plugins: option path -> ``name, from origin``, in binding order.
    """

    def __init__(self, said: dict[str, str], given: dict[str, Any], own: Mapping[str, Any] | None = None) -> None:
        self.said, self.given, self.own = said, given, own or {}
        self.errors: list[str] = []
        self.notes: list[str] = []
        self.plugins: dict[str, tuple[str, str]] = {}

    def bind(self, cls: type[BaseModel]) -> type[BaseModel]:
        """``cls`` with the options of everything that was chosen."""
        return self._bound(cls, "", self.given)

    def _bound(self, cls: type[BaseModel], path: str, given: dict[str, Any], **fixed: str) -> type[BaseModel]:
        fields: dict[str, Any] = {name: (Literal[value], value) for name, value in fixed.items()}
        for field, info in cls.model_fields.items():
            where = f"{path}.{field}" if path else field
            choice = next((mark for mark in info.metadata if isinstance(mark, Choice)), None)
            if choice:
                fields[field] = _defaulted(self._chosen(choice, where, given, field), info.description)
            elif isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
                block = given.setdefault(field, {})
                if isinstance(block, dict):
                    fields[field] = _defaulted(self._bound(info.annotation, where, block), info.description)
        if not fields:
            return cls
        bases = cls if issubclass(cls, Bound) else (Bound, cls)
        return create_model(cls.__name__, __base__=bases, __doc__=cls.__doc__, **fields)

    def _chosen(self, choice: Choice, where: str, given: dict[str, Any], field: str) -> type[BaseModel]:
        block = given.get(field)
        block = {"name": block} if isinstance(block, str) else dict(block or {})
        in_file = block.get("name", choice.default)
        spoken = where in self.said
        name = self.said.pop(where, in_file)
        if "name" in block and name != in_file and len(block) > 1:
            self.notes.append(f"{where} is {name} here; the options given for {in_file} are dropped")
            block = {}
        given[field] = {**block, "name": name}
        plugin = self._loaded(choice.group, where, name, from_file=not spoken and name != name_at(self.own, where))
        if plugin is None:
            return _Anything
        return self._bound(plugin, where, given[field], name=str(name))

    def _loaded(self, group: str, where: str, name: Any, *, from_file: bool) -> type[BaseModel] | None:
        known = Registry(group)
        if not isinstance(name, str):
            self.errors.append(f"give --{where} NAME, one of: {', '.join(known.names())}")
            return None
        if from_file and ":" in name:
            self.errors.append(
                f"{where}: a file may only use registered names, not {name!r}; say --{where} {name} yourself"
            )
            return None
        try:
            plugin = known.get(name)
        except PluginError as error:
            self.errors.append(f"{where}: {error}")
            return None
        self.plugins[where] = (name, plugin.origin)
        return plugin.cls


class _Anything(BaseModel):
    """Stands for a class that could not be loaded, so that the remaining errors are found too."""

    model_config = ConfigDict(extra="allow")


def nested(paths: Mapping[str, Any]) -> dict[str, Any]:
    """``{"data.train_size": 5}`` as ``{"data": {"train_size": 5}}``; a name and its options may stand side by side."""
    tree: dict[str, Any] = {}
    for path, value in paths.items():
        part: Any = value
        for key in reversed(path.split(".")):
            part = {key: part}
        tree = merged(tree, part)
    return tree


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The newer value wins, block by block; a block that names another plug-in starts afresh."""
    both = dict(old)
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, Mapping) or isinstance(value, Mapping):
            before, value = _block(before), _block(value)
            if isinstance(before, Mapping) and isinstance(value, Mapping):
                renamed = value.get("name", before.get("name")) != before.get("name", value.get("name"))
                value = dict(value) if renamed else merged(before, value)
        both[key] = value
    return both


def _block(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def name_at(tree: Any, path: str) -> str | None:
    """The name chosen at an option path, if one is."""
    for part in path.split("."):
        tree = tree.get(part) if isinstance(tree, Mapping) else None
    return tree.get("name") if isinstance(tree, Mapping) else tree


def _defaulted(cls: type[BaseModel], description: str | None) -> tuple[type[BaseModel], Any]:
    return cls, Field(default_factory=cls, description=description)


def _rebuild(cls: type[BaseModel], values: dict[str, Any]) -> BaseModel:
    name = values.get("name")
    binder = Binder({}, values, own=values)
    bound = binder._bound(cls, "", values, **({"name": name} if name else {}))
    return bound.model_validate(values)
