"""``factorexe sweep``: many runs from one file, by any number of workers.

factorexe sweep plan widths.yaml                  look at every run before anything starts
factorexe sweep run widths.yaml --workers auto    plan and compute; retype it to go on
factorexe sweep worker sweeps/widths              the same from any other machine that sees the directory
factorexe sweep status|results|plot sweeps/widths
"""

from __future__ import annotations

from typing import Any

from factorexe.cli.command import with_verbs
from factorexe.cli.sweep import plan, results, run, status

PARTS = (plan, run, status, results)


def add(verbs: Any) -> None:
    """``sweep`` and the verbs below it."""
    parser = verbs.add_parser("sweep", help="many runs from one file: plan, run, worker, status, results, plot")
    below = with_verbs(parser, "{plan,run,worker,status,results,plot}")
    for part in PARTS:
        part.add(below)
