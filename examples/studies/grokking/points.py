"""What choosing and reporting share: which method a run belongs to, and how long the runs of a point took.

A *point* is one setting of the options, with a run for each seed::

    seed 0 solved 99 % of val at step 900, seed 1 not by step 1,000        median: beyond 950 steps, 1 of 2 reached

Each of a method's points has seed 0; its three best have seed 1 too, and the best of these is the method's.

A method is told by the options of its points.  AdamW with decay 1 and learning rate 1e-3 or 3e-3 is a point of two
methods: of AdamW, and of Grokfast's points without Grokfast.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from factorexe.sweeps import file
from factorexe.sweeps.censored import Measured, quantile
from factorexe.sweeps.varying import SEED, is_option

FIRST, SECOND, REPORT = [0], [1], [2, 3, 4, 5, 6]  # seeds of the three looks
AGAIN = 3  # points of each method that have the second look

CAP = 3000  # steps, as in setting.yaml
BATCH = 512
SOLVED, SOLVED_95 = "t_gen", "t_gen_95"  # the steps at which 99 % and 95 % of val are solved
LR, DECAY = "optim.optimizer.lr", "optim.optimizer.weight_decay"
OPTIMIZER, FILTERS, AGGREGATE, LOSS = "optim.optimizer", "optim.filters", "optim.aggregate", "objective.loss"
MEASURE, PAIRS, SHARE, SIZE = "optim.measure", "task.pairs", "data.train_fraction", "data.batch_size"
ENDED = ("finished", "failed")

Row = Mapping[str, str]
Values = dict[str, Any]  # option -> value, what setting.yaml says left out

BASELINE = {LR: 0.001, DECAY: 0}
_EMA, _MA = "optim.filters.grokfast_ema", "optim.filters.grokfast_ma"
PUBLISHED = {
    "Grokfast-EMA": {OPTIMIZER: "adam", LR: 0.001, DECAY: 0.005, f"{_EMA}.memory": 0.98, f"{_EMA}.gain": 2},
    "Grokfast-MA": {OPTIMIZER: "adam", LR: 0.001, DECAY: 0.01, f"{_MA}.window": 100, f"{_MA}.gain": 5},
}
UNSAID = (FILTERS, AGGREGATE, LOSS, MEASURE, f"{MEASURE}.inner", f"{OPTIMIZER}.beta2")


def _plain(values: Values) -> bool:
    return not any(name in values for name in (FILTERS, AGGREGATE, LOSS))


def _has(option: str, name: str) -> Callable[[Values], bool]:
    return lambda values: values.get(option) == name


def _adamw(values: Values) -> bool:
    return _plain(values) and OPTIMIZER not in values and values[LR] <= 0.003


def _unfiltered(values: Values) -> bool:
    """At the learning rates of Grokfast's points times 1 and 1 + gain."""
    of_theirs = OPTIMIZER not in values and values[DECAY] == 1 and values[LR] >= 0.001
    return _plain(values) and (of_theirs or values.get(OPTIMIZER) == "adam")


ADAMW, ONE_STEP = "AdamW", "one-step (ours)"
METHODS: dict[str, Callable[[Values], bool]] = {  # controls first
    ADAMW: _adamw,
    "Grokfast's points without it, lr x (1, 1 + gain)": _unfiltered,
    "random mask": _has(AGGREGATE, "random-mask"),
    "Grokfast-EMA": _has(FILTERS, "grokfast-ema"),
    "Grokfast-MA": _has(FILTERS, "grokfast-ma"),
    "Muon": _has(OPTIMIZER, "muon"),
    "orthograd, no decay": _has(FILTERS, "orthograd"),
    "StableMax": _has(LOSS, "stablemax"),
    "GAF": _has(AGGREGATE, "gaf"),
    "sign agreement": _has(AGGREGATE, "sign-agreement"),
    ONE_STEP: _has(AGGREGATE, "one-step"),
}


class Point(NamedTuple):
    """One setting of the options, over seeds."""

    values: Values
    rows: Sequence[Row]

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to wait for."""
        return all(row["state"] in ENDED for row in self.rows)

    def steps(self, event: str = SOLVED) -> list[Measured]:
        """Of each run that has ended; a run that failed has not reached it."""
        return [_step(row, event) for row in self.rows if row["state"] in ENDED]

    def mean(self, column: str) -> float | None:
        """Of what the runs found, where one did."""
        found = [float(row[column]) for row in self.rows if row.get(column)]
        return sum(found) / len(found) if found else None

    def of(self, seeds: Sequence[int]) -> Point:
        """Its runs with these seeds."""
        return Point(self.values, [row for row in self.rows if int(row[SEED]) in seeds])

    @property
    def rank(self) -> tuple[float, float, float]:
        """The smaller the better: median steps to 99 %, those to 95 %, what is not solved of val; a run that did not
        get there counts with the last step."""
        at_99, at_95 = (quantile([Measured(n.value) for n in self.steps(event)], 0.5) for event in (SOLVED, SOLVED_95))
        return at_99.value, at_95.value, 1 - (self.mean("solved.val.best") or 0.0)


class Line(NamedTuple):
    """A line of the table: a point to run with other seeds."""

    name: str
    values: Values


def read(*paths: Path) -> list[Row]:
    """The rows of all of these files that exist.  A row lacks the options that all runs of its sweep have in common;
    the sweep's file, beside it, tells them."""
    rows: list[Row] = []
    for path in paths:
        if path.exists():
            common = _in_common(path.with_suffix(".yaml"))
            with path.open(newline="", encoding="utf-8") as table:
                rows += [{**common, **row} for row in csv.DictReader(table)]
    return rows


