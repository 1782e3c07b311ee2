"""Solved over compute: the budget curves of one run, or of several.

One run has a panel for each split, and a row of them for each dial::

    black            the mean over difficulties, with 95 % intervals; beside each point the value of the dial
    colours          single difficulties, at the mean compute of the split, where there are several
    dotted upright   the trained budget
    open diamond     the trained budget with every token running, where halting deploys an approximation

Several runs have a colour each, a line style for each dial, and a diamond at the trained budget.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from factorexe.budgets.comparison import Comparison
from factorexe.budgets.record import Budget, Curve, Point, Scores
from factorexe.plots.look import CROWDED, KEY, LOOK, MARK, RULE, RUN_COLOURS, colours_of
from factorexe.plots.scales import short

AXES = {
    "compute": "block applications per problem",
    "multiply-adds": "multiply-adds per problem",
}
_DIALS = ("-", "--", ":", "-.")
_WIDE = 10  # times the least: beyond it the axis is logarithmic
_MOST_NAMED = 7  # difficulties in the legend
_OPEN: dict[str, Any] = {"marker": "D", "mfc": "none", "mec": KEY, "ls": ""}


def draw(budget: Budget) -> Figure:
    """The curves of one run."""
    rows, columns = len(budget.curves), len(budget.splits)
    levels = _levels(budget)
    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=(1.9 + 4.4 * columns, 0.9 + 3.5 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for first in grid[:, 0]:
            first.set_ylabel("solved")
        for curve, panels in zip(budget.curves, grid, strict=True):
            for split, axes in zip(budget.splits, panels, strict=True):
                _draw_curve(axes, budget, curve, split, levels)
        _title(figure, [str(budget.path), *(f"{path} {value}" for path, value in budget.changed.items())])
        _explain(figure, budget, levels)
    return figure


def draw_comparison(comparison: Comparison, x: str = "compute") -> Figure:
    """The curves of several runs over ``compute`` or ``multiply-adds``."""
    splits, count = comparison.splits, len(comparison.runs)
    colours = [RUN_COLOURS[0]] if count == 1 else colours_of(count)
    with matplotlib.rc_context(LOOK | (CROWDED if count > len(RUN_COLOURS) else {})):
        figure = Figure(figsize=(1.5 + 4.8 * len(splits), 4), layout="constrained")
        panels = figure.subplots(1, len(splits), squeeze=False, sharey=True)[0]
        panels[0].set_ylabel("solved")
        for split, axes in zip(splits, panels, strict=True):
            for run, colour in zip(comparison.runs, colours, strict=True):
                for curve, line in zip(run.budget.curves, _DIALS * len(run.budget.curves), strict=False):
                    _draw_mean(axes, curve.on(split), split, x, color=colour, ls=line, alpha=0.9)
            _dress(axes, split, x)
        _title(figure, [_equality(comparison)])
        _name_runs(figure, comparison, colours)
    return figure


def _levels(budget: Budget) -> dict[int, Any]:
    """Difficulty -> colour, where a split has several."""
    scores = [one for curve in budget.curves for point in curve.points for one in point.scores.values()]
    if all(len(one.by_difficulty) < 2 for one in scores):
        return {}
    levels = sorted({level for one in scores for level in one.by_difficulty})
    return dict(zip(levels, colours_of(len(levels)), strict=True))


def _draw_curve(axes: Axes, budget: Budget, curve: Curve, split: str, levels: dict[int, Any]) -> None:
    points = curve.on(split)
    for level in points[0].scores[split].by_difficulty if levels else ():
        rates = [point.scores[split].by_difficulty[level].rate for point in points]
        axes.plot(_across(points, split, _compute), rates, color=levels[level], lw=1.3, marker="o", ms=3.5, zorder=2)
    _draw_mean(axes, points, split, "compute", color="black", ls="-", zorder=3)
    for point in points:
        if point.trained:
            axes.axvline(point.scores[split].compute, color=RULE, ls=":", zorder=1)
        at = point.scores[split].compute, point.scores[split].solved
        axes.annotate(str(point.value), at, (5, 5), textcoords="offset points", fontsize=10, color=KEY)
    if budget.running and split in budget.running.scores:
        one = budget.running.scores[split]
        axes.plot([one.compute], [one.solved], **_OPEN, ms=10, zorder=4)
    _dress(axes, f"{split}, {curve.dial} turned", "compute")


def _draw_mean(axes: Axes, points: Sequence[Point], split: str, x: str, **look: Any) -> None:
    """The mean over difficulties with its interval, the trained budget marked."""
    if not points:
        return
    solved = [point.scores[split].solved for point in points]
    bounds = [point.scores[split].interval for point in points]
    reach = [[max(0.0, rate - low) for rate, (low, _) in zip(solved, bounds, strict=True)]]
    reach += [[max(0.0, high - rate) for rate, (_, high) in zip(solved, bounds, strict=True)]]
    across = _across(points, split, _compute if x == "compute" else _multiply_adds)
    axes.errorbar(across, solved, yerr=reach, marker="o", ms=5, elinewidth=1, **look)
    trained = [number for number, point in enumerate(points) if point.trained]
    plain = {name: value for name, value in look.items() if name not in ("ls", "zorder")}
    axes.plot([across[n] for n in trained], [solved[n] for n in trained], ls="", **MARK, **plain, ms=9, zorder=5)


def _across(points: Sequence[Point], split: str, spent: Callable[[Scores], float]) -> list[float]:
    return [spent(point.scores[split]) for point in points]


def _compute(one: Scores) -> float:
    return one.compute


def _multiply_adds(one: Scores) -> float:
    return one.multiply_adds


def _dress(axes: Axes, title: str, x: str) -> None:
    places = np.concatenate([np.asarray(line.get_xdata(), dtype=float) for line in axes.lines])
    axes.set(title=title, xlabel=AXES[x], ylim=(-0.04, 1.09))
    if 0 < _WIDE * places.min() < places.max():
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        ticks = [base * 10.0**power for power in range(-3, 18) for base in (1, 2, 5)]
        inside = [tick for tick in ticks if low <= tick <= high]
        axes.xaxis.set_major_locator(FixedLocator(inside if len(inside) <= 8 else inside[::3]))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(_number))
    axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{100 * rate:.0f} %"))


def _number(value: float, _: Any) -> str:
    return short(value) if value < 1e5 else f"{value:.2g}".replace("e+0", "e").replace("e+", "e")


def _title(figure: Figure, parts: Sequence[str]) -> None:
    letters = int(9.5 * figure.get_figwidth())
    figure.suptitle(
        textwrap.fill(", ".join(parts), letters, break_on_hyphens=False), x=0.01, ha="left", fontsize=12, color=KEY
    )


def _explain(figure: Figure, budget: Budget, levels: dict[int, Any]) -> None:
    """What colours and marks are."""
    mean = "mean over difficulties" if levels else "solved"
    rows = [(Line2D([], [], color="black", marker="o", ms=5), f"{mean} (bars: 95 % interval)")]
    rows.append((Line2D([], [], color="black", ls="", **MARK, ms=9), f"{budget.unturned} budget"))
    if budget.running:
        rows.append((Line2D([], [], **_OPEN, ms=10), f"{budget.unturned} budget, every token running"))
    named = list(levels)[:: max(1, -(-len(levels) // _MOST_NAMED))]
    rows += [(Line2D([], [], color=levels[level], marker="o", ms=3.5), f"difficulty {level}") for level in named]
    marks, words = zip(*rows, strict=True)
    figure.legend(marks, words, loc="outside lower left", ncols=min(3, len(rows)))


def _equality(comparison: Comparison) -> str:
    groups, what = comparison.groups, comparison.in_words
    if len(groups) == 1:
        return f"equal {what}, within 10 %: {comparison.spread(comparison.runs)}"
    return (
        f"NOT of equal {what}: {comparison.spread(comparison.runs)}, in {len(groups)} groups that differ by over 10 %"
    )


def _name_runs(figure: Figure, comparison: Comparison, colours: Sequence[Any]) -> None:
    rows = []
    for run, colour in zip(comparison.runs, colours, strict=True):
        told = f"{run.name}, {run.label} ({comparison.spread([run])} {comparison.in_words})"
        for curve, line in zip(run.budget.curves, _DIALS * len(run.budget.curves), strict=False):
            words = textwrap.fill(
                f"{told}: {curve.dial or 'no dial'}", 42 * len(comparison.splits), break_on_hyphens=False
            )
            rows.append((Line2D([], [], color=colour, ls=line, marker="o", ms=5), words))
    rows.append((Line2D([], [], color=KEY, ls="", **MARK, ms=9), "trained budget (bars: 95 % interval)"))
    marks, names = zip(*rows, strict=True)
    figure.set_figheight(3.8 + 0.25 * sum(1 + name.count("\n") for name in names))
    figure.legend(marks, names, loc="outside lower left")
