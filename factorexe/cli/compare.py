"""``factorexe compare RUN...``: what several runs solve for the compute they spend, in one figure.

factorexe compare runs/parity/*/* --at multiply-adds
factorexe compare LOOP PLAIN --x multiply-adds --output both.png
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from factorexe.cli.budget import add_splits, keeping_passes, listed
from factorexe.cli.command import DONE, loaded, refusing, say
from factorexe.cli.output import FIGURES, save, target_of

_EPILOG = """\
Runs of the same problems.  A run without a stored budget gets one measured (factorexe budget); one whose model has no
dial is a single point.  Options that hold no weights can be changed for all of them, such as --data.eval_size 5000.
"""
_COSTS = ("compute", "multiply-adds")


def add(verbs: Any) -> None:
    """``compare``."""
    what = "draw the budget curves of several runs, and say whether the runs are of equal size"
    verb = verbs.add_parser(
        "compare",
        help="draw what several runs solve for the compute they spend",
        description=what,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verb.add_argument("runs", metavar="RUN", nargs="+", help="a run's directory")
    verb.add_argument(
        "--at",
        choices=("parameters", "multiply-adds"),
        default="parameters",
        help="what the runs are meant to be equal in: parameters, or multiply-adds in training (default: parameters)",
    )
    verb.add_argument("--x", choices=_COSTS, default="compute", help="the horizontal axis (default: compute)")
    verb.add_argument("--checkpoint", choices=("best", "last"), default="best", help="which weights (default: best)")
    add_splits(verb)
    verb.add_argument("--output", metavar="FILE", help=".png or .svg (default: compare.png)")
    verb.add_argument("--json", action="store_true", help="print the record instead of tables")
    verb.set_defaults(act=_compare, takes_options=True)


def _compare(given: argparse.Namespace, rest: Sequence[str]) -> int:
    from factorexe.commandline import Words

    target = target_of(given.output or "compare.png", FIGURES)
    typed = Words(rest, "factorexe compare")
    with refusing(), keeping_passes() as told:
        runs = [loaded(argparse.Namespace(run=path), typed) for path in given.runs]
        from factorexe.budgets.comparing import compare
        from factorexe.evaluation import changed_by

        found = compare(
            runs,
            changed_by(runs[0], typed.said, typed.parse),
            at=given.at,
            splits=listed(given.split),
            checkpoint=given.checkpoint,
            say=told,
        )
    from factorexe.budgets.comparison import comparison_as_json
    from factorexe.budgets.written import comparison_tables
    from factorexe.plots import picture
    from factorexe.plots.budget import draw_comparison

    print(json.dumps(comparison_as_json(found), indent=2) if given.json else comparison_tables(found))
    figure = draw_comparison(found, given.x)
    save(target, picture(figure, target.suffix.lower()), told=lambda line: say(f"written: {line}"))
    return DONE
