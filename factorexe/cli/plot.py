"""``factorexe plot``: the curves of one run, or of several of one task, as a figure.

factorexe plot runs/multiplication/transformer/e5bd11cf6b23
factorexe plot runs/multiplication/*/* --output docs/depths.svg
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from factorexe.cli.command import DONE, refusing
from factorexe.cli.output import FIGURES, save, target_of


def add(verbs: Any) -> None:
    """``plot``."""
    verb = verbs.add_parser("plot", help="draw the curves of one run, or of several", allow_abbrev=False)
    verb.add_argument("runs", metavar="RUN", nargs="+", help="a run's directory; finished or not")
    verb.add_argument(
        "--output", metavar="FILE", help=".png or .svg (default: plot.png, in the directory of the run if it is one)"
    )
    verb.set_defaults(act=_plot)


def _plot(given: argparse.Namespace, rest: Sequence[str]) -> int:
    from factorexe.history import read_all

    target = target_of(given.output, FIGURES) if given.output else None
    with refusing():
        runs = read_all(given.runs)
    if target is None:
        target = runs[0].path / "plot.png" if len(runs) == 1 else Path("plot.png")
    from factorexe.plots import draw, picture

    save(target, picture(draw(runs), target.suffix.lower()))
    return DONE
