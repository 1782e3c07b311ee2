"""Figures of runs: what is not solved and the loss over steps, and what is solved by difficulty.

Rates crowd at 1, so over steps it is what is missing to 1 that is drawn, on a log axis::

    solved   0.5    0.9    0.99   0.999    1
    height   50 %   10 %   1 %    0.1 %    "none", below the least of the others

One run has a colour per split and a line at each event; several have a colour per run, named by what differs
between them, a line style per split, and a mark where a curve reaches its event.  Colours are Okabe and Ito's,
or cividis where there are more runs than those: told apart by readers of every kind of sight.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure

from factorexe.history import History
from factorexe.labels import flat
from factorexe.plots.legend import explain_runs, explain_splits
from factorexe.plots.levels import draw_levels
from factorexe.plots.look import CROWDED, KEY, LOOK, RUN_COLOURS, colours_of
from factorexe.plots.steps import curves, draw_loss, draw_wrong, name_events


def draw(runs: Sequence[History]) -> Figure:
    """One figure of one run, or of several of one task."""
    colours = colours_of(len(runs))
    with matplotlib.rc_context(LOOK | (CROWDED if len(runs) > len(RUN_COLOURS) else {})):
        figure = Figure(figsize=(12, 4.5), layout="constrained")
        wrong, loss, levels = figure.subplots(1, 3)
        loss.sharex(wrong)
        draw_wrong(wrong, list(curves(runs, "solved", colours)))
        draw_loss(loss, list(curves(runs, "loss", colours)))
        draw_levels(levels, runs, colours)
        figure.suptitle(_shared(runs), x=0.01, ha="left", fontsize=12, color=KEY)
        if len(runs) == 1:
            name_events(wrong, loss, runs[0])
            figure.legend(**explain_splits(runs), loc="outside lower center", ncols=4)
        else:
            explain_runs(figure, runs, colours)
    return figure


def picture(figure: Figure, suffix: str) -> bytes:
    """The content of a file with this suffix, .png or .svg."""
    file = io.BytesIO()
    with matplotlib.rc_context(LOOK):
        undated = {"Date": None} if suffix == ".svg" else None
        figure.savefig(file, format=suffix.removeprefix("."), dpi=150, metadata=undated)
    return file.getvalue()


def _shared(runs: Sequence[History]) -> str:
    """Names of task, model and objective, where all runs have the same."""
    named = [flat(run.options) for run in runs]
    wanted = [what for what in ("task", "model", "objective") if what in named[0]]
    return ", ".join(named[0][what] for what in wanted if all(each.get(what) == named[0][what] for each in named))
