"""Rows of runs, summarised over their seeds: mean, median and quartiles of every number.

    model.width  seed  t_gen          model.width  planned  n  t_gen.reached  t_gen.median  t_gen.median.at_least
             32     0   1000                   32        3  3              1                                 1250
             32     1  >1250
             32     2  >1250

A statistic that depends on how far beyond its limit an unreached event lies has no number; what it is at least stands
in a column of its own.  Events count: ``reached`` + ``censored`` runs are known, the others of ``n`` are not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from factorexe.sweeps.censored import Measured, mean, quantile
from factorexe.sweeps.results import AT_LEAST, EVENT_NAMES, Row, is_number, measured
from factorexe.sweeps.varying import SEED, is_option

STATISTICS: dict[str, Callable[[Sequence[Measured]], Measured]] = {
    "mean": mean,
    "median": lambda numbers: quantile(numbers, 0.5),
    "q1": lambda numbers: quantile(numbers, 0.25),
    "q3": lambda numbers: quantile(numbers, 0.75),
}


def summarised(rows: Sequence[Row]) -> list[Row]:
    """One row for each configuration, in the order in which they come: its options, how many runs are planned, how
    many are finished (``n``), and the statistics of every number over those."""
    names = numbers_in(rows)
    return [_summary(of_one, names) for of_one in configurations(rows)]


def configurations(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows that differ in nothing but the seed, together."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(repr(options_of(row)), []).append(row)
    return list(found.values())


def options_of(row: Row) -> dict[str, Any]:
    """The options of a row, its seed aside."""
    return {column: value for column, value in row.items() if is_option(column) and column != SEED}


def numbers_in(rows: Sequence[Row]) -> list[str]:
    """The results that are numbers, events among them, each once."""
    columns = [column for column in (rows[0] if rows else ()) if not is_option(column)]
    bounds = {column.removesuffix(AT_LEAST) for column in columns if column.endswith(AT_LEAST)}
    return [
        column
        for column in columns
        if not column.endswith(AT_LEAST) and (column in bounds or any(is_number(row[column]) for row in rows))
    ]


def columns_of(name: str) -> list[str]:
    """The columns of a summary that one result fills."""
    statistics = [f"{name}.{statistic}" for statistic in STATISTICS]
    if name not in EVENT_NAMES:
        return statistics
    both = [column + bound for column in statistics for bound in ("", AT_LEAST)]
    return [f"{name}.reached", f"{name}.censored", *both]


def _summary(of_one: Sequence[Row], names: Sequence[str]) -> Row:
    finished = [row for row in of_one if row["state"] == "finished"]
    found: Row = {**options_of(of_one[0]), "planned": len(of_one), "n": len(finished)}
    for name in names:
        numbers = [number for row in finished if (number := measured(row, name)) is not None]
        reached = sum(number.known for number in numbers)
        known = {f"{name}.reached": reached, f"{name}.censored": len(numbers) - reached} | _statistics(name, numbers)
        found |= {column: known[column] for column in columns_of(name)}
    return found


def _statistics(name: str, numbers: Sequence[Measured]) -> Row:
    found: Row = {}
    for statistic, of in STATISTICS.items():
        number = of(numbers) if numbers else None
        column = f"{name}.{statistic}"
        found[column] = number.value if number and number.known else None
        found[column + AT_LEAST] = number.value if number and not number.known else None
    return found
