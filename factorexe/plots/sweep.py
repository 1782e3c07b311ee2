"""A result of a sweep over one of its options: a line for each hue, seeds as a band and as dots.

    line   the median over seeds
    band   the middle half of the seeds; all of them, from lowest to highest, where there are fewer than five
    dots   single seeds; a triangle stands at the last step of a run that did not reach the event

Every hue has a marker of its own beside its colour, so that a figure can be read in grey.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from factorexe.plots.look import KEY, LOOK, RUN_COLOURS, colours_of
from factorexe.plots.scales import Scale, dress_result, scale_of
from factorexe.plots.words import in_words, named
from factorexe.sweeps.censored import Measured, quantile
from factorexe.sweeps.chart import FEW, Chart, Line
from factorexe.sweeps.varying import is_option

_MARKERS = "osDv<>ph"  # an upright triangle means something
_NOT_REACHED = "^"
_FAINT = 0.18
_LETTERS = 84  # of a line of the title


class _Look(NamedTuple):
    """How a hue is drawn."""

    colour: Any
    marker: str
    aside: float  # points to the right, so that hues do not hide one another

    def step_aside(self, axes: Axes, *artists: Artist) -> None:
        """Move what was drawn; drawn there at once, it would count as other data when limits are found."""
        for artist in artists:
            artist.set_transform(axes.transData + ScaledTranslation(self.aside / 72, 0, axes.figure.dpi_scale_trans))


def draw(chart: Chart, name: str, question: str) -> Figure:
    """The figure of a chart, under the name of its sweep and what it asks."""
    looks = _looks(len(chart.lines), 5.0 if is_option(chart.x) else 0.0)
    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        scale = scale_of([place.x for line in chart.lines for place in line.places], chart.x)
        for line, look in zip(chart.lines, looks, strict=True):
            _draw_line(axes, chart, line, scale, look)
        scale.dress(axes)
        dress_result(axes, chart)
        axes.set(xlabel=in_words(chart.x), ylabel=in_words(chart.y))
        _title(figure, name, question, chart.where)
        _explain(figure, chart, looks)
    return figure


def _looks(count: int, apart: float) -> list[_Look]:
    colours = colours_of(count) if count > 1 else RUN_COLOURS[:1]
    apart = min(apart, 24 / count)
    return [
        _Look(colour, _MARKERS[number % len(_MARKERS)], apart * (number - (count - 1) / 2))
        for number, colour in enumerate(colours)
    ]


def _draw_line(axes: Axes, chart: Chart, line: Line, scale: Scale, look: _Look) -> None:
    places = [scale.at(place.x) for place in line.places]
    medians = [quantile(place.numbers, 0.5) for place in line.places]
    look.step_aside(axes, *axes.plot(places, [median.value for median in medians], color=look.colour, zorder=3))
    for at, median in zip(places, medians, strict=True):
        _mark(axes, at, median, look, marker=look.marker, mec="white", zorder=4)
    if chart.seeds > 1:
        _draw_seeds(axes, chart, line, places, look)


def _draw_seeds(axes: Axes, chart: Chart, line: Line, places: Sequence[float], look: _Look) -> None:
    bands = [chart.band(place) for place in line.places]
    lows, highs = [low.value for low, _ in bands], [high.value for _, high in bands]
    faint: Any = {"color": look.colour, "alpha": _FAINT, "zorder": 1}
    if len(places) > 1:
        look.step_aside(axes, axes.fill_between(places, lows, highs, lw=0, **faint))
    else:
        look.step_aside(axes, axes.vlines(places, lows, highs, lw=8, **faint))
    for at, place in zip(places, line.places, strict=True):
        for number in place.numbers:
            _mark(axes, at, number, look, marker="o", ms=3.5 if number.known else 6, alpha=0.6, zorder=2)


def _mark(axes: Axes, at: float, number: Measured, look: _Look, *, marker: str, **more: Any) -> None:
    """A number, or the limit that it is beyond."""
    shape = marker if number.known else _NOT_REACHED
    look.step_aside(axes, *axes.plot([at], [number.value], shape, color=look.colour, clip_on=False, **more))


def _title(figure: Figure, name: str, question: str, where: Sequence[str]) -> None:
    lines = textwrap.wrap(f"{name}: {question}" if question else name, _LETTERS)
    lines += textwrap.wrap(", ".join(where), _LETTERS)
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=12, color=KEY)


def _explain(figure: Figure, chart: Chart, looks: Sequence[_Look]) -> None:
    """The hues on the right, what is drawn of seeds below."""
    if chart.hue is not None:
        handles = [Line2D([], [], color=look.colour, marker=look.marker, mec="white") for look in looks]
        hues = [textwrap.fill(line.hue or "", 24) for line in chart.lines]
        figure.set_figheight(max(5, 1.8 + 0.27 * sum(1 + hue.count("\n") for hue in hues)))
        figure.legend(handles, hues, title=named(chart.hue), loc="outside right center", alignment="left")
    rows = _seeds(chart)
    if not all(number.known for line in chart.lines for place in line.places for number in place.numbers):
        rows.append((Line2D([], [], color=KEY, ls="", marker=_NOT_REACHED), "not reached by the last step"))
    if rows:
        marks, words = zip(*rows, strict=True)
        figure.legend(marks, words, loc="outside lower left", ncols=2, fontsize=10.5)


def _seeds(chart: Chart) -> list[tuple[Any, str]]:
    """What the line, the band and the dots are."""
    if chart.seeds == 1:
        return []
    fewer = any(len(place.numbers) < chart.seeds for line in chart.lines for place in line.places)
    band = "the middle half of them" if chart.seeds >= FEW else "all of them, lowest to highest"
    return [
        (Line2D([], [], color=KEY), f"median of {'up to ' if fewer else ''}{chart.seeds} seeds"),
        (Patch(color=KEY, alpha=_FAINT, lw=0), band),
        (Line2D([], [], color=KEY, ls="", marker="o", ms=3.5, alpha=0.6), "a single seed"),
    ]
