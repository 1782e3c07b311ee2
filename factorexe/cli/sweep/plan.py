"""``factorexe sweep plan``: look at every run of a sweep before anything starts.

$ factorexe sweep plan widths.yaml
18 runs of widths: 27 combinations, 9 skipped
...
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from factorexe.cli.command import DONE, refusing, say

_MANY = 200  # combinations from which on a bar is shown


def add(verbs: Any) -> None:
    """``plan``."""
    verb = verbs.add_parser("plan", help="look at every run of a sweep before anything starts", allow_abbrev=False)
    verb.add_argument("file", metavar="FILE", help="the sweep's file")
    add_places(verb)
    verb.add_argument(
        "--json",
        action="store_true",
        help="a line for each run: cost, and what there is of it",
    )
    verb.set_defaults(act=_plan)


def add_places(verb: argparse.ArgumentParser) -> None:
    """Where the plan and the runs are."""
    verb.add_argument("--dir", metavar="DIR", help="the sweep's directory (default: sweeps/NAME OF THE FILE)")
    verb.add_argument("--runs", metavar="DIR", help="where runs are kept (default: runs)")
    verb.add_argument(
        "--trainer.logger",
        dest="logger",
        choices=("tensorboard", "csv", "none"),
        help="what keeps the curves of the runs (default: what the file says, else none)",
    )


def planned(file: str, given: argparse.Namespace, **how: Any) -> Any:
    """The sweep in a file, planned; ``how`` is for ``plan_sweep``."""
    from factorexe.sweeps.planning import plan_sweep

    with refusing():
        sweep = plan_sweep(file, runs=given.runs, directory=given.dir, logger=given.logger, watch=_watched, **how)
    if sweep.repeated:
        say(f"{sweep.repeated} combinations are the same run as another and are counted once")
    return sweep


def _plan(given: argparse.Namespace, rest: Sequence[str]) -> int:
    from factorexe.sweeps.claims import Claims
    from factorexe.sweeps.outlook import outlook
    from factorexe.sweeps.standing import live, look

    sweep = planned(given.file, given)
    standing = look(sweep.plan, live(sweep.plan, Claims(sweep.directory.claims)))
    if given.json:
        for run, cost in zip(sweep.plan.planned, sweep.costs, strict=True):
            print(json.dumps(run._asdict() | cost._asdict() | {"state": standing.states[run.id]}))
        return DONE
    print(outlook(sweep, standing))
    where = sweep.directory.path
    say(f"\nto compute it here, or with one worker more on any machine that sees {where}:")
    say(f"  factorexe sweep run {given.file}\n  factorexe sweep worker {where}")
    return DONE


def _watched(combinations: Iterable[Any]) -> Iterable[Any]:
    """A bar over many of them."""
    every = list(combinations)
    if len(every) < _MANY:
        return every
    from tqdm import tqdm

    return tqdm(every, desc="validating", unit="run", file=sys.stderr, leave=False, disable=None)
