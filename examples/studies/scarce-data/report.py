"""The table of this study, from its rows.

    python examples/studies/scarce-data/report.py      reads rows.csv here, writes table.md here
    python examples/studies/into_docs.py               puts table.md into docs/gradients.md

What you should see: a table for each problem, a line for each method, controls first; each number the median over
seeds with the least and the most.  ``t_gen`` is the step from which 99 % of val are solved, with quartiles, ``>`` where
that was not reached.  ``osgr`` is what updates gain on val for each unit that they gain on their batches, a running
mean over the probes, one in 100 steps, as it stands at the end; left out where nothing is gained on batches.
``planted`` and ``right``: of the problems with a planted mistake, the share answered with it and the share answered
right.  ``kept``: what the aggregator let through, at the end.
"""

from __future__ import annotations

import csv
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from factorexe.sweeps.censored import Measured, quantile

HERE = Path(__file__).parent
PROBLEMS = {  # what is held out, share of planted mistakes
    ("", 0.0): "Multiplication, 2,000 problems",
    ("", 0.05): "Multiplication, 2,000 problems, 5 % planted mistakes",
    ("range", 0.0): "Factorial modulo 97, a range held out",
    ("hash", 0.0): "Factorial modulo 97, held out by a hash",
}
METHODS = {  # aggregator, filter, weight decay; controls first
    ("", "", 0.1): "AdamW",
    ("", "", 1.0): "AdamW, decay 1",
    ("random-mask", "", 0.1): "random mask",
    ("", "grokfast-ema", 0.1): "Grokfast-EMA",
    ("gaf", "", 0.1): "GAF",
    ("sign-agreement", "", 0.1): "sign agreement",
    ("", "orthograd", 0.1): "orthograd and StableMax",
    ("one-step", "", 0.1): "one-step (ours)",
}
COLUMNS = {
    "seen": "solved.seen.final",
    "val": "solved.val.final",
    "ood": "solved.ood.final",
    "osgr": "one_step_probe.osgr.val",
    "planted": "canaries.acc_wrong",
    "right": "canaries.acc_true",
    "kept": "gradient_agreement.aggregate_kept",
}
EVENT = "t_gen"

Row = Mapping[str, str]


class Line(NamedTuple):
    """A method on one of the problems, over seeds."""

    problem: str
    method: str
    rows: Sequence[Row]

    def cell(self, column: str) -> str:
        """Median (least to most), of the seeds that have it."""
        found = [float(row[column]) for row in self.rows if row.get(column)]
        if not found:
            return "-"
        low, middle, high = (f"{number:.3f}" for number in (min(found), statistics.median(found), max(found)))
        return middle if low == high else f"{middle} ({low} to {high})"

    @property
    def steps(self) -> str:
        """To 99 % of val: median (first to third quartile)."""
        numbers = [
            Measured(float(row[EVENT])) if row[EVENT] else Measured(float(row[f"{EVENT}.at_least"]), ">")
            for row in self.rows
        ]
        found = (quantile(numbers, share) for share in (0.25, 0.5, 0.75))
        low, middle, high = (f"{number.sign}{number.value:,.0f}" for number in found)
        return middle if low == high else f"{middle} ({low} to {high})"


def lines(rows: Sequence[Row]) -> list[Line]:
    """Finished runs by problem and method, in the order of the study."""
    finished = [row for row in rows if row["state"] == "finished"]
    found = [
        Line(problem, method, [row for row in finished if (_problem(row), _method(row)) == (problem, method)])
        for problem in PROBLEMS.values()
        for method in METHODS.values()
    ]
    return [line for line in found if line.rows]


def _problem(row: Row) -> str:
    return PROBLEMS[row["task.held_out"], float(row["data.corrupt"])]


def _method(row: Row) -> str:
    decay = float(row["optim.optimizer.weight_decay"] or 0.1)
    return METHODS[row["optim.aggregate"], row["optim.filters"], decay]


def table(found: Sequence[Line]) -> str:
    """Markdown, a part for each problem, without columns of which nothing is known there."""
    parts = []
    for problem in dict.fromkeys(line.problem for line in found):
        here = [line for line in found if line.problem == problem]
        cells = {name: [line.cell(column) for line in here] for name, column in COLUMNS.items()}
        body = {"method": [line.method for line in here], "seeds": [len(line.rows) for line in here]}
        body |= {name: column for name, column in cells.items() if any(cell != "-" for cell in column)}
        body["t_gen"] = [line.steps for line in here]
        parts.append(f"**{problem}**\n\n{tabulate(body, 'keys', tablefmt='github', disable_numparse=True)}")
    return "\n\n".join(parts)


def main(here: Path = HERE) -> None:
    """Write it."""
    with (here / "rows.csv").open(newline="", encoding="utf-8") as file:
        text = table(lines(list(csv.DictReader(file))))
    (here / "table.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
