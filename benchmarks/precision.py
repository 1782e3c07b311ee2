"""What bfloat16, compilation and threads do to a training step, at three widths.

One looped model (2 blocks applied twice, 4 heads, no dropout) on multiplication of three digits, batch 128: forward,
backward, clipping and AdamW, against fp32 without compilation on the same threads.  Every way is timed in turn, in
rounds; the figures are medians.  Compilation is tried on all threads alone.  The rows are those of
docs/performance.md.

    python benchmarks/precision.py [rounds]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from quiet import warn_if_busy
from tabulate import tabulate

from factorexe.config import resolve
from factorexe.run import build
from factorexe.threads import threads

WIDTHS = (64, 128, 256)
WAYS = {  # precision, compiled
    "fp32": ("32-true", False),
    "bf16-mixed": ("bf16-mixed", False),
    "fp32, compiled": ("32-true", True),
    "bf16-mixed, compiled": ("bf16-mixed", True),
}
STEPS = 5


class Way:
    """A model that is trained one way."""

    def __init__(self, width: int, precision: str, compiled: bool) -> None:
        config = resolve(
            {
                "task": "multiplication",
                "model": {"name": "universal-transformer", "layers": 2, "steps": 2, "width": width, "heads": 4},
                "data.batch_size": 128,
                "model.dropout": 0.0,
            }
        ).config
        _, self.model, self.objective, data = build(config)
        self.half = precision == "bf16-mixed"
        self.batches: list[Any] = [data.batch("train", index) for index in range(4)]
        self.optimizer = config.optim.optimizer.build(self.model)
        if compiled:
            self.model.compile_core()
        began = time.perf_counter()
        self.steps(2)
        self.warm_up = time.perf_counter() - began

    def steps(self, count: int = STEPS) -> float:
        """Seconds per training step."""
        began = time.perf_counter()
        for index in range(count):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.half):
                loss = self.objective.loss(self.model, self.batches[index % 4])
            self.optimizer.zero_grad()
            (loss.total / loss.weight).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
        return (time.perf_counter() - began) / count


def main(rounds: int) -> None:
    """Measure and print."""
    most = torch.get_num_threads()
    rows = []
    for width in WIDTHS:
        for count in sorted({1, most}):
            with threads(count):
                torch.compiler.reset()
                ways = {name: Way(width, *how) for name, how in WAYS.items() if count == most or not how[1]}
                times = in_turn({name: way.steps for name, way in ways.items()}, rounds)
            plain = times["fp32"]
            for name, found in times.items():
                ratio = statistics.median(a / b for a, b in zip(plain, found, strict=True))
                warm_up = f"{ways[name].warm_up:.0f}" if "compiled" in name else ""
                rows.append([width, count, name, f"{1e3 * statistics.median(found):.1f}", f"{ratio:.2f}", warm_up])
    print(tabulate(rows, ["width", "threads", "way", "ms per step", "times fp32", "first steps, s"], tablefmt="github"))


def in_turn(ways: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """The times of every way, round by round."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(way())
    return times


if __name__ == "__main__":
    warn_if_busy()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
