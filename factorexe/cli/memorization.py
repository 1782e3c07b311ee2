"""``factorexe memorization RUN``: when a run knew its problems by heart, when it had the rule, and what went on.

factorexe memorization runs/modular/universal-transformer/9295f290baf3
factorexe memorization RUN --output page.svg --json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from factorexe.cli.command import DONE, refusing, say
from factorexe.cli.output import FIGURES, save, target_of

_EPILOG = """\
t_mem, t_gen and t_ood are the first of three evaluations in a row that solve 99 % of seen, val and ood.  What else is
told depends on the instruments of the run (--instruments of fit); without any, it is what was solved.
"""


def add(verbs: Any) -> None:
    """``memorization``."""
    what = "tell when a run memorized and when it generalized, as a table and a page of curves; finished or not"
    verb = verbs.add_parser(
        "memorization",
        help="tell when a run memorized and when it generalized",
        description=what,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verb.add_argument("run", metavar="RUN", help="the run's directory; finished or not")
    verb.add_argument("--output", metavar="FILE", help=".png or .svg (default: memorization.png, in the run)")
    verb.add_argument("--json", action="store_true", help="print the record instead of tables")
    verb.set_defaults(act=_memorization)


def _memorization(given: argparse.Namespace, rest: Sequence[str]) -> int:
    from factorexe.memorization import as_json, story, written

    target = target_of(given.output, FIGURES) if given.output else None
    with refusing():
        found = story(given.run)
    from factorexe.plots import picture
    from factorexe.plots.memorization import draw

    print(json.dumps(as_json(found), indent=2) if given.json else written(found))
    target = target or found.history.path / "memorization.png"
    save(target, picture(draw(found), target.suffix.lower()), told=lambda line: say(f"written: {line}"))
    return DONE
