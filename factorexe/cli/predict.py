"""``factorexe predict RUN``: what a run's model answers to problems that are typed.

$ factorexe predict RUN --prompt "123*456"
prompt   chain                         answer          right answer  compute
123*456  +8370+5160>88860+2940>880650  880650   right  880650             86
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from factorexe.cli.command import DONE, BadInput, add_run, loaded, refusing


def add(verbs: Any) -> None:
    """``predict``."""
    what = "answer problems that are typed, from a file or from standard input, one on each line"
    verb = verbs.add_parser("predict", help="answer problems that are typed", description=what, allow_abbrev=False)
    add_run(verb)
    verb.add_argument("--prompt", action="append", metavar="TEXT", help="a problem; may be given several times")
    verb.add_argument("--file", metavar="FILE", help="problems, one on each line; - is standard input")
    verb.add_argument("--json", action="store_true", help="the answers as a list of objects")
    verb.set_defaults(act=_predict, takes_options=True)


def _predict(given: argparse.Namespace, rest: Sequence[str]) -> int:
    from factorexe.commandline import Words

    typed = Words(rest, "factorexe predict")
    with refusing():
        run = loaded(given, typed)
        prompts = _prompts(given)
        from factorexe.evaluation import predict

        answers, found = predict(run, prompts, checkpoint=given.checkpoint, said=typed.said, parse=typed.parse)
    if given.json:
        print(json.dumps([answer._asdict() for answer in answers], indent=2, ensure_ascii=False))
        return DONE
    from factorexe.tables import heading

    print(heading(found) + "\n\n" + _table(answers))
    return DONE


def _prompts(given: argparse.Namespace) -> list[str]:
    """The problems, from wherever they come."""
    prompts = list(given.prompt or [])
    if given.file is not None or not prompts:
        prompts += [line.strip() for line in _lines(given.file) if line.strip()]
    if not prompts:
        raise BadInput("there is no problem to answer; give --prompt TEXT, --file FILE, or lines on standard input")
    return prompts


def _lines(file: str | None) -> list[str]:
    if file in (None, "-"):
        if sys.stdin is None or sys.stdin.isatty():
            raise BadInput("give --prompt TEXT, --file FILE, or problems on standard input")
        return sys.stdin.read().splitlines()
    assert file is not None
    try:
        with open(file, encoding="utf-8") as source:
            return source.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise BadInput(f"{file}: cannot be read: {reason}") from None


def _table(answers: Sequence[Any]) -> str:
    from tabulate import tabulate

    verdict = {True: "right", False: "WRONG", None: "?"}
    rows = [[a.prompt, a.chain, a.answer, verdict[a.right], a.right_answer, f"{a.compute:.0f}"] for a in answers]
    head = ["prompt", "chain", "answer", "", "right answer", "compute"]
    drop = 1 if not any(answer.chain for answer in answers) else None
    shown = [[cell for at, cell in enumerate(row) if at != drop] for row in [head, *rows]]
    return tabulate(shown[1:], shown[0], disable_numparse=True, missingval="?")
