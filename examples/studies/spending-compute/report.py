"""The table and the figure of this study, from its rows.

    python examples/studies/spending-compute/report.py          reads rows.csv here, writes table.md and solved.png here

Rows are made by ``factorexe sweep results sweeps/spending-compute --each --output rows.csv``, after ``factorexe test``
of every run for the columns of test and ood_test.  What you should see: a line for each task and way of spending
compute, each number the median over seeds with the least and the most.
"""

from __future__ import annotations

import csv
import statistics
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

HERE = Path(__file__).parent
TASKS = {"parity": (9, 16), "prefix-sum": (64, 128), "c-vpr": (5, 8)}  # the easiest and hardest out of distribution
WAYS = {
    ("transformer", "1"): "transformer, 1 layer",
    ("transformer", "4"): "transformer, 4 layers",
    ("universal-transformer", "fixed", "fixed"): "universal transformer, 4 steps",
    ("universal-transformer", "fixed", "uniform"): "universal transformer, random depth",
    ("universal-transformer", "act", "fixed"): "universal transformer, ACT",
    ("universal-transformer", "ponder", "fixed"): "universal transformer, PonderNet",
    ("cotformer",): "CoTFormer, 4 repeats",
    ("pause-token",): "transformer, 1 layer, with pauses",
}

Row = dict[str, str]


class Line(NamedTuple):
    """A way of spending compute on one task, over seeds."""

    task: str
    way: str
    rows: list[Row]

    def numbers(self, column: str) -> list[float]:
        """One for each seed that has it."""
        return [float(row[column]) for row in self.rows if row.get(column)]

    def cell(self, column: str) -> str:
        """Median (least to most)."""
        found = self.numbers(column)
        if not found:
            return "-"
        least, most = min(found), max(found)
        middle = statistics.median(found)
        return f"{middle:.2f}" if f"{least:.2f}" == f"{most:.2f}" else f"{middle:.2f} ({least:.2f} to {most:.2f})"


def way_of(row: Row) -> str:
    """What the row is about."""
    model = row["model"]
    if model == "transformer":
        return WAYS[model, row["model.layers"]]
    if model == "universal-transformer":
        return WAYS[model, row["model.halting"] or "fixed", row["model.depth"] or "fixed"]
    return WAYS[(model,)]


def lines(rows: list[Row]) -> list[Line]:
    """Finished runs by task and way, in the order of the study."""
    finished = [row for row in rows if row["state"] == "finished"]
    found = [
        Line(task, way, [row for row in finished if row["task"] == task and way_of(row) == way])
        for task in TASKS
        for way in WAYS.values()
    ]
    return [line for line in found if line.rows]


def table(found: list[Line]) -> str:
    """Markdown."""
    head = ["task", "way", "seeds", "parameters", "compute", "training", "val", "test", "ood_test"]
    head += ["easiest of it", "hardest of it"]
    body = []
    for line in found:
        easiest, hardest = TASKS[line.task]
        body.append(
            [
                line.task,
                line.way,
                len(line.rows),
                f"{int(float(line.rows[0]['parameters'])):,}",
                f"{statistics.median(line.numbers('compute_per_problem.val')):.0f}",
                f"{statistics.median(line.numbers('train_multiply_adds')):.1e}",
                line.cell("solved.val.best"),
                line.cell("solved.test.rate"),
                line.cell("solved.ood_test.rate"),
                line.cell(f"solved_by_difficulty.ood_test.{easiest}"),
                line.cell(f"solved_by_difficulty.ood_test.{hardest}"),
            ]
        )
    return tabulate(body, head, tablefmt="github", disable_numparse=True)


def draw(found: list[Line], target: Path) -> None:
    """Solved of val and of ood against compute per problem, a panel for each task."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(TASKS), figsize=(13, 4.2), sharey=True)
    colours = dict(zip(WAYS.values(), plt.get_cmap("tab10").colors, strict=False))
    for axis, task in zip(axes, TASKS, strict=True):
        for line in (line for line in found if line.task == task):
            compute = line.numbers("compute_per_problem.val")
            beside = 1 + 0.015 * (list(WAYS.values()).index(line.way) - len(WAYS) / 2)  # equal ones side by side
            middle = statistics.median(compute) * beside
            for split, fill in (("val", "none"), ("ood", colours[line.way])):
                solved = line.numbers(f"solved.{split}.best")
                kind = {"color": colours[line.way], "label": line.way if split == "ood" else None}
                axis.plot([middle] * 2, [min(solved), max(solved)], color=colours[line.way], alpha=0.4, linewidth=1)
                axis.plot(middle, statistics.median(solved), "o", markerfacecolor=fill, linestyle="none", **kind)
        axis.set(title=task, xlabel="block applications per problem", xlim=(0, None), ylim=(-0.03, 1.03))
    axes[0].set_ylabel("solved: val (open), ood (filled)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, frameon=False, fontsize="small")
    figure.tight_layout(rect=(0, 0.12, 1, 1))
    figure.savefig(target, dpi=130)


def main() -> None:
    """Write both."""
    with (HERE / "rows.csv").open(newline="") as file:
        found = lines(list(csv.DictReader(file)))
    (HERE / "table.md").write_text(table(found) + "\n")
    draw(found, HERE / "solved.png")
    print(table(found))


if __name__ == "__main__":
    main()
