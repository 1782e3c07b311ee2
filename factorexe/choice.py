"""Choices: a field that names a plug-in and is also the group of its options.

``--model transformer --model.layers 3`` picks a class by name and sets a field of it.  A field marked with
``Choice`` is *bound* before anything is parsed: its name is taken out of the command line or the file, its
class is loaded, that class's own choices are bound in turn, and the options model is rebuilt around it::

    class RunConfig(Options):
        model: Annotated[Any, Choice("models", "transformer")]

    bound = Binder(said={"model": "transformer"}, given={}).bind(RunConfig)   # now with --model.layers

Afterwards pydantic knows every option: help, validation and ``model_dump`` are complete.

A field marked with ``Choices`` is an ordered set of them, each with its own options::

    --task.tasks addition,c-vpr --task.tasks.c-vpr.length 12
    tasks: [addition, c-vpr]
    tasks: {addition: {}, c-vpr: {length: 12}}

``blocks`` says how such a set is written, and what comes of several sources.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import CoreSchema, core_schema

from factorexe.blocks import members, merged, name_at, names_in, value_at
from factorexe.registry import PluginError, Registry


class Options(BaseModel):
    """Frozen options; each field is documented by the string beneath it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Choice:
    """Marks a field as one name of a registry group."""

    def __init__(self, group: str, default: str | None = None) -> None:
        self.group, self.default = group, default

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        schema = core_schema.no_info_plain_validator_function(self.bound)
        if self.default is None:
            return schema
        return core_schema.with_default_schema(schema, default=None, validate_default=True)

    def bound(self, value: Any) -> Any:
        """The plug-in's options: as they are, or from its name, or from a block with its name.

        Raises:
            ValueError: with everything that is wrong.
        """
        if isinstance(value, BaseModel):
            return value
        given = {self.group: value}
        binder = Binder({}, given, own=dict(given))
        cls = binder._chosen(self, self.group, given, self.group)
        return _validated(binder, cls, given[self.group])


class Choices:
    """Marks a field as an ordered set of names of a registry group.

    Without a run as well the field takes any spelling of the set, or nothing for the default.

    Args:
        least: how many there have to be; one if something is the default and nothing else is said.
    """

    def __init__(self, group: str, default: Sequence[str] = (), least: int | None = None) -> None:
        self.group, self.default = group, tuple(default)
        self.least = int(bool(default)) if least is None else least

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        schema = core_schema.no_info_plain_validator_function(self.bound)
        return core_schema.with_default_schema(schema, default=None, validate_default=True)

    def bound(self, value: Any) -> Chosen:
        """The set as options.

        Raises:
            ValueError: with everything that is wrong.
        """
        if isinstance(value, Chosen):
            return value
        given = {self.group: value}
        binder = Binder({}, given, own=dict(given))
        cls = binder._chosen_set(self, self.group, given, self.group)
        chosen = _validated(binder, cls, given[self.group])
        assert isinstance(chosen, Chosen)
        return chosen


