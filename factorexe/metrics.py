"""metrics.csv: one row of numbers per evaluation, and the events that the rows tell.

A split is *reached* at the first of three consecutive evaluations with solved >= 0.99::

    step   solved/seen   solved/val
     900      0.970         0.930
    1000      0.991         0.960      t_mem = 1000
    1100      0.995         0.985
    1200      0.999         0.992      t_gen = 1200, delay = 200
    1300      1.000         0.995
    1400      1.000         0.996

``t_gen_95`` asks for 0.95 instead, and is 1000 here.  A cell is empty where a column begins after the first row; such
a number is left out of its row.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from math import isfinite, nan
from pathlib import Path

REACHED, CONSECUTIVE = 0.99, 3
EVENTS = {"t_mem": "seen", "t_gen": "val", "t_ood": "ood"}
SOONER = {"t_gen_95": ("val", 0.95)}  # the same at a lower rate, as some papers count

Row = dict[str, float]


def as_csv(rows: Sequence[Row]) -> str:
    """One line per row; columns are all names that occur, in order of appearance."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_rows(path: Path) -> list[Row]:
    """The rows of a file.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it is not such a table; the message says where.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
    except csv.Error as error:
        raise ValueError(str(error)) from None
    if not lines:
        return []
    names = lines[0]
    if "step" not in names:
        raise ValueError("line 1: expected names of columns, `step` among them")
    return [_row(names, cells, number) for number, cells in enumerate(lines[1:], start=2)]


def _row(names: Sequence[str], cells: Sequence[str], number: int) -> Row:
    if len(cells) != len(names):
        raise ValueError(f"line {number}: expected {len(names)} cells (got {len(cells)})")
    try:
        row = {name: float(cell) for name, cell in zip(names, cells, strict=True) if cell}
    except ValueError:
        raise ValueError(f"line {number}: expected numbers (got {','.join(cells)[:60]!r})") from None
    if not isfinite(row.get("step", nan)):
        raise ValueError(f"line {number}: expected a step")
    return row


def events(rows: Sequence[Row]) -> dict[str, int | None]:
    """``t_mem``, ``t_gen``, ``t_ood``, ``t_gen_95`` and ``delay`` = t_gen - t_mem; None where not reached."""
    found: dict[str, int | None] = {event: _reached(rows, split, REACHED) for event, split in EVENTS.items()}
    found |= {event: _reached(rows, *wanted) for event, wanted in SOONER.items()}
    memorized, generalized = found["t_mem"], found["t_gen"]
    found["delay"] = None if memorized is None or generalized is None else generalized - memorized
    return found


def lowest_val_after_t_gen(rows: Sequence[Row]) -> float | None:
    """The lowest solved rate of val from t_gen on, which tells a late collapse; None where that is not reached."""
    generalized = events(rows)["t_gen"]
    if generalized is None:
        return None
    return min(row["solved/val"] for row in rows if row["step"] >= generalized and "solved/val" in row)


def _reached(rows: Sequence[Row], split: str, rate: float) -> int | None:
    run = 0
    for number, row in enumerate(rows):
        run = run + 1 if row.get(f"solved/{split}", 0.0) >= rate else 0
        if run == CONSECUTIVE:
            return int(rows[number - CONSECUTIVE + 1]["step"])
    return None
