"""``factorexe budget RUN``: what a run's model solves as a function of the compute it may spend at test time.

factorexe budget runs/multiplication/universal-transformer/9295f290baf3
factorexe budget RUN --dial model.steps --values 1,2,3,6,12 --split val
factorexe budget RUN --task.digits 4 --output harder.png
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from factorexe.cli.command import DONE, BadInput, add_run, loaded, refusing, say
from factorexe.cli.output import FIGURES, save, target_of
from factorexe.cli.signals import SignalStop

_EPILOG = """\
A dial is an option that spends more or less compute with the same weights: steps of a loop, a threshold of halting, a
number of pauses.  Every pass is kept in budget.json of the run and is not made again.  Compute is counted in block
applications per problem; multiply-adds are those of decoding, padding included, counted on some problems of each split.

options that hold no weights can be changed in every pass, such as
  factorexe budget RUN --task.digits 4          harder problems than in training
  factorexe budget RUN --data.eval_size 5000    more problems
"""


def add(verbs: Any) -> None:
    """``budget``."""
    what = "solved rates as a function of the compute spent at test time, as a table and a figure"
    verb = verbs.add_parser(
        "budget",
        help="score a run's weights with more and less compute than in training",
        description=what,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_run(verb)
    add_splits(verb)
    verb.add_argument("--dial", metavar="OPTION", help="such as model.steps (default: every dial of the model)")
    verb.add_argument("--values", metavar="A,B", help="of the dial (default: those that the model proposes)")
    verb.add_argument("--force", action="store_true", help="make passes again that are known")
    verb.add_argument("--output", metavar="FILE", help=".png or .svg (default: budget.png in the run's directory)")
    verb.add_argument("--json", action="store_true", help="print the record instead of tables")
    verb.set_defaults(act=_budget, takes_options=True)


def add_splits(verb: argparse.ArgumentParser) -> None:
    """Which splits to score."""
    verb.add_argument("--split", metavar="NAMES", default="val,ood", help="of seen, val and ood (default: val,ood)")


def listed(words: str) -> list[str]:
    """The words between commas."""
    return [word.strip() for word in words.split(",") if word.strip()]


@contextlib.contextmanager
def keeping_passes() -> Iterator[Callable[[str], None]]:
    """How to tell of a pass that is finished; ends between two passes when asked to, and says that nothing is lost.

    A signal only leaves a mark: the exception that Python makes of it may be raised where a library drops it.
    """
    stop = SignalStop(lambda: say("\nstopping after this pass (Ctrl-C to stop at once)"))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def told(line: str) -> None:
        say(line)
        if stop.requested:
            raise KeyboardInterrupt

    stop.arm()
    try:
        yield told
    except KeyboardInterrupt:
        say("\nevery pass that was finished is kept in budget.json; retype the command to go on")
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _budget(given: argparse.Namespace, rest: Sequence[str]) -> int:
    from factorexe.commandline import Words

    typed = Words(rest, "factorexe budget")
    target = target_of(given.output, FIGURES) if given.output else None
    values = None if given.values is None else listed(given.values)
    if values == []:
        raise BadInput("--values: expected values with commas between them, such as 1,2,4")
    with refusing(), keeping_passes() as told:
        run = loaded(given, typed)
        from factorexe.budgets.measuring import budget
        from factorexe.evaluation import changed_by

        found = budget(
            run,
            changed_by(run, typed.said, typed.parse),
            dial=given.dial,
            values=values,
            splits=listed(given.split),
            checkpoint=given.checkpoint,
            force=given.force,
            say=told,
        )
    from factorexe.budgets.record import as_json
    from factorexe.budgets.written import budget_tables
    from factorexe.plots import picture
    from factorexe.plots.budget import draw

    print(json.dumps(as_json(found), indent=2) if given.json else budget_tables(found))
    target = target or Path(run.path, "budget.png")
    save(target, picture(draw(found), target.suffix.lower()), told=lambda line: say(f"written: {line}"))
    return DONE