class Bound(Options):
    """What every bound class inherits: it travels between processes by name, never by class."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (_plain(type(self)), self.model_dump(mode="json"))

    def __eq__(self, other: object) -> bool:
        """Whether plug-in and options are the same; each binding makes a class of its own."""
        same = isinstance(other, Bound) and _plain(type(self)) is _plain(type(other))
        return same and _fields(self) == _fields(other)  # type: ignore[arg-type]


class Chosen(Bound):
    """An ordered set of plug-ins: a field for each, named by its key.  ``dict(chosen)`` is key -> options."""

    _group: ClassVar[str] = ""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_set, (self._group, self.model_dump(mode="json"))


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

    def _bound(
        self, cls: type[BaseModel], path: str, given: dict[str, Any], meaning: str | None = None, **fixed: str
    ) -> type[BaseModel]:
        fields: dict[str, Any] = {
            name: (Literal[value], Field(value, description=meaning)) for name, value in fixed.items()
        }
        for field, info in cls.model_fields.items():
            where = f"{path}.{field}" if path else field
            choice = mark_of(info)
            if isinstance(choice, Choices):
                fields[field] = _defaulted(self._chosen_set(choice, where, given, field), info.description)
            elif choice:
                fields[field] = _defaulted(self._chosen(choice, where, given, field), info.description)
            elif isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
                block = given.setdefault(field, {})
                if isinstance(block, dict):
                    fields[field] = _defaulted(self._bound(info.annotation, where, block), info.description)
        if not fields:
            return cls
        bases = cls if issubclass(cls, Bound) else (Bound, cls)
        plain = {"use_attribute_docstrings": False}  # every field has its description; searching for it is slow
        return create_model(cls.__name__, __base__=bases, __doc__=cls.__doc__, __cls_kwargs__=plain, **fields)

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
        from_file = not spoken and name != name_at(self.own, where)
        plugin = self._loaded(choice.group, where, name, f"{where} {name}", from_file=from_file)
        if plugin is None:
            return _Anything
        others = f"Another one: {where} NAME, one of {', '.join(Registry(choice.group).names())}"
        return self._bound(plugin, where, given[field], others, name=str(name))

    def _chosen_set(self, choices: Choices, where: str, given: dict[str, Any], field: str) -> type[BaseModel]:
        said, value = self.said.pop(where, None), given.get(field)
        spoken = names_in(said or "")
        if said is not None:
            value = merged({field: value}, {field: spoken})[field]
        given[field] = {}
        try:
            found = members(value, choices.default)
            if len(found) < choices.least:
                raise ValueError(f"expected at least one of: {', '.join(Registry(choices.group).names())}")
        except ValueError as error:
            self.errors.append(f"{where}: {error}")
            return _Anything
        given[field] = found
        trusted = {*spoken, *self._own_names(where)}
        asked = f"{where} {','.join(str(block['name']) for block in found.values())}"
        fields: dict[str, Any] = {}
        for key, block in found.items():
            path, name = f"{where}.{key}", block["name"]
            plugin = self._loaded(choices.group, path, name, asked, from_file=name not in trusted)
            cls = self._bound(plugin, path, block, name=name) if plugin else _Anything
            fields[key] = _defaulted(cls, None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a task may be called copy, as a method of every pydantic model is
            listed = f"Any of {', '.join(Registry(choices.group).names())}: --{where} NAME,NAME"
            bound = create_model("Chosen", __base__=Chosen, __doc__=listed, **fields)
        bound._group = choices.group
        return bound

    def _own_names(self, where: str) -> list[Any]:
        """The names of an ordered set in the caller's own options."""
        with contextlib.suppress(ValueError):
            return [block["name"] for block in members(value_at(self.own, where)).values()]
        return []

    def _loaded(self, group: str, where: str, name: Any, asked: str, *, from_file: bool) -> type[BaseModel] | None:
        """The class called ``name``; ``asked`` is how to say it on a command line."""
        known = Registry(group)
        if not isinstance(name, str):
            self.errors.append(f"give --{where} NAME, one of: {', '.join(known.names())}")
            return None
        if from_file and ":" in name:
            self.errors.append(f"{where}: a file may only use registered names, not {name!r}; say --{asked} yourself")
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


def mark_of(field: Any) -> Choice | Choices | None:
    """The mark of a field whose options are those of plug-ins."""
    return next((mark for mark in field.metadata if isinstance(mark, Choice | Choices)), None)


def _defaulted(cls: type[BaseModel], description: str | None) -> tuple[type[BaseModel], Any]:
    return cls, Field(default_factory=cls, description=description)


def _validated(binder: Binder, cls: type[BaseModel], block: Any) -> BaseModel:
    """Options from a block that was bound."""
    if binder.errors:
        raise ValueError("; ".join(binder.errors))
    try:
        return cls.model_validate(block)
    except ValidationError as error:
        wrong = [(".".join(map(str, detail["loc"])), detail["msg"]) for detail in error.errors()]
        raise ValueError("; ".join(f"{where}: {what}" for where, what in wrong)) from None


def _rebuild(cls: type[BaseModel], values: dict[str, Any]) -> BaseModel:
    name = values.get("name")
    binder = Binder({}, values, own=values)
    bound = binder._bound(cls, "", values, **({"name": name} if name else {}))
    return bound.model_validate(values)


def _rebuild_set(group: str, values: dict[str, Any]) -> Chosen:
    return Choices(group).bound(values)


def _plain(cls: type[BaseModel]) -> type:
    """The class that was bound."""
    return next(plain for plain in cls.__mro__ if not issubclass(plain, Bound))


def _fields(options: BaseModel) -> list[tuple[str, Any]]:
    return [(name, getattr(options, name)) for name in type(options).model_fields]
