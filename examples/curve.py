"""Draw what one run does not solve, and its losses, over its steps, with the event steps marked: the README's figure.

    python examples/curve.py runs/multiplication/transformer/<id> docs/multiplication.png

You should see seen fall to 1 % wrong first (t_mem), val follow (t_gen), and ood stay where it honestly is.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# Okabe & Ito's colours, told apart by readers of every kind of sight; line styles repeat the distinction.
STYLE = {
    "seen": ("#0072B2", "-", "seen: trained on"),
    "val": ("#D55E00", "--", "val: as hard, never trained on"),
    "ood": ("#009E73", ":", "ood: harder than anything in training"),
}
EVENTS = {"t_mem": "seen", "t_gen": "val", "t_ood": "ood"}


def read(run: Path) -> tuple[list[dict[str, float]], dict]:
    """The rows of metrics.csv and result.json."""
    with open(run / "metrics.csv", newline="") as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    return rows, json.loads((run / "result.json").read_text())


def draw(run: Path, target: Path) -> None:
    """One figure: what is not solved on the left, loss on the right; both on log scales."""
    rows, result = read(run)
    steps = [row["step"] for row in rows]
    plt.rcParams.update({"font.size": 12, "axes.spines.top": False, "axes.spines.right": False})
    figure, (wrong, loss) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    for split, (colour, line, label) in STYLE.items():
        if result["solved"][split]:
            least = 0.5 / result["solved"][split]["n"]  # where nothing is wrong: half a problem
            shares = [max(1 - row[f"solved/{split}"], least) for row in rows]
            wrong.plot(steps, shares, line, color=colour, lw=2.2, label=label)
            loss.plot(steps, [row[f"loss/{split}"] for row in rows], line, color=colour, lw=2.2)
    wrong.axhline(0.01, color="0.6", lw=1)
    wrong.annotate("1 % wrong", (steps[0], 0.011), color="0.4", fontsize=10)
    for event, split in EVENTS.items():
        step = result["events"][event]
        if step is not None:
            height = {"t_mem": 0.25, "t_gen": 0.12, "t_ood": 0.06}[event]
            wrong.axvline(step, color=STYLE[split][0], lw=1, alpha=0.6)
            wrong.annotate(f" {event} = {step}", (step, height), color=STYLE[split][0])
    wrong.set(title="share of problems not solved", xlabel="step", yscale="log")
    loss.set(title="loss per supervised token", xlabel="step", yscale="log")
    figure.legend(frameon=False, loc="outside lower center", ncols=3, fontsize=11)
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python examples/curve.py RUN TARGET.png")
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
