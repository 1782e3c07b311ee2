"""What the shell offers at TAB: verbs, names, and the options of the plug-ins that are chosen so far.

After ``eval "$(register-python-argcomplete factorexe)"`` the shell starts this program with what was typed, and
argcomplete answers from the parser of the verb.  Options of plug-ins are not in that parser.  They are read from
the fields of ``RunConfig``, and a plug-in is imported only when a word reaches into it::

    factorexe fit --mod            --model  --model.
    factorexe fit --model.lay      --model.layers             imports the model of words, files or presets
    factorexe fit --model.prompt   causal bidirectional       the option before the cursor reaches as well

A mistake in what was typed so far makes for fewer offers, never for an error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NamedTuple, TextIO, Union, get_args, get_origin

from argcomplete.completers import ChoicesCompleter
from argcomplete.finders import CompletionFinder
from argcomplete.lexers import split_line
from pydantic import BaseModel

from factorexe import recipe
from factorexe.choice import Choice, _name_at, merged
from factorexe.commandline import choices_said, underscored
from factorexe.config import ConfigError, RunConfig, preset_layers, read_yaml
from factorexe.registry import BASES, PluginError, Registry


def complete(
    top: argparse.ArgumentParser, stream: TextIO | None = None, leave: Callable[[int], Any] = os._exit
) -> None:
    """Answer the shell on the channel it opened, or on ``stream``, and leave."""
    try:
        _, prefix, _, words, _ = split_line(os.environ["COMP_LINE"], int(os.environ["COMP_POINT"]))
        verbs, parser = _below(top, words[1:])
        typed = Typed(words[1 + len(verbs) :], prefix)
        if parser.get_default("takes_options"):
            _add_options(parser, typed)
        _tell_names(parser, verbs, typed)
        unasked = "long" if all(action.option_strings for action in parser._actions) else False
        CompletionFinder()(top, unasked, leave, stream, exclude=_second_spellings(parser))
    except Exception:
        leave(1)


class Offer(NamedTuple):
    """One option of a run."""

    flags: Sequence[str]  # spellings, ``--no-`` included
    values: Sequence[str] | None  # the words it takes; none that could be listed; or None: perhaps a file
    meaning: str


class Typed:
    """The words after a verb, up to the cursor.

    Attributes:
        words: those before the one at the cursor, ``--option=value`` taken apart.
        reached: beginnings of options that may need a plug-in: the word at the cursor and an option before it.
        said: option path -> value.
    """

    def __init__(self, words: Sequence[str], prefix: str) -> None:
        self.words = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
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
        in_file = _name_at(self.files, where)
        return self.said.get(where) or (in_file if isinstance(in_file, str) and ":" not in in_file else None)

    def chosen(self, where: str, choice: Choice) -> type[BaseModel] | None:
        """The class of a choice, if it can be had."""
        in_preset = _name_at(self.presets, where) if where != "task" else None
        return _loaded(choice.group, self.named(where) or in_preset or choice.default)

    def preset_names(self) -> list[str]:
        """The presets of the task and the model that are named."""
        named = (_loaded("tasks", self.named("task")), _loaded("models", self.named("model")))
        return list(dict.fromkeys(label for cls in named for label in getattr(cls, "presets", {})))

    def options(self, cls: type[BaseModel] = RunConfig, path: str = "") -> Iterator[Offer]:
        """Every option of a run; those below a choice if a word reaches into it."""
        for field, info in cls.model_fields.items():
            where, meaning = path + field, info.description or ""
            choice = next((mark for mark in info.metadata if isinstance(mark, Choice)), None)
            if choice:
                yield Offer(self._spelled(where), _spellings(choice.group), meaning)
                if not self._reaches(where):
                    yield Offer(self._spelled(f"{where}."), (), f"Options of the {field}.")
                elif plugin := self.chosen(where, choice):
                    yield from self.options(plugin, f"{where}.")
            elif isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
                yield from self.options(info.annotation, f"{where}.")
            else:
                yield Offer(self._spelled(where, info.annotation is bool), _values(info.annotation), meaning)

    def _reaches(self, where: str) -> bool:
        """Whether a word goes on below a choice; ``--no-`` and a beginning have to: only flags can follow them."""
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


def _below(top: argparse.ArgumentParser, words: Sequence[str]) -> tuple[list[str], argparse.ArgumentParser]:
    """The verbs that were typed, and the parser of the last."""
    verbs: list[str] = []
    for word in words:
        below = next((action for action in top._actions if isinstance(action, argparse._SubParsersAction)), None)
        if below is None or word not in below.choices:
            break
        verbs.append(word)
        top = below.choices[word]
    return verbs, top


def _add_options(parser: argparse.ArgumentParser, typed: Typed) -> None:
    """Teach a verb's parser the options of a run, and those typed earlier, whose plug-in was not asked."""
    for offer in typed.options():
        for flag in offer.flags:
            if flag in parser._option_string_actions:
                continue
            optional = offer.values == _TRUTH and flag != typed.before  # a flag goes without a value too
            meaning = offer.meaning.replace("%", "%%")
            action = parser.add_argument(flag, nargs="?" if optional else None, help=meaning)
            if offer.values is not None:
                action.completer = ChoicesCompleter(offer.values)  # type: ignore[attr-defined, arg-type]
    for word in typed.words:
        if word.startswith("--") and len(word) > 2 and word not in parser._option_string_actions:
            parser.add_argument(word, nargs="?", help=argparse.SUPPRESS)


def _tell_names(parser: argparse.ArgumentParser, verbs: Sequence[str], typed: Typed) -> None:
    """Name what an argument of this verb may be: ``tasks show NAME``, ``--recipe``, ``--preset``."""
    group = verbs[0] if verbs else ""
    known: dict[str, Callable[[], Iterable[str]]] = {"recipe": recipe.names, "preset": typed.preset_names}
    if group in BASES:
        known["name"] = lambda: _spellings(group)
    elif group == "recipes":
        known["name"] = recipe.names
    for action in parser._actions:
        if action.dest in known:
            action.completer = _asking(known[action.dest])  # type: ignore[attr-defined]


def _second_spellings(parser: argparse.ArgumentParser) -> list[str]:
    """Flags that differ from another of the same argument in nothing but underscores for dashes."""
    flags = [(flag, action.option_strings) for action in parser._actions for flag in action.option_strings]
    return [flag for flag, same in flags if "_" in flag and flag.replace("_", "-") in same]


def _asking(source: Callable[[], Iterable[str]]) -> Callable[..., Iterable[str]]:
    return lambda **asked: source()


def _spellings(group: str) -> list[str]:
    return [spelling for spelling, _ in Registry(group).listing()]


def _loaded(group: str, name: str | None) -> type[BaseModel] | None:
    try:
        return Registry(group).get(name).cls if name else None
    except PluginError:
        return None


_TRUTH = ["true", "false"]


def _values(annotation: Any) -> list[str] | None:
    """The words an option takes: all of them, none for a number, None where it may be a file."""
    if annotation is bool:
        return _TRUTH
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    if str in (annotation, *parts):
        return None
    return [value for part in parts for value in _values(part) or ()]
