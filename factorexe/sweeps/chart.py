"""What a figure of a sweep shows: a line for each hue, on it a place for each x, at each place a number for each seed.

    chart(rows, x="model.width", y="val.final", hue="model.layers")
        model.layers 1    32: 0.61 0.64 0.58    64: 0.90 0.88 0.93
        model.layers 2    32: 0.70 0.75 0.71    64: 0.97 0.99 0.96

Runs at one place differ in their seed alone: an option that is neither x nor hue is settled by ``where``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

from factorexe.config import ConfigError
from factorexe.sweeps.censored import Measured, quantile
from factorexe.sweeps.columns import column_of
from factorexe.sweeps.results import EVENT_NAMES, Row, is_number, measured
from factorexe.sweeps.summary import configurations, numbers_in
from factorexe.sweeps.varying import SEED, is_option, value_text

FEW = 5  # seeds; below it a band holds all of them, from here on the middle half
NOT_VARIED = "no run of this sweep varies it"


class Place(NamedTuple):
    """The finished runs of one configuration."""

    x: Any  # a number, or a value of any other kind
    numbers: tuple[Measured, ...]  # one for each seed


class Line(NamedTuple):
    """The places of one hue, from left to right."""

    hue: str | None
    places: tuple[Place, ...]


class Chart(NamedTuple):
    """Lines, and what is on the axes."""

    x: str
    y: str
    hue: str | None
    lines: tuple[Line, ...]
    where: tuple[str, ...]  # what all these runs have, as ``model.layers 2``
    missing: int  # finished runs of which y is not known

    @property
    def seeds(self) -> int:
        """The most seeds at one place."""
        return max(len(place.numbers) for line in self.lines for place in line.places)

    @property
    def no_numbers(self) -> int:
        """Runs of which y is NaN or infinite."""
        numbers = [number for line in self.lines for place in line.places for number in place.numbers]
        return sum(not isfinite(number.value) for number in numbers)

    def band(self, place: Place) -> tuple[Measured, Measured]:
        """The middle half of the seeds, or all where there are few."""
        share = 0.25 if self.seeds >= FEW else 0.0
        return quantile(place.numbers, share), quantile(place.numbers, 1 - share)


def chart(rows: Sequence[Row], *, x: str, y: str, hue: str | None = None, where: Sequence[str] = ()) -> Chart:
    """Finished runs, arranged.

    Args:
        rows: of ``results.rows``.
        x: an option or a result; here and below any end of a name that only one has.
        where: conditions ``OPTION=VALUE`` that runs meet.

    Raises:
        ConfigError: a name means nothing here, runs at one place differ in more than their seed, or none is finished.
    """
    options = [column for column in (rows[0] if rows else ()) if is_option(column)]
    met: list[str] = []
    for condition in where:
        option, rows = _met(rows, condition, options)
        met.append(f"{option} {value_text(rows[0], option)}")
    finished = [row for row in rows if row["state"] == "finished"]
    if not finished:
        raise ConfigError(f"none of these {len(rows)} runs is finished yet; factorexe sweep status DIR says why")
    results = numbers_in(finished)
    x, y = column_of(x, [*options, *results], NOT_VARIED), column_of(y, results, "no finished run has such a result")
    hue = None if hue is None else column_of(hue, options, NOT_VARIED)
    _refuse(x, hue)
    known = [row for row in finished if measured(row, y) is not None and (is_option(x) or is_number(row[x]))]
    if not known:
        raise ConfigError(f"{y}: nothing is known of it in any finished run; choose another with --y")
    placed = _placed(known, x, hue)
    _refuse_others(placed, [option for option in options if option not in (x, hue, SEED)], rows)
    lines = tuple(
        Line(name, tuple(_place(at, of_one, y) for at, of_one in line.items())) for name, line in placed.items()
    )
    return Chart(x, y, hue, lines, tuple(met), len(finished) - len(known))


def _met(rows: Sequence[Row], condition: str, options: Sequence[str]) -> tuple[str, list[Row]]:
    """The option of ``OPTION=VALUE`` and the rows that meet it."""
    word, equals, value = condition.partition("=")
    if not equals:
        raise ConfigError(f"--where: expected OPTION=VALUE (got {condition!r})")
    option = column_of(word, options, NOT_VARIED)
    met = [row for row in rows if _same(value_text(row, option), value)]
    if not met:
        known = ", ".join(dict.fromkeys(value_text(row, option) for row in rows))
        raise ConfigError(f"--where {option}: expected one of {known} (got {value})")
    return option, met


def _same(text: str, typed: str) -> bool:
    try:
        return text == typed or float(text) == float(typed)  # 1e-3 is 0.001
    except ValueError:
        return False


def _refuse(x: str, hue: str | None) -> None:
    if x == hue:
        raise ConfigError(f"--x and --hue are both {x}; choose another for one of them")
    if x in EVENT_NAMES:
        raise ConfigError(f"--x: {x} is an event, which not every run reaches; it can be --y")


def _placed(rows: Sequence[Row], x: str, hue: str | None) -> dict[str | None, dict[Any, list[Row]]]:
    """Hue -> x -> rows, both from small to large where they are numbers and in the order of the plan elsewhere."""
    lines: dict[str | None, dict[Any, list[Row]]] = {}
    for of_one in configurations(rows):
        middle = None if is_option(x) else quantile([Measured(row[x]) for row in of_one], 0.5).value
        for row in of_one:
            at = (row[x] if is_number(row[x]) else value_text(row, x)) if middle is None else middle
            lines.setdefault(None if hue is None else value_text(row, hue), {}).setdefault(at, []).append(row)
    names = _ordered(list(lines), [None if hue is None else _first(lines[name])[hue] for name in lines])
    return {name: {at: lines[name][at] for at in _ordered(list(lines[name]), list(lines[name]))} for name in names}


def _first(line: Mapping[Any, list[Row]]) -> Row:
    return next(iter(line.values()))[0]


def _ordered(things: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    """Things in the order of their values, if those are numbers."""
    if not all(is_number(value) for value in values):
        return list(things)
    return [thing for _, thing in sorted(zip(values, things, strict=True), key=lambda pair: pair[0])]


def _refuse_others(
    placed: Mapping[str | None, Mapping[Any, Sequence[Row]]], others: Sequence[str], rows: Sequence[Row]
) -> None:
    """Refuse lines on which runs at one place differ in more than their seed."""
    places = [place for line in placed.values() for place in line.values()]
    found = {}
    for option in others:
        if any(len({value_text(row, option) for row in place}) > 1 for place in places):
            found[option] = list(dict.fromkeys(value_text(row, option) for row in rows))
    if found:
        differing = " and ".join(f"{option} ({', '.join(values)})" for option, values in found.items())
        settled = " ".join(f"--where {option}={values[0]}" for option, values in found.items())
        raise ConfigError(f"runs also differ in {differing}: choose one with {settled}")


def _place(at: Any, rows: Sequence[Row], y: str) -> Place:
    return Place(at, tuple(number for row in rows if (number := measured(row, y)) is not None))
