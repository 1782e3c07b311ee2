"""``factorexe plot``: the curves of one run, or of several of one task, as a figure.

factorexe plot runs/multiplication/transformer/e5bd11cf6b23
factorexe plot runs/multiplication/*/* --output docs/depths.svg
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from factorexe.cli.command import DONE, BadInput, refusing

SUFFIXES = (".png", ".svg")


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

    target = _target(given.output) if given.output else None
    with refusing():
        runs = read_all(given.runs)
    if target is None:
        target = runs[0].path / "plot.png" if len(runs) == 1 else Path("plot.png")
    from factorexe.plots import draw, picture

    content = picture(draw(runs), target.suffix.lower())
    try:
        target.write_bytes(content)
    except OSError as error:
        raise BadInput(f"{target} cannot be written: {error.strerror}; name another file with --output") from None
    print(target)
    return DONE


def _target(output: str) -> Path:
    """The file to write, refused before anything is read or drawn."""
    target = Path(output)
    if target.suffix.lower() not in SUFFIXES:
        raise BadInput(f"--output: expected a file that ends in .png or .svg (got {output!r})")
    if not target.parent.is_dir():
        raise BadInput(f"--output: there is no directory {target.parent}; make it or name another")
    return target
