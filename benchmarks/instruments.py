"""What the instruments that are on by default cost.

``factorexe.fit`` with them against ``factorexe.fit`` without, one after the other from fresh weights: the two-layer
transformer of width 128 on multiplication of two digits, 64 problems a step.  A step's time is the mean between batch
starts after a warm-up, over whole cadences (every 100 steps), evaluation left out.  Medians of pairs.

    one-step-probe / none      goal <= 1.03

    python benchmarks/instruments.py [repetitions]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from typing import Any

import torch
from quiet import warn_if_busy
from step_overhead import WARM_UP, Clock, terminal

from factorexe.run import fit

STEPS = 400
SETTING: dict[str, Any] = {
    "task": {"name": "multiplication", "digits": 2},
    "model": {"name": "transformer", "layers": 2, "width": 128},
    "data": {"batch_size": 64, "eval_size": 64},
    "trainer": {"max_steps": STEPS + WARM_UP, "val_check_interval": 10 * STEPS},
}
SETS: dict[str, list[str]] = {
    "one-step-probe": ["one-step-probe"],
    "weight-and-logit": ["weight-and-logit"],
    "the defaults": ["one-step-probe", "canaries", "weight-and-logit", "gradient-agreement"],
}


def seconds(instruments: list[str]) -> float:
    """Of a step, on average."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as runs, terminal():
        fit({**SETTING, "instruments": instruments}, runs=runs, stop=clock)
    return clock.per_step()


def main(repetitions: int) -> None:
    """All of them."""
    print(f"{torch.get_num_threads()} threads, {repetitions} pairs of {STEPS} steps")
    for name, instruments in SETS.items():
        pairs = [(seconds(instruments), seconds([])) for _ in range(repetitions)]
        ratio = statistics.median(own / none for own, none in pairs)
        spent = 1e3 * statistics.median(own for own, _ in pairs)
        verdict = ("PASS" if ratio <= 1.03 else "MISS") if name == "one-step-probe" else "    "
        goal = ", goal <= 1.03" if verdict.strip() else ""
        print(f"{verdict}  {name:18s} {spent:6.2f} ms, {ratio:.3f} x without{goal}")


if __name__ == "__main__":
    warn_if_busy()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
