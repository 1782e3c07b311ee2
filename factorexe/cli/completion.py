"""What the shell offers at TAB: verbs, names, and the options of the plug-ins that are chosen so far.

After ``eval "$(register-python-argcomplete factorexe)"`` the shell starts this program with what was typed, and
argcomplete answers from the parser of the verb, to which the options of the run are added::

    factorexe fit --task mul             multiplication
    factorexe fit --model.lay            --model.layers
    factorexe fit --model.prompt         causal bidirectional

A mistake in what was typed so far makes for fewer offers, never for an error.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

from argcomplete.completers import ChoicesCompleter
from argcomplete.finders import CompletionFinder
from argcomplete.lexers import split_line

from factorexe import recipe
from factorexe.cli.typed import TRUTH, Typed, spellings
from factorexe.registry import BASES


def complete(
    top: argparse.ArgumentParser, stream: TextIO | None = None, leave: Callable[[int], Any] = os._exit
) -> None:
    """Answer the shell on the channel it opened, or on ``stream``, and leave."""
    try:
        _, prefix, _, words, _ = split_line(os.environ["COMP_LINE"], int(os.environ["COMP_POINT"]))
        verbs, parser = _below(top, words[1:])
        typed = Typed(_with_option(verbs, words[1 + len(verbs) :]), prefix)
        if parser.get_default("takes_options"):
            _add_options(parser, typed)
        _tell_names(parser, verbs, typed)
        unasked = "long" if all(action.option_strings for action in parser._actions) else False
        CompletionFinder()(top, unasked, leave, stream, exclude=_second_spellings(parser))
    except Exception:
        leave(1)


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


def _with_option(verbs: Sequence[str], words: Sequence[str]) -> Sequence[str]:
    """``models show NAME`` with NAME as the option it stands for."""
    named = len(verbs) == 2 and verbs[0] in ("tasks", "models") and words and not words[0].startswith("-")
    return [f"--{verbs[0].removesuffix('s')}", *words] if named else words


def _add_options(parser: argparse.ArgumentParser, typed: Typed) -> None:
    """Teach a verb's parser the options of a run, and those typed earlier, whose plug-in was not asked."""
    for offer in typed.options():
        for flag in offer.flags:
            if flag in parser._option_string_actions:
                continue
            optional = offer.values == TRUTH and flag != typed.before  # a flag goes without a value too
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
        known["name"] = lambda: spellings(group)
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