def _in_common(sweep: Path) -> dict[str, str]:
    runs = file.read(sweep).combinations
    return {name: str(value) for name, value in runs[0].items() if all(run.get(name) == value for run in runs)}


def points(rows: Iterable[Row]) -> list[Point]:
    """Rows that differ in nothing but the seed, together, in the order in which they come."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(repr(sorted(values_of(row).items())), []).append(row)
    return [Point(values_of(of_one[0]), of_one) for of_one in found.values()]


def selected(here: Path) -> list[Point]:
    """The points of the first two looks."""
    return points(read(here / "select.csv", here / "masks.csv", here / "again.csv"))


def values_of(row: Row) -> Values:
    """The options of a row, its seed aside."""
    return {name: value(cell) for name, cell in row.items() if is_option(name) and name != SEED and cell}


def of_method(name: str, found: Iterable[Point]) -> list[Point]:
    """The points of a method."""
    return [point for point in found if METHODS[name](point.values)]


def good(name: str, found: Iterable[Point]) -> list[Point]:
    """The points of a method that have a second look: the best by the first; none while it has not ended."""
    tried = of_method(name, found)
    if not all(point.of(FIRST).rows and point.ended for point in tried):
        return []
    return sorted(tried, key=lambda point: point.of(FIRST).rank)[:AGAIN]


def best(name: str, found: Iterable[Point]) -> Point | None:
    """The best point of a method after both looks; None while one of its runs has not ended, and where it has none."""
    tried = good(name, found)
    ended = all(point.of(SECOND).rows and point.ended for point in tried)
    return min(tried, key=lambda point: point.of(FIRST + SECOND).rank) if tried and ended else None


def winner(found: Sequence[Point]) -> str | None:
    """The method whose best point is best of all, by its selection seeds; the earlier of two alike."""
    chosen = {name: point for name in METHODS if (point := best(name, found))}
    return min(chosen, key=lambda name: chosen[name].rank) if chosen else None


def lines(found: Sequence[Point]) -> list[Line]:
    """What is run with other seeds and reported: the best point of each method, and what it is compared with."""
    chosen = {name: point.values for name in METHODS if (point := best(name, found))}
    listed = [Line("AdamW, lr 1e-3, no decay", BASELINE)]
    for name, values in chosen.items():
        listed += [Line(f"{name}, as published", _whole(PUBLISHED[name], found))] if name in PUBLISHED else []
        listed.append(Line(name, values))
        if name == ADAMW:
            listed.append(Line(f"{ADAMW}, half the batch", {**values, SIZE: BATCH // 2}))
        if name == ADAMW and ONE_STEP in chosen:
            listed.append(Line(f"{ADAMW}, guide problems in train", {**values, SHARE: 0.6667}))
    for name in [name for name in chosen if name in (ADAMW, winner(found))]:
        listed.append(Line(f"{name}, unordered pairs", {**chosen[name], PAIRS: "unordered"}))
    return listed


def told(values: Values) -> str:
    """Options as they stand in a line that names its method."""
    kept = [name for name in values if name not in UNSAID and not name.startswith("instruments")]
    return ", ".join(f"{name.rpartition('.')[2]} {values[name]}" for name in kept)


def runs_of(line: Line, rows: Iterable[Row]) -> Point:
    """The runs of a line."""
    return Point(line.values, [row for row in rows if values_of(row) == line.values])


def survival(numbers: Sequence[Measured]) -> list[tuple[float, float]]:
    """Kaplan and Meier's estimate: (step, share that is not there yet after it) for each step at which a run got there.

    Of 4 runs that got there at 100, 300 and 300 or stopped without at 200: (100, 3/4), then two of the two that are
    left, (300, 0).
    """
    share, found = 1.0, []
    for step in sorted({number.value for number in numbers if number.known}):
        at_risk = sum(number.value >= step for number in numbers)
        share *= 1 - sum(number == Measured(step) for number in numbers) / at_risk
        found.append((step, share))
    return found


def value(cell: str) -> Any:
    """A number, a truth or a word."""
    if cell in ("True", "False"):
        return cell == "True"
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell


def _step(row: Row, event: str) -> Measured:
    if row["state"] != "finished":
        return Measured(CAP, ">")
    return Measured(float(row[event])) if row.get(event) else Measured(float(row[f"{event}.at_least"]), ">")


def _whole(part: Values, found: Sequence[Point]) -> Values:
    """The options of the point that has these values."""
    return next(point.values for point in found if part.items() <= point.values.items())
