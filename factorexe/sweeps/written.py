"""Rows of results as text: for programs in full precision, for readers in few columns.

    jsonl     {"model.width": 32, "planned": 3, "n": 3, "solved.val.final.median": 0.9961538461538462, ...}
    csv       the same, one column for each statistic
    markdown  | model.width   |   runs |       solved.val.final |             t_gen |   t_gen.reached |
              | 32            | 2 of 3 | 0.996 (0.990 to 0.998) | >1,250            |             0/2 |

A cell of Markdown is the median over seeds, with the quartiles in brackets where they differ.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from factorexe.sweeps.censored import Measured
from factorexe.sweeps.results import AT_LEAST, EVENT_NAMES, Row, is_number, measured
from factorexe.sweeps.summary import columns_of, numbers_in
from factorexe.sweeps.varying import is_option

_HEADLINE = ("solved.seen.final", "solved.val.final", "solved.ood.final", "t_mem", "t_gen", "loss.val", "parameters")
_ABOUT_RUNS = ("id", "state", "planned", "n")  # what stands in a row beside options and results
_RATES = ("solved", "token_accuracy")
_LONG = 1e7  # from here on a number is written by its first figures


def results_in(rows: Sequence[Row]) -> list[str]:
    """Names of all results in rows of runs, numbers or not."""
    beside = [column for column in (rows[0] if rows else ()) if not is_option(column) and column not in _ABOUT_RUNS]
    return [column for column in beside if not column.endswith(AT_LEAST)]


def headline(rows: Sequence[Row]) -> list[str]:
    """The results that a reader wants first, as far as the runs have them."""
    return [name for name in _HEADLINE if name in numbers_in(rows)]


def kept(rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    """Rows of runs or of a summary with these results alone; a result stands for all its columns."""
    columns = {column for name in names for column in (name, name + AT_LEAST, *columns_of(name))}
    return [
        {column: value for column, value in row.items() if is_option(column) or column in (*_ABOUT_RUNS, *columns)}
        for row in rows
    ]


def as_csv(rows: Sequence[Row]) -> str:
    """One line for each row below the names of the columns; a cell is empty where nothing is known."""
    lines = io.StringIO()
    writer = csv.DictWriter(lines, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return lines.getvalue()


def as_jsonl(rows: Sequence[Row]) -> str:
    """One object for each row; what is no number is NaN or Infinity, as in result.json."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def each_as_markdown(rows: Sequence[Row], names: Sequence[str]) -> str:
    """A table of runs with these results."""
    cells = [
        {column: text(column, row[column]) for column in row if is_option(column) or column in _ABOUT_RUNS}
        | {name: _number(name, measured(row, name)) or text(name, row[name]) for name in names}
        for row in rows
    ]
    return _table(cells, names)


def summary_as_markdown(rows: Sequence[Row], names: Sequence[str]) -> str:
    """A table of configurations with these results, or with single statistics of results."""
    cells = []
    for row in rows:
        runs = str(row["n"]) if row["n"] == row["planned"] else f"{row['n']} of {row['planned']}"
        cells.append({column: text(column, row[column]) for column in row if is_option(column)} | {"runs": runs})
        for name in names:
            cells[-1] |= {name: _number(name, _statistic(row, name))} if name in row else _spread(row, name)
    return _table(cells, [*names, *(f"{name}.reached" for name in names), "runs"])


def _statistic(row: Row, column: str) -> Measured | None:
    """A number of a summary, or what it is at least."""
    known = measured(row, column)
    return known._replace(sign=">=") if known and column.endswith(".mean") and not known.known else known


def _spread(row: Row, name: str) -> dict[str, str]:
    median, low, high = (_number(name, measured(row, f"{name}.{statistic}")) for statistic in ("median", "q1", "q3"))
    cell = {name: median if low == high == median else f"{median} ({low} to {high})"}
    return cell | ({f"{name}.reached": f"{row[f'{name}.reached']}/{row['n']}"} if name in EVENT_NAMES else {})


def _table(cells: Sequence[dict[str, str]], right: Sequence[str]) -> str:
    escaped = [[cell.replace("|", "\\|") for cell in row.values()] for row in cells]
    columns = list(cells[0]) if cells else []
    sides = ["right" if column in right else "left" for column in columns]
    return tabulate(escaped, columns, "pipe", disable_numparse=True, colalign=sides) if cells else ""


def _number(column: str, number: Measured | None) -> str:
    return f"{number.sign}{text(column, number.value)}" if number else ""


def text(column: str, value: Any) -> str:
    """A cell to be read; options as they are written."""
    if value is None:
        return ""
    if not is_number(value) or is_option(column):
        return str(value)
    if isinstance(value, float) and column.partition(".")[0] in _RATES:
        return f"{value:.3f}"
    if 1000 <= abs(value) < _LONG:
        return f"{value:,.0f}"
    return f"{value:.4g}"
