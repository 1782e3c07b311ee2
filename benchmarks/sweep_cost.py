"""What a run of seconds costs beside its training steps, in a process that has trained before.

``factorexe.fit`` of multiplication's tiny preset, one digit, one thread, no training curve: claim, build, first
step, one evaluation, result and every file.  A run of few steps and one of many take turns, each with a seed of its
own; their difference is the price of a step, and what is left at no step at all is the cost.  Medians.

    cost beside the steps    goal <= 150 ms

    python benchmarks/sweep_cost.py [repetitions]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from typing import Any

import torch
from quiet import warn_if_busy

from factorexe.config import resolve
from factorexe.run import fit

GOAL = 0.150
FEW, MANY = 5, 45


def config(steps: int, seed: int) -> dict[str, Any]:
    """A run with one evaluation, at its end."""
    ends = {"trainer.max_steps": steps, "trainer.val_check_interval": 10 * steps}
    still = {"trainer.threads": 1, "trainer.enable_progress_bar": False, "trainer.logger": "none"}
    return {"task": "multiplication", "task.digits": 1, "seed": seed, **ends, **still}


def seconds(steps: int, seed: int) -> float:
    """Wall time of one run, from its options to its result."""
    with tempfile.TemporaryDirectory() as runs:
        began = time.perf_counter()
        fit(config(steps, seed), preset="tiny", runs=runs)
        return time.perf_counter() - began


def described(seed: int) -> float:
    """Wall time of finding out what a run is, which workers of a sweep do once for many."""
    began = time.perf_counter()
    resolve(config(FEW, seed), preset="tiny")
    return time.perf_counter() - began


def main(repetitions: int) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    seconds(FEW, 0)
    rows = [(seconds(FEW, seed), seconds(MANY, seed), described(seed)) for seed in range(1, repetitions + 1)]
    steps = [(many - few) / (MANY - FEW) for few, many, _ in rows]
    step, cost = statistics.median(steps), statistics.median(r[0] - FEW * s for r, s in zip(rows, steps, strict=True))
    few, many, options = (statistics.median(times) for times in zip(*rows, strict=True))
    print(f"{1e3 * few:.0f} ms  {FEW} steps, {1e3 * many:.0f} ms  {MANY} steps, {repetitions} of each in turn")
    print(f"{1e3 * step:.1f} ms  a step; {1e3 * options:.0f} ms of the cost are the options of a single run")
    met = "PASS" if cost <= GOAL else "MISS"
    print(f"{met}  beside its steps: {1e3 * cost:.0f} ms, {cost / step:.0f} x a step, goal <= {1e3 * GOAL:.0f} ms")


if __name__ == "__main__":
    warn_if_busy()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 21)
