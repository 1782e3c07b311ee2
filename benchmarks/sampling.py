"""How fast problems are made.

Examples per second of ``task.sample``, chains included, for every installed task with its default options: NumPy in
one process, hence on one core; multiplication's default is three digits by three.  Then what a batch costs
to sample and render (``data.batch("train", i)``, the mean over 512 in training order) as a share of a training
step of the same run, for the default run of multiplication and for the same run on an endless stream.

    every task                    goal >= 100,000 examples/s where the chain has less than 100 tokens
    3 x 3 digits with chain       goal >= 200,000 examples/s
    batch / step, default run     goal <= 3 %

    python benchmarks/sampling.py [repetitions]
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import numpy as np
from quiet import warn_if_busy
from step_overhead import fitted

from factorexe.config import resolve
from factorexe.registry import Registry
from factorexe.run import build
from factorexe.tasks.base import Task

EXAMPLES = 16_384
STEPS = 100  # of the run whose step is the measure


def per_second(task: Task, repetitions: int) -> float:
    """Median examples per second, difficulties uniform over training."""
    low, high = task.train_difficulty
    rates = []
    for seed in range(repetitions + 1):  # the first fills caches
        rng = np.random.default_rng(seed)
        difficulty = rng.integers(low, high + 1, EXAMPLES)
        began = time.perf_counter()
        task.sample(difficulty, rng)
        rates.append(EXAMPLES / (time.perf_counter() - began))
    return statistics.median(rates[1:])


def per_batch(options: dict[str, Any]) -> float:
    """Mean seconds per training batch, blocks and rounds included."""
    data = build(resolve(options).config).data
    data.batch("train", 0)
    count = 512
    began = time.perf_counter()
    for index in range(1, count + 1):
        data.batch("train", index)
    return (time.perf_counter() - began) / count


def main(repetitions: int) -> None:
    """Measure and print."""
    for name in Registry("tasks").names():
        task = Registry("tasks").get(name).cls()
        tokens = task.widths(task.train_difficulty[1]).chain
        goal = 200_000 if name == "multiplication" else 100_000 if tokens < 100 else 0
        rate = per_second(task, repetitions)
        verdict = "    " if not goal else "PASS" if rate >= goal else "MISS"
        print(f"{verdict}  {rate:12,.0f} examples/s  {name}, chains of up to {tokens} tokens")
    for name, options in {
        "default run": {"data.train_size": 2500},
        "endless stream": {"data.train_size": None},
    }.items():
        step = statistics.median(fitted(STEPS, options) for _ in range(3))
        batch = statistics.median(per_batch({"task": "multiplication", **options}) for _ in range(3))
        share = batch / step
        print(f"{1e3 * batch:.3f} ms per batch, {1e3 * step:.2f} ms per step: {100 * share:.2f} %  {name}")
        if name == "default run":
            print(f"{'PASS' if share <= 0.03 else 'MISS'}  batch / step {100 * share:.2f} %, goal <= 3 %")


if __name__ == "__main__":
    warn_if_busy()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
