"""Curves over steps, what is not solved and the loss, and the events on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations, product
from math import inf
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from factorexe.history import History
from factorexe.metrics import EVENTS, REACHED, events
from factorexe.plots.look import MARK, RULE, SPLITS

_ALMOST_NONE = 1e-9  # a share below is rounding


class Curve(NamedTuple):
    """Numbers of one split of one run over steps."""

    split: str
    colour: Any
    steps: Sequence[int]
    values: Sequence[float]
    event: int | None  # step


def curves(runs: Sequence[History], what: str, colours: Sequence[Any]) -> Iterator[Curve]:
    """Every curve of ``solved`` or ``loss`` that there is."""
    for run, colour in zip(runs, colours, strict=True):
        reached = events(run.rows)
        for event, split in EVENTS.items():
            if curve := run.curve(f"{what}/{split}"):
                shade = colour or SPLITS[split].colour
                yield Curve(split, shade, list(curve), list(curve.values()), reached[event] if colour else None)


def draw_wrong(axes: Axes, curves: Sequence[Curve]) -> None:
    """What is missing to 1, of curves of ``solved``."""
    shares = [1 - rate for curve in curves for rate in curve.values]
    none = min([(1 - REACHED) / 2, *(share / 2 for share in shares if share > _ALMOST_NONE)])
    axes.axhline(1 - REACHED, color=RULE, lw=1)
    for curve in curves:
        _line(axes, curve._replace(values=[max(1 - rate, none) for rate in curve.values]))
    ticks = [10.0**power for power in range(0, -12, -1) if 10.0**power > 1.5 * none]
    if min(shares, default=1.0) <= _ALMOST_NONE:
        ticks.append(none)
    axes.set(title="problems not solved", xlabel="step", yscale="log", ylim=(none / 1.4, 1.3))
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: "none" if share <= none else f"{100 * share:.6g} %"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))


def draw_loss(axes: Axes, curves: Sequence[Curve]) -> None:
    """Losses as they are."""
    for curve in curves:
        _line(axes, curve)
    can_log = any(0 < value < inf for curve in curves for value in curve.values)
    axes.set(title="loss per supervised token", xlabel="step", yscale="log" if can_log else "linear")


def _line(axes: Axes, curve: Curve) -> None:
    look = SPLITS[curve.split]
    (line,) = axes.plot(curve.steps, curve.values, look.line, color=curve.colour)
    if curve.event in curve.steps:
        line.set(**MARK, markevery=[curve.steps.index(curve.event)])
    elif len(curve.steps) == 1:
        line.set(marker=look.marker)


def name_events(wrong: Axes, loss: Axes, run: History) -> None:
    """A line at each event; the names stand above the curves, one below the other."""
    reached = sorted((step, event) for event in EVENTS if (step := events(run.rows)[event]) is not None)
    low, high = wrong.get_ylim()
    wrong.set_ylim(low, low * (high / low) ** (1 / (0.98 - 0.07 * len(reached))))
    words = [f"{event} = {step:,}" for step, event in reached]
    places = [step / wrong.get_xlim()[1] for step, _ in reached]
    for row, (number, side) in enumerate(_arranged(places, [0.02 + 0.03 * len(word) for word in words])):
        step, event = reached[number]
        colour, height = SPLITS[EVENTS[event]].colour, 0.96 - 0.07 * row
        wrong.axvline(step, ymax=height, color=colour, lw=1)
        loss.axvline(step, color=colour, lw=1)
        wrong.annotate(
            words[number],
            (step, height),
            xycoords=("data", "axes fraction"),
            xytext=(5 * side, 0),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            va="center",
            color=colour,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )


def _arranged(places: Sequence[float], widths: Sequence[float]) -> list[tuple[int, int]]:
    """Names from the top, each with the side of its line (1 right, -1 left) on which no other line runs through it."""
    numbers = range(len(places))
    for sides in product((1, -1), repeat=len(places)):
        spans = [sorted((places[n], places[n] + sides[n] * widths[n])) for n in numbers]
        if any(low < 0 or high > 1 for low, high in spans):
            continue
        for order in permutations(numbers):
            if not any(spans[low][0] < places[high] < spans[low][1] for high, low in combinations(order, 2)):
                return [(n, sides[n]) for n in order]
    return [(n, 1 if places[n] + widths[n] <= 1 else -1) for n in numbers]  # too close: a name hides part of a line
