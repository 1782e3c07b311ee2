"""How runs and splits look: colours, line styles, markers, greys and lettering.

    one run         seen blue, solid      val vermilion, dashed      ood green, dotted
    several runs    the first blue, the second vermilion, ...; seen solid, val dashed, ood dotted

Line style and marker say of a split what its colour says: a figure can be read in grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib


class Split(NamedTuple):
    """How a split is drawn, and what it is."""

    colour: str
    line: str
    marker: str
    meaning: str


SPLITS = {
    "seen": Split("#0072B2", "-", "o", "seen: trained on"),
    "val": Split("#D55E00", "--", "s", "val: as hard, never trained on"),
    "ood": Split("#009E73", ":", "^", "ood: harder than training"),
}
RUN_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LOOK: Any = {
    "font.size": 12,
    "axes.titlesize": 12.5,
    "legend.fontsize": 11.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 2,
    "lines.markersize": 7,
    "errorbar.capsize": 3,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "factorexe",  # the same figure is the same file
}
CROWDED: Any = {"lines.linewidth": 1.2, "lines.markersize": 4.5, "errorbar.capsize": 0}
KEY, TRAINED, RULE = "0.25", "0.9", "0.6"  # greys: what is no run, the trained range, the line at 1 %
MARK: dict[str, Any] = {"marker": "D", "markeredgecolor": "white"}  # an event on a curve


def colours_of(count: int) -> Sequence[Any]:
    """One for each run; none for a single one, whose splits have colours instead."""
    if count <= len(RUN_COLOURS):
        return [None] if count == 1 else RUN_COLOURS[:count]
    shades = matplotlib.colormaps["cividis"]
    return [shades(0.92 * run / (count - 1)) for run in range(count)]  # its last yellows are too light for a line
