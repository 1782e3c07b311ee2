"""The table and the figure of this study, from the rows that there are.

    python examples/studies/grokking/report.py      reads select, masks, again, chosen and baseline.csv here, writes
                                                    table.md, selection.md and steps.png here
    python examples/studies/into_docs.py            puts table.md into docs/gradients.md

Lines are those of chosen.yaml: the best point of each method by its selection seeds, run with five others; controls
first.  Two tables: what 99 % of val took, and 95 %.  A number is the median over seeds with its quartiles; ``>3,000``
is not reached by then.  The figure shows the share of runs that solve 99 % of val by each step (Kaplan & Meier 1958,
since runs that stop without are no zeros).

Examples are problems computed on, guide problems included.  Seconds are those of training on one thread, evaluations
taken out, in proportion to steps; checkpoints are in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from points import (
    ADAMW,
    BATCH,
    CAP,
    MEASURE,
    METHODS,
    SIZE,
    SOLVED,
    SOLVED_95,
    Line,
    Point,
    Row,
    good,
    lines,
    read,
    runs_of,
    selected,
    survival,
    told,
    winner,
)
from tabulate import tabulate

from factorexe.sweeps.censored import Measured, quantile

HERE = Path(__file__).parent
PUBLISHED_BASELINE = "39,890"  # steps to 95 %, one seed, README of ironjr/grokfast
GOAL = 300
EVENTS = {SOLVED: "99 %", SOLVED_95: "95 %"}
CONTROLS = (ADAMW, "Grokfast's points", "random mask")


def looked_at(found: Sequence[Point]) -> str:
    """The points of each method that had two looks, with the steps of both: how they were chosen, not how good they
    are.  Markdown."""
    cells = [
        [name, told(point.values), *(written(number) for number in point.steps())]
        for name in METHODS
        for point in good(name, found)
    ]
    return tabulate(cells, ["method", "point", "seed 0", "seed 1"], tablefmt="github", disable_numparse=True)


class Found(NamedTuple):
    """A line of the table, and its runs."""

    line: Line
    runs: Point


def found_in(here: Path) -> tuple[list[Found], str | None]:
    """Lines of which there are runs, and the method that won by its selection seeds."""
    rows = read(here / "chosen.csv")
    selection = selected(here)
    every = [Found(line, runs_of(line, rows)) for line in lines(selection)]
    return [one for one in every if one.runs.steps()], winner(selection)


def table(every: Sequence[Found]) -> str:
    """Markdown: what 99 % of val took, then 95 %."""
    return "\n\n".join(_table(every, event, told_as) for event, told_as in EVENTS.items())


def _table(every: Sequence[Found], event: str, told_as: str) -> str:
    head = ["method", "point", "runs", "solved", *(f"{unit} to {told_as}" for unit in ("steps", "examples", "seconds"))]
    return tabulate([_cells(one, event) for one in every], head, tablefmt="github", disable_numparse=True)


def _cells(one: Found, event: str) -> list[str]:
    steps = one.runs.steps(event)
    per_step = one.line.values.get(SIZE, BATCH) * (2 if one.line.values.get(MEASURE) == "guide" else 1)
    return [
        one.line.name,
        told(one.line.values),
        str(len(steps)),
        str(sum(number.known for number in steps)),
        over_seeds(steps),
        over_seeds([number._replace(value=number.value * per_step) for number in steps]),
        over_seeds([number for row in one.runs.rows if (number := seconds(row, event))], 1),
    ]


def seconds(row: Row, event: str = SOLVED) -> Measured | None:
    """What a run took to get there, or in all if it did not."""
    if row["state"] != "finished":
        return None
    spent = float(row["wall_time_s"]) - float(row["evaluation_time_s"])
    if not row[event]:
        return Measured(spent, ">")
    return Measured(spent * float(row[event]) / float(row["steps"]))


def over_seeds(numbers: Sequence[Measured], digits: int = 0) -> str:
    """Median (first to third quartile)."""
    if not numbers:
        return "-"
    low, middle, high = (written(quantile(numbers, share), digits) for share in (0.25, 0.5, 0.75))
    return middle if low == high == middle else f"{middle} ({low} to {high})"


def written(number: Measured, digits: int = 0) -> str:
    """Its sign and its value."""
    return f"{number.sign}{number.value:,.{digits}f}"


def said(every: Sequence[Found], won: str | None, baseline: Sequence[Row]) -> str:
    """What the table says: how much is learning rate and decay alone, and whether the goal was met.  The winner is
    the one of the selection seeds: the luckiest of so many lines would look better than it is."""
    medians = {one.line.name: quantile(one.runs.steps(), 0.5) for one in every}
    sooner = {one.line.name: quantile(one.runs.steps(SOLVED_95), 0.5) for one in every}
    faster = {name: sooner[name] for name in dict.fromkeys([ADAMW, won]) if name in sooner}
    sentences = [_of_baseline(row, faster) for row in baseline if row["state"] == "finished"]
    plain, tuned, best = (medians.get(name or "") for name in ("AdamW, lr 1e-3, no decay", ADAMW, won))
    if plain and tuned:
        sentences.append(
            f"Learning rate and weight decay alone: from {written(plain)} steps to 99 % of val (AdamW, lr 1e-3, no"
            f" decay) to {written(tuned)} (AdamW, both tuned), {_factor(plain, tuned)}."
        )
    if tuned and best:
        more = f"{won} takes {written(best)}, {_factor(tuned, best)}."
        if won == ADAMW:
            more = "nothing; with the selection seeds no procedure was faster than AdamW."
        met = "met" if best.known and best.value <= GOAL else "missed"
        sentences.append(f"Beyond that: {more} The goal of a median of {GOAL} steps is {met}.")
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _of_baseline(row: Row, faster: Mapping[str, Measured]) -> str:
    known = bool(row[SOLVED_95])
    steps = Measured(float(row[SOLVED_95])) if known else Measured(float(row["t_gen_95.at_least"]), ">")
    told = [f"{name}'s median is {written(own)}, {_factor(steps, own)}" for name, own in faster.items()]
    return (
        "; ".join(
            [
                f"Adam without decay, lr 1e-3, one seed: {written(steps)} steps to 95 % of val (published:"
                f" {PUBLISHED_BASELINE})",
                *told,
            ]
        )
        + "."
    )


def _factor(slow: Measured, fast: Measured) -> str:
    """How many times fewer steps, as far as that is known."""
    if not slow.known and not fast.known:
        return "a factor that nobody knows"
    bound = "" if slow.known and fast.known else "at least " if fast.known else "at most "
    return f"a factor of {bound}{slow.value / fast.value:.1f}"


def draw(every: Sequence[Found], target: Path) -> None:
    """The share of runs that have solved 99 % of val by each step; AdamW is in both panels."""
    from matplotlib import pyplot as plt

    kinds: dict[str, Callable[[Found], bool]] = {
        "controls": lambda one: one.line.name.startswith(CONTROLS),
        "procedures, beside AdamW": lambda one: one.line.name == ADAMW or not one.line.name.startswith(CONTROLS),
    }
    figure, axes = plt.subplots(1, 2, figsize=(13, 4.8), sharey=True)
    for axis, (title, belongs) in zip(axes, kinds.items(), strict=True):
        drawn = [one for one in every if belongs(one)]
        for number, (names, one) in enumerate(_named_together(drawn)):
            steps = survival(one.runs.steps())
            x = [1.0, *(step for step, _ in steps), float(CAP)]
            y = [0.0, *(1 - share for _, share in steps)]
            color = "black" if ADAMW in names else f"C{number % 10}"
            style = "-" if number < 10 else "--"
            axis.step(x, [*y, y[-1]], where="post", linestyle=style, color=color, label="\n= ".join(names))
        axis.axvline(GOAL, color="0.8", zorder=0)
        axis.set(title=title, xlabel="steps", xscale="log", xlim=(50, CAP), ylim=(-0.03, 1.03))
        if drawn:
            axis.legend(fontsize="x-small", frameon=False, loc="upper left")
    axes[0].set_ylabel("share of runs that solve 99 % of val")
    figure.tight_layout()
    figure.savefig(target, dpi=130)
    plt.close(figure)


def _named_together(every: Sequence[Found]) -> list[tuple[list[str], Found]]:
    """Lines that are the same runs, once, with all of their names."""
    found: dict[str, list[Found]] = {}
    for one in every:
        found.setdefault(repr(one.line.values), []).append(one)
    return [([one.line.name for one in same], same[0]) for same in found.values()]


def main(here: Path = HERE) -> None:
    """Write all three."""
    every, won = found_in(here)
    if not every:
        raise SystemExit("chosen.csv: expected rows of runs that have ended; README.md says how they are made")
    (here / "selection.md").write_text(looked_at(selected(here)) + "\n", encoding="utf-8")
    text = "\n\n".join(part for part in (said(every, won, read(here / "baseline.csv")), table(every)) if part)
    (here / "table.md").write_text(text + "\n", encoding="utf-8")
    draw(every, here / "steps.png")
    print(text)


if __name__ == "__main__":
    main()
