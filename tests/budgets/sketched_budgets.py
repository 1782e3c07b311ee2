"""Budgets written down by hand: two difficulties in val, one in ood, steps of a loop that was trained with 2."""

from pathlib import Path

from factorexe.budgets.comparison import Compared, Comparison
from factorexe.budgets.record import Budget, Curve, Point, Rate, Scores


def scores(compute, **rates):
    """What a pass says of a split in which each difficulty holds ten problems: d3=0.5, d4=0.1."""
    levels = {int(name[1:]): Rate(rate, (rate / 2, (1 + rate) / 2), 10) for name, rate in rates.items()}
    solved = sum(rates.values()) / len(rates)
    return Scores(solved, (solved / 2, (1 + solved) / 2), 10 * len(levels), levels, compute, 1000 * compute)


def point(steps, val, ood, **more):
    """Solved of difficulties 2 and 3 is ``val`` and a half of it, of difficulty 4 ``ood``."""
    passes = {"val": scores(10.0 * steps, d2=val, d3=val / 2), "ood": scores(12.0 * steps, d4=ood)}
    return Point(steps, passes, **more)


STEPS = Curve(
    "model.steps",
    (point(1, 0.2, 0.0), point(2, 0.8, 0.1, trained=True), point(4, 0.6, 0.4), Point("x", {}, refused="no number")),
)
BUDGET = Budget(Path("runs/addition/loop/1234"), "best", 500, ("val", "ood"), {"data.eval_size": 10}, [STEPS])


def compared(name, parameters, budget=BUDGET, multiply_adds=1000):
    """One run of a comparison."""
    path = Path("runs") / name
    return Compared(name, f"model.width {parameters}", parameters, multiply_adds, budget._replace(path=path))


def comparison(*parameters, at="parameters"):
    """Runs a, b, c, ... of so many parameters."""
    return Comparison(at, tuple(compared("abcdefghijk"[n], size) for n, size in enumerate(parameters)))
