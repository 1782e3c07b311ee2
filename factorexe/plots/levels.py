"""What is solved at each difficulty, the trained ones shaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from factorexe.history import History
from factorexe.plots.look import SPLITS, TRAINED

_MOST_TICKS = 8


def draw_levels(axes: Axes, runs: Sequence[History], colours: Sequence[Any]) -> None:
    """Solved by difficulty at the last evaluation; points of one difficulty stand side by side."""
    for low, high in {_trained(run) for run in runs}:
        axes.axvspan(low - 0.5, high + 0.5, color=TRAINED, lw=0, zorder=0)
    width = 0.7 / len(runs)
    for number, (run, colour) in enumerate(zip(runs, colours, strict=True)):
        middle = width * (number - (len(runs) - 1) / 2)
        for split, aside in {"seen": -width / 4, "val": width / 4, "ood": 0.0}.items():
            _bars(axes, run, split, middle + aside, colour or SPLITS[split].colour)
    found = sorted({level for run in runs for split in SPLITS for level in run.levels(split)})
    axes.set(title="solved at the last evaluation", xlim=(found[0] - 0.5, found[-1] + 0.5), ylim=(-0.04, 1.04))
    axes.set_xlabel("difficulty" + (" (bars: 95 % interval)" if any(run.intervals for run in runs) else ""))
    few = len(found) <= _MOST_TICKS
    axes.xaxis.set_major_locator(FixedLocator(found) if few else MaxNLocator(_MOST_TICKS, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{100 * rate:.0f} %"))


def _bars(axes: Axes, run: History, split: str, aside: float, colour: Any) -> None:
    """Solved by difficulty with intervals; ``aside`` keeps points of one difficulty apart."""
    known = run.intervals.get(split, {})
    points = [(level + aside, rate, *known.get(level, (rate, rate))) for level, rate in run.levels(split).items()]
    if points:
        at, rates, lows, highs = map(np.array, zip(*points, strict=True))
        reach = np.clip([rates - lows, highs - rates], 0, None) if known else None
        look = SPLITS[split]
        axes.errorbar(at, rates, yerr=reach, ls=look.line, marker=look.marker, color=colour)


def _trained(run: History) -> tuple[int, int]:
    """Easiest and hardest difficulty of training."""
    levels = {**run.levels("seen"), **run.levels("val")}
    return min(levels), max(levels)
