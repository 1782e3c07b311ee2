"""What lines, colours and shades mean, below the panels."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from math import ceil
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from factorexe.history import History
from factorexe.labels import labels
from factorexe.plots.look import KEY, MARK, SPLITS, TRAINED

_LETTERS = 90  # of the widest row of run names


def explain_splits(runs: Sequence[History], colour: Any = None) -> dict[str, list[Any]]:
    """What the lines of each split, and the shade, mean; in one colour if runs have the others."""
    looks = [look for split, look in SPLITS.items() if any(run.curve(f"solved/{split}") for run in runs)]
    lines = [Line2D([], [], color=colour or look.colour, ls=look.line, marker=look.marker) for look in looks]
    meanings = [look.meaning for look in looks]
    return {"handles": [*lines, Patch(color=TRAINED)], "labels": [*meanings, "difficulties of training"]}


def explain_runs(figure: Figure, runs: Sequence[History], colours: Sequence[Any]) -> None:
    """The first column says what splits look like, the others name the runs; the figure grows to hold them."""
    names = [
        textwrap.fill(name, _LETTERS, break_on_hyphens=False)
        for name in labels([run.path for run in runs], [run.options for run in runs])
    ]
    key = explain_splits(runs, KEY)
    handles = [*key["handles"], Line2D([], [], color=KEY, ls="", **MARK)]
    words = [*key["labels"], "event: 99 % solved three times in a row"]
    longest = max(len(line) for name in names for line in name.splitlines())
    rows = max(len(words), ceil(len(names) / (_LETTERS // (longest + 6) or 1)))
    columns = ceil(len(names) / rows)
    blank = Line2D([], [], ls="")
    handles += [blank] * (rows - len(words)) + [Line2D([], [], color=colour, lw=4) for colour in colours]
    words += [""] * (rows - len(words)) + names
    missing = rows * (1 + columns) - len(words)  # columns are filled one after the other, all to the same length
    lines = max(rows, ceil(sum(name.count("\n") + 1 for name in names) / columns))
    figure.set_figheight(4 + 0.25 * lines)
    figure.legend(
        [*handles, *[blank] * missing], [*words, *[""] * missing], loc="outside lower left", ncols=1 + columns
    )
