"""What every verb shares: how a mistake is refused, what an exit code means, where progress is said."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
_MOST_LINES = 5


class BadInput(Exception):
    """Something typed is wrong; the messages say what."""

    def __init__(self, *messages: str) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages


class Parser(argparse.ArgumentParser):
    """Raises instead of exiting."""

    def error(self, message: str) -> NoReturn:
        """Refuse the words."""
        raise BadInput(message)


def refuse(verb: str, messages: Sequence[str]) -> int:
    """Print what is wrong, in a few lines; returns the exit code."""
    lines = [" ".join(message.split()) for message in messages]
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES - 1 :] = ["; ".join(lines[_MOST_LINES - 1 :])]
    for line in lines:
        print(f"{verb}: error: {line}", file=sys.stderr)
    return BAD_INPUT


def say(line: str) -> None:
    """A line of progress, on stderr."""
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turns what a description, a run or a plug-in is refused for into bad input."""
    from factorexe.config import ConfigError
    from factorexe.registry import PluginError
    from factorexe.rundir import RunError

    try:
        yield
    except ConfigError as error:
        raise BadInput(*error.messages) from None
    except (RunError, PluginError) as error:
        raise BadInput(str(error)) from None


def add_run(verb: argparse.ArgumentParser) -> None:
    """What every verb on a finished run takes."""
    verb.add_argument("run", metavar="RUN", help="the run's directory")
    verb.add_argument("--checkpoint", choices=("best", "last"), default="best", help="which weights (default: best)")


def loaded(given: argparse.Namespace, typed: Any) -> Any:
    """The run in ``given.run``; ``typed`` may name its plug-ins again."""
    from factorexe.run import load

    return load(given.run, said={option: name for option, name in typed.said.items() if ":" in name})


def with_verbs(parser: argparse.ArgumentParser, metavar: str) -> Any:
    """Verbs below a verb; without one of them, its help is printed."""

    def act(given: argparse.Namespace, rest: Sequence[str]) -> int:
        parser.print_help()
        return DONE

    parser.set_defaults(act=act)
    return parser.add_subparsers(metavar=metavar, parser_class=Parser)
