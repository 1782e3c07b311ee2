"""Words typed after a verb, as options: pydantic-settings over the classes that were chosen.

Two stages.  First the words that pick plug-ins are taken out (``--task multiplication``) and the options model
is bound to them; then the rest is parsed against it (``--task.digits 4``).  ``--a.b-c`` and ``--a.b_c`` are the
same option, and everything that is wrong is reported at once.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any, NoReturn

from pydantic import BaseModel
from pydantic_settings import CliSettingsSource

from factorexe.registry import had_by_others, suggestion


class _Refused(Exception):
    """argparse found something wrong."""


class _Parser(ArgumentParser):
    """Raises instead of exiting."""

    def error(self, message: str) -> NoReturn:
        raise _Refused(message)


def underscored(word: str) -> str:
    """``--trainer.max-steps=5`` as ``--trainer.max_steps=5``; values and ``--no-`` stay as they are."""
    if not word.startswith("--"):
        return word
    option, equals, value = word[2:].partition("=")
    negation = "no-" if option.startswith("no-") else ""
    return f"--{negation}{option.removeprefix('no-').replace('-', '_')}{equals}{value}"


def choices_said(words: Sequence[str]) -> dict[str, str]:
    """Every ``--path value`` and ``--path=value``: option path -> value, the last one wins."""
    said: dict[str, str] = {}
    for word, following in zip(words, [*words[1:], "--"][: len(words)], strict=True):
        if word.startswith("--"):
            option, equals, value = word[2:].partition("=")
            if equals:
                said[option] = value
            elif not following.startswith("--"):
                said[option] = following
    return said


class Words:
    """The words of one verb, without those that picked plug-ins.

    Attributes:
        said: every option and its value; the binder takes out those that name plug-ins.
    """

    def __init__(self, words: Sequence[str], program: str) -> None:
        self.words = [underscored(word) for word in words]
        self.program = program
        self.said = choices_said(self.words)
        self._all = frozenset(self.said)

    def parse(self, bound: type[BaseModel]) -> tuple[dict[str, Any], list[str]]:
        """The remaining options as nested values, and what is wrong with the words themselves: options that
        do not exist (did you mean), options without a value."""
        unknown: list[str] = []

        def known_args(parser: ArgumentParser, args: Any, namespace: Any = None) -> Any:
            found, rest = parser.parse_known_args(_flags(args, parser), namespace)
            unknown.extend(rest)
            return found

        parser = _Parser(prog=self.program, allow_abbrev=False)
        try:
            values = self._source(bound, parser, known_args)()
        except _Refused as error:
            return {}, [str(error).removeprefix("argument ")]
        return dict(values), _sentences(unknown, parser)

    def help(self, bound: type[BaseModel]) -> str:
        """Every option of the chosen plug-ins."""
        parser = _Parser(prog=self.program, allow_abbrev=False)
        self._source(bound, parser, lambda parser, args, namespace=None: parser.parse_known_args([], namespace)[0])
        return parser.format_help()

    def _source(self, bound: type[BaseModel], parser: ArgumentParser, parse_args: Any) -> Any:
        return CliSettingsSource(
            bound,  # type: ignore[arg-type]
            cli_prog_name=self.program,
            cli_parse_args=self._rest(),
            cli_avoid_json=True,
            cli_hide_none_type=True,
            cli_implicit_flags=True,
            cli_use_class_docs_for_groups=True,
            root_parser=parser,
            parse_args_method=parse_args,
        )

    def _rest(self) -> list[str]:
        """The words without those whose choice was taken out of ``said``."""
        taken = self._all - set(self.said)
        rest: list[str] = []
        skip = False
        for word in self.words:
            if skip:
                skip = False
                continue
            option, equals, _ = word[2:].partition("=") if word.startswith("--") else ("", "", "")
            if option in taken:
                skip = not equals
            elif rest and rest[-1].startswith("--") and "=" not in rest[-1] and _NEGATIVE.fullmatch(word):
                rest[-1] += f"={word}"  # argparse takes -1e-3 for an option
            else:
                rest.append(word)
        return rest


def _flags(words: Sequence[str], parser: ArgumentParser) -> list[str]:
    """``--flag true`` and ``--flag=false`` as ``--flag`` and ``--no-flag``."""
    flags = {flag for action in parser._actions if action.nargs == 0 for flag in action.option_strings}
    found: list[str] = []
    for word in words:
        option, equals, value = word.partition("=")
        if not equals and found and found[-1] in flags and not word.startswith("--"):
            option, equals, value = found.pop(), "=", word
        if not equals or option not in flags:
            found.append(word)
        elif value.lower() in _TRUTH:
            found.append(option if _TRUTH[value.lower()] else f"--no-{option.removeprefix('--')}")
        else:
            raise _Refused(f"{option}: expected true or false (got {value!r})")
    return found


_TRUTH = {"true": True, "false": False}
_NEGATIVE = re.compile(r"-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)


def _sentences(unknown: Sequence[str], parser: ArgumentParser) -> list[str]:
    known = [flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")]
    messages = []
    for word in unknown:
        if word.startswith("--"):
            option = word.partition("=")[0]
            group = [flag for flag in known if flag.rpartition(".")[0] == option.rpartition(".")[0]]
            hint = suggestion(option, known)
            if hint.startswith("known"):
                hint = f"known there: {', '.join(group)}" if 0 < len(group) <= 12 else "--help lists them"
            had = ".".join(option.split(".")[:2])  # by the chosen plug-in itself, perhaps
            others = None if had in {".".join(flag.split(".")[:2]) for flag in known} else had_by_others(option[2:])
            messages.append(f"{option}: there is no such option; {hint if others is None else others}")
        elif not messages:
            messages.append(f"{word!r} is not an option; options are written --name value")
    return messages
