"""The words typed after a verb, and the options of a run that they lead to.

A plug-in is imported only when a word reaches into it, so names and most options cost no import of torch::

    Typed(["--task", "addition"], "--mod").options()         ... --model  --model.  ...
    Typed(["--task", "addition"], "--model.").options()      ... --model  --model.width  --model.heads  ...
    Typed(["--model.prompt"], "").options()                  the option before the cursor reaches as well

Which plug-in that is comes from words, recipe, files, a run's own file, or presets, as in a run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel

from factorexe import recipe
from factorexe.blocks import members, merged, name_at, value_at
from factorexe.choice import Choice, Choices, mark_of
from factorexe.commandline import choices_said, underscored
from factorexe.config import ConfigError, RunConfig, preset_layers, read_yaml
from factorexe.registry import PluginError, Registry

TRUTH = ["true", "false"]


class Offer(NamedTuple):
    """One option of a run."""

    flags: Sequence[str]  # spellings, ``--no-`` included
    values: Sequence[str] | None  # the words it takes; none that could be listed; or None: perhaps a file
    meaning: str


class Typed:
    """The words after a verb, up to the cursor.

    Attributes:
        words: those before the one at the cursor, ``--option=value`` taken apart.
        prefix: the word at the cursor.
        reached: beginnings of options that may need a plug-in: the word at the cursor and an option before it.
        said: option path -> value.
    """

    def __init__(self, words: Sequence[str], prefix: str) -> None:
        self.words = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
        self.prefix = prefix
        self.before = self.words[-1] if self.words else ""
        self.reached = [word for word in (prefix.partition("=")[0], self.before) if word.startswith("--")]
        self.said = choices_said([underscored(word) for word in self.words])

    @cached_property
    def files(self) -> dict[str, Any]:
        """What the recipe, the files and the run that are named hold, as far as they can be read."""
        pairs = list(zip(self.words, self.words[1:], strict=False))
        recipes = [recipe.find(word) for option, word in pairs if option == "--recipe" and word in recipe.names()]
        given = [word for option, word in pairs if option == "--config"]
        runs = [file for word in self.words if (file := Path(word, "config.yaml")).is_file()]
        together: dict[str, Any] = {}
        paths: list[str | Path] = [*recipes, *given, *runs]
        for path in paths:
            with contextlib.suppress(ConfigError):
                together = merged(together, read_yaml(path))
        return together

    @cached_property
    def presets(self) -> dict[str, Any]:
        """What the presets of the task and of the model choose; imports both."""
        return preset_layers(self.said, self.files, self.said.get("preset"))[0]

    def named(self, where: str) -> str | None:
        """The plug-in that is named in words, or by a file, which may not name a class by its path."""
        in_file = name_at(self.files, where)
        return self.said.get(where) or (in_file if isinstance(in_file, str) and ":" not in in_file else None)

    def chosen(self, where: str, choice: Choice) -> type[BaseModel] | None:
        """The class of a choice, if it can be had."""
        in_preset = name_at(self.presets, where) if where != "task" else None
        return _loaded(choice.group, self.named(where) or in_preset or choice.default)

    def members(self, where: str, choices: Choices) -> Iterator[tuple[str, type[BaseModel]]]:
        """Key and class of everything in an ordered set, as far as they can be had."""
        in_file = value_at(self.files, where)
        source = self.said.get(where) or in_file or value_at(self.presets, where)
        with contextlib.suppress(ValueError):
            for key, block in members(source, choices.default).items():
                may_load = source is not in_file or ":" not in block["name"]
                plugin = _loaded(choices.group, block["name"]) if may_load else None
                if plugin:
                    yield key, plugin

    def preset_names(self) -> list[str]:
        """The presets of the task and the model that are named."""
        named = (_loaded("tasks", self.named("task")), _loaded("models", self.named("model")))
        return list(dict.fromkeys(label for cls in named for label in getattr(cls, "presets", {})))

    def options(self, cls: type[BaseModel] = RunConfig, path: str = "") -> Iterator[Offer]:
        """Every option of a run; those below a choice if a word reaches into it."""
        for field, info in cls.model_fields.items():
            where, meaning = path + field, info.description or ""
            choice = mark_of(info)
            if isinstance(choice, Choices):
                yield Offer(self._spelled(where), self._longer(spellings(choice.group)), meaning)
                if not self._reaches(where):
                    yield Offer(self._spelled(f"{where}."), (), f"Options of each of the {field}.")
                else:
                    for key, member in self.members(where, choice):
                        yield from self.options(member, f"{where}.{key}.")
            elif choice:
                yield Offer(self._spelled(where), spellings(choice.group), meaning)
                if not self._reaches(where):
                    yield Offer(self._spelled(f"{where}."), (), f"Options of the {field}.")
                elif plugin := self.chosen(where, choice):
                    yield from self.options(plugin, f"{where}.")
            elif isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
                yield from self.options(info.annotation, f"{where}.")
            else:
                yield Offer(self._spelled(where, info.annotation is bool), _values(info.annotation), meaning)

    def _longer(self, names: Sequence[str]) -> list[str]:
        """What a list that is being typed may go on to be."""
        first, comma, _ = self.prefix.rpartition("=")[2].rpartition(",")
        return [first + comma + name for name in names if name not in first.split(",")]

    def _reaches(self, where: str) -> bool:
        """Whether a word goes on below a choice; after ``--no-`` the beginning of its name will do."""
        for word in map(underscored, self.reached):
            option = word.removeprefix("--").removeprefix("no-")
            if option.startswith(f"{where}.") or (word.startswith("--no-") and where.startswith(option)):
                return True
        return False

    def _spelled(self, option: str, negated: bool = False) -> list[str]:
        """The option's flags, with dashes where they were typed as dashes."""
        flags = [f"--{option}", f"--no-{option}"][: 1 + negated]
        for typed in self.reached:
            flags = [typed + flag[len(typed) :] if flag.startswith(underscored(typed)) else flag for flag in flags]
        return flags


def spellings(group: str) -> list[str]:
    """Every name of a group, with its package where that has to be said."""
    return [spelling for spelling, _ in Registry(group).listing()]


def _loaded(group: str, name: str | None) -> type[BaseModel] | None:
    try:
        return Registry(group).get(name).cls if name else None
    except PluginError:
        return None


def _values(annotation: Any) -> list[str] | None:
    """The words an option takes: all of them, none for a number, None where it may be a file."""
    if annotation is bool:
        return TRUTH
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    if str in (annotation, *parts):
        return None
    return [value for part in parts for value in _values(part) or ()]
