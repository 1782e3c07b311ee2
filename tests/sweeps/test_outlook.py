"""What a planned sweep will take, as it is printed."""

from pathlib import Path

from factorexe.sweeps.costs import Cost
from factorexe.sweeps.directory import SweepDirectory
from factorexe.sweeps.outlook import outlook
from factorexe.sweeps.plan import Plan, Planned
from factorexe.sweeps.planning import PlannedSweep

WIDTHS = [16, 32, 64]


def test_counts_axes_and_costs_are_those_of_the_runs():
    runs = [Planned(f"{width}", f"a/b/{width}", {"model.width": width, "seed": 0}) for width in WIDTHS]
    plan = Plan("widths", Path("runs"), None, {}, ("model.width", "seed"), tuple(runs))
    costs = tuple(Cost(width * 10, width * 10**9) for width in WIDTHS)
    text = outlook(PlannedSweep(SweepDirectory("sweeps/widths"), plan, costs, skipped=2, repeated=1), "all is waiting")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "widths: 3 runs: 6 combinations, 2 skipped"
    assert "model.width 3 16, 32, 64" in lines
    assert "seed 1 0" in lines
    assert "parameters 160 320 640" in lines
    assert "multiply-adds of training 1.60e+10 3.20e+10 6.40e+10 1.12e+11" in lines
    assert lines[-1] == "all is waiting"
