"""One page for one run: everything that tells memory from rule, over steps, with the events drawn through it.

    t_mem = 625   t_gen = 1,000
         |             |
    solved             ------   seen, val, ood
    ratio              ------   what a step gains on val, over what it gains on its own batch
    planted answers    ------   given as planted, answered by the rule

A panel without numbers is left out.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from factorexe.labels import flat
from factorexe.memorization import Panel, Story, words
from factorexe.metrics import EVENTS
from factorexe.plots.look import KEY, LOOK, RULE, SPLITS

_OTHERS = (("#000000", "-"), ("#CC79A7", "--"))  # of what belongs to no split
_HEIGHT, _TOP = 1.55, 1.15  # inches of a panel, and of what stands above all of them
_LETTERS = 115  # of a line above the panels


def draw(story: Story) -> Figure:
    """The page."""
    shown = story.panels
    with matplotlib.rc_context(LOOK | {"font.size": 11}):
        figure = Figure(figsize=(10, _TOP + _HEIGHT * len(shown)), layout="constrained")
        column = figure.subplots(len(shown), 1, squeeze=False, sharex=True)[:, 0]
        for axes, (panel, curves) in zip(column, shown, strict=True):
            _draw_panel(axes, panel, curves, len(story.history.rows))
            for event, step in _events(story):
                axes.axvline(step, color=SPLITS[EVENTS[event]].colour, lw=1, zorder=1)
        _name_events(column[0], story)
        column[-1].set(xlabel="step", xlim=(0, None))
        column[-1].xaxis.set_major_locator(MaxNLocator(6, integer=True))
        column[-1].xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
        lines = [textwrap.fill(line, _LETTERS, break_on_hyphens=False) for line in (_named(story), *words(story))]
        figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=11, color=KEY)
    return figure


def _draw_panel(axes: Axes, panel: Panel, curves: Mapping[str, Mapping[int, float]], evaluations: int) -> None:
    others = iter(_OTHERS)
    for name, curve in curves.items():
        split = SPLITS.get(name.partition("/")[2])
        colour, line = (split.colour, split.line) if split else next(others)
        look: dict[str, Any] = {"color": colour, "ls": line}
        if 2 * len(curve) < evaluations or len(curve) < 3:  # measured rarely: points are seen as points
            look |= {"marker": "o", "ms": 4}
        axes.plot(list(curve), list(curve.values()), label=panel.columns[name], **look)
    numbers = [number for curve in curves.values() for number in curve.values()]
    title = panel.title
    if panel.limits and not panel.limits[0] <= min(numbers) <= max(numbers) <= panel.limits[1]:
        axes.set_ylim(*panel.limits)
        title += f" (cut at {panel.limits[0]:g} and {panel.limits[1]:g})"
    elif panel.log and min(numbers) > 0:
        axes.set_yscale("log")
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:.6g}"))
    if panel.level is not None:
        axes.axhline(panel.level, color=RULE, lw=1, zorder=1)
    axes.set_title(title, loc="left", fontsize=11)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=10)


def _events(story: Story) -> list[tuple[str, int]]:
    """Those that were reached, in order."""
    reached = [(step, event) for event in EVENTS if (step := story.events[event]) is not None]
    return [(event, step) for step, event in sorted(reached)]


def _name_events(axes: Axes, story: Story) -> None:
    """Above the first panel, to the right of their lines; the first is highest, so no line runs through a name."""
    for row, (event, step) in enumerate(reversed(_events(story))):
        colour = SPLITS[EVENTS[event]].colour
        axes.annotate(
            f"{event} = {step:,}",
            (step, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 20 + 14 * row),
            textcoords="offset points",
            color=colour,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 1, "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0)},
        )


def _named(story: Story) -> str:
    """The run, and its task, model and objective."""
    named = flat(story.history.options)
    what = ", ".join(named[each] for each in ("task", "model", "objective") if each in named)
    return f"{story.history.path}: {what}"
