"""Where values stand on the axes of a figure of a sweep.

1, 2, 4, 8                 powers of two: each as far from the last, on a log axis to base 2
0.0001, 0.001, 0.003       more even on a log axis than on a linear one
100, 200, 300              linear
transformer, universal     side by side, in their order
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf, log, log2
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from factorexe.sweeps.chart import Chart

_MOST_TICKS = 8
_WIDE = 4  # times the smallest value: from here on a log axis is thought of
_RATES = ("solved", "solved_by_difficulty", "token_accuracy")


class Scale(NamedTuple):
    """The horizontal axis."""

    values: tuple[Any, ...]  # each once, from left to right
    base: int | None  # of the logarithm; None for a linear axis
    numeric: bool

    def at(self, value: Any) -> float:
        """Where a value stands."""
        return value if self.numeric else self.values.index(value)

    def dress(self, axes: Axes) -> None:
        """Scale and ticks."""
        if not self.numeric:
            axes.set_xticks(range(len(self.values)), [str(value) for value in self.values])
            axes.set_xlim(-0.5, len(self.values) - 0.5)
            if sum(len(str(value)) for value in self.values) > 60:
                axes.tick_params(axis="x", rotation=20)
            return
        if self.base is not None:
            axes.set_xscale("log", base=self.base)
        if len(self.values) <= _MOST_TICKS:
            axes.xaxis.set_major_locator(FixedLocator(list(self.values)))
            axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def scale_of(values: Sequence[Any], column: str) -> Scale:
    """The scale on which values of an option or a result stand most evenly."""
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not numeric:
        return Scale(tuple(dict.fromkeys(values)), None, False)
    return Scale(once := tuple(sorted(set(values))), _base(once), True)


def _base(values: Sequence[float]) -> int | None:
    if values[0] <= 0 or values[-1] < _WIDE * values[0]:
        return None
    if all(log2(value).is_integer() for value in values):
        return 2
    return 10 if _unevenness([log(value) for value in values]) < _unevenness(values) else None


def _unevenness(values: Sequence[float]) -> float:
    """The widest gap over the narrowest."""
    gaps = [high - low for low, high in pairwise(values)]
    return max(gaps) / min(gaps)


def dress_result(axes: Axes, chart: Chart) -> None:
    """The vertical axis: rates in percent from none to all, losses on a log axis where they go far apart."""
    if chart.y.partition(".")[0] in _RATES:
        axes.set_ylim(-0.03, 1.03)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{100 * rate:.0f} %"))
        return
    values = [number.value for line in chart.lines for place in line.places for number in place.numbers]
    finite = [value for value in values if -inf < value < inf]
    if finite and min(finite) > 0 and max(finite) >= 10 * min(finite):
        axes.set_yscale("log")
    else:
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        if finite and min(finite) >= 0:
            axes.set_ylim(bottom=0)


def short(value: float) -> str:
    """A number of a tick: 1,250, 0.003, 1.3e+13."""
    if 1000 <= abs(value) < 1e7:
        return f"{value:,.0f}"
    return f"{value:.3g}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")
