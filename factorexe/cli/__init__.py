"""The command line: verbs, exit codes, signals.

    factorexe fit --task multiplication        train; retype it to go on, or to see the result again
    factorexe fit --resume RUN
    factorexe validate|test RUN                score a run's weights; `test` alone reads test and ood_test
    factorexe predict RUN --prompt "123*456"   answer problems that are typed
    factorexe budget RUN                       solved rates for more and less compute than in training
    factorexe compare RUN...                   budget curves of several runs, and whether those are of equal size
    factorexe plot RUN...                      curves of one run, or of several
    factorexe memorization RUN                 when it knew its problems by heart, when it had the rule
    factorexe sweep plan|run FILE              many runs from one file; worker|status|results|plot DIR
    factorexe tasks list|show NAME|check NAME
    factorexe models list|show NAME
    factorexe recipes list|show NAME|copy NAME
    factorexe doctor                           is everything here that is needed?

stdout carries results, stderr progress and errors.  Exit codes: 0 done, 2 bad input, 1 failure, 130
interrupted.  What a verb needs is imported when it runs: help and lists import no torch.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence

from factorexe import __version__
from factorexe.cli import budget, compare, doctor, fit, listing, memorization, plot, predict, recipes, score, sweep
from factorexe.cli.command import DONE, FAILED, INTERRUPTED, BadInput, Parser, refuse

# modules whose ``add`` adds verbs, as in the help
VERBS = (fit, score, predict, budget, compare, plot, memorization, sweep, listing, recipes, doctor)
EPILOG = """\
factorexe fit --help explains training; factorexe fit --task NAME --help lists every option of a run.
For completion with TAB, tell the shell: eval "$(register-python-argcomplete factorexe)"
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    if "_ARGCOMPLETE" in os.environ:  # the shell asks what could be typed next
        from factorexe.cli.completion import complete

        complete(parser())
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(words)
    except BadInput as error:
        return refuse(_typed(words), error.messages)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 the reader is gone; nothing may be flushed at exit
        return FAILED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO):
            raise
        print(f"{_typed(words)}: error: {error.strerror}: {error.filename or 'writing failed'}", file=sys.stderr)
        print("what was saved before is intact; retype the command to go on", file=sys.stderr)
        return FAILED


def _typed(words: Sequence[str]) -> str:
    """The verb that was typed, with the verb below it if there is one."""
    verb = words[: 2 if words[:1] in (["sweep"], ["tasks"], ["models"], ["recipes"]) else 1]
    return "factorexe" if not verb or verb[0].startswith("-") else " ".join(["factorexe", *verb])


def parser() -> Parser:
    """The verbs and what belongs to each; options of the chosen plug-ins are left over."""
    top = Parser(
        prog="factorexe",
        description="A small model applied many times, trained to learn the rule instead of the examples.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"factorexe {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", parser_class=Parser)
    for module in VERBS:
        module.add(verbs)
    return top


def _run(words: list[str]) -> int:
    """Every verb's ``act(given, rest)`` gets what its parser knows, and the words that are left over."""
    top = parser()
    given, rest = top.parse_known_args(words)
    if not hasattr(given, "act"):
        if rest:
            top.error(f"unrecognized arguments: {' '.join(rest)}")
        top.print_help()
        return DONE
    if rest and not getattr(given, "takes_options", False):
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    given.words = words
    code: int = given.act(given, rest)
    return code
