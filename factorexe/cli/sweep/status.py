"""``factorexe sweep status``: how far a sweep is, what failed, how long the rest will take.

factorexe sweep status sweeps/widths
factorexe sweep status sweeps/widths --watch
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from factorexe.cli.command import DONE, refusing

_EVERY_S = 2.0
_MOST_FAILURES = 10
_CLEAR = "\x1b[H\x1b[2J"  # an empty screen, as terminals understand it


def add(verbs: Any) -> None:
    """``status``."""
    verb = verbs.add_parser("status", help="how far a sweep is, what failed, how long it takes", allow_abbrev=False)
    verb.add_argument("directory", metavar="DIR", help="the sweep's directory")
    verb.add_argument("--watch", action="store_true", help="look again every two seconds until nothing is left to do")
    verb.add_argument("--json", action="store_true", help="as one object, all failures in it; one a line with --watch")
    verb.set_defaults(act=_status)


def _status(given: argparse.Namespace, rest: Sequence[str]) -> int:
    from factorexe.sweeps.claims import Claims
    from factorexe.sweeps.directory import SweepDirectory
    from factorexe.sweeps.plan import read
    from factorexe.sweeps.standing import live, look

    directory = SweepDirectory(given.directory)
    claims = Claims(directory.claims)  # remembers which hearts it has seen beat
    write: Any = _as_json if given.json else _as_text
    show = _screen() if given.watch and sys.stdout.isatty() and not given.json else _changes()
    while True:
        with refusing():
            plan = read(directory)
            standing = look(plan, live(plan, claims))
        show(write(plan, standing, given.directory))
        if not given.watch or not standing.left:
            return DONE
        time.sleep(_EVERY_S)


def _screen() -> Callable[[str], None]:
    return lambda text: print(_CLEAR + text, flush=True)


def _changes() -> Callable[[str], None]:
    """Prints what it has not just printed: a file or a pipe is not to be filled with one line again and again."""
    before = ""

    def show(text: str) -> None:
        nonlocal before
        if text != before:
            print(text, flush=True)
        before = text

    return show


def _as_text(plan: Any, standing: Any, directory: str) -> str:
    from factorexe.sweeps.varying import described, varying

    lines = [f"{plan.name}: {standing}", *_pace(standing, directory)]
    options = varying(plan) if standing.failures else ()
    for failure in standing.failures[:_MOST_FAILURES]:
        lines += ["", f"failed     {failure.planned.id}  {described(failure.planned, options)}"]
        lines += [f"           {failure.error}", f"           traceback in {failure.where}"]
    if more := len(standing.failures) - _MOST_FAILURES:
        lines += ["", f"{more} more failed; --json has them all"] if more > 0 else []
    return "\n".join(lines)


def _pace(standing: Any, directory: str) -> list[str]:
    """How fast it goes and when it ends, or what to do where nobody is at work."""
    from tqdm import tqdm

    if not standing.left:
        again = f"; factorexe sweep run {directory} --retry-failed tries them again" if standing.failures else ""
        return [f"nothing is left to do{again}"]
    if not standing.counts["running"]:
        return [f"nobody is at work on it; to go on: factorexe sweep run {directory}"]
    if standing.per_minute is None:
        return ["how long it takes is known once a run is finished"]
    return [f"{standing.per_minute:.3g} runs a minute, {tqdm.format_interval(standing.seconds_left)} left"]


def _as_json(plan: Any, standing: Any, directory: str) -> str:
    failures = [
        {"id": one.planned.id, "options": one.planned.values, "error": one.error, "traceback_in": str(one.where)}
        for one in standing.failures
    ]
    return json.dumps(
        {
            "name": plan.name,
            "runs": len(standing.states),
            **standing.counts,
            "runs_per_minute": standing.per_minute,
            "seconds_left": standing.seconds_left,
            "failures": failures,
        }
    )
