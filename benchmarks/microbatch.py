"""What it costs to ask for the gradients of K parts instead of that of the batch.

The two-layer transformer of width 128 on x / y mod 97, 512 problems a step, answer only: forward, backward, merging,
clipping and AdamW, without Lightning.  ``mean`` adds parts up, which is plain training again; medians of pairs of four
steps, one after the other, and other rules beside it.

    microbatch of K = 2, 4, 8, 16 with mean / plain      goal <= 1.1

    python benchmarks/microbatch.py [pairs]
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import torch
from quiet import warn_if_busy

from factorexe.config import resolve
from factorexe.micro_step import MicroStep
from factorexe.optim.flat import Flat
from factorexe.optim.procedure import Procedure
from factorexe.run import build

STEPS = 4
PARTS = (2, 4, 8, 16)
BATCH = 512
OTHERS: dict[str, dict[str, Any]] = {
    "gaf, max-neighbours": {"aggregate": {"name": "gaf", "reference": "max-neighbours"}},
    "gaf, running": {"aggregate": {"name": "gaf", "reference": "running"}},
    "sign-agreement": {"aggregate": "sign-agreement"},
    "median": {"aggregate": "median"},
    "gsnr": {"aggregate": "gsnr"},
    "mean, grokfast-ema": {"filters": "grokfast-ema"},
    "mean, orthograd": {"filters": "orthograd"},
}


class Contestant:
    """A model in training with one procedure."""

    def __init__(self, optim: dict[str, Any]) -> None:
        config = resolve(
            {
                "task": "modular",
                "model": {"name": "transformer", "layers": 2, "width": 128, "dropout": 0.0},
                "data": {"batch_size": BATCH},
                "optim": optim,
            }
        ).config
        self.built = build(config)
        self.flat = Flat(self.built.model.named_parameters())
        self.procedure = Procedure(config.optim, self.flat)
        self.optimizer = config.optim.optimizer.build(self.built.model)
        self.batches = [self.built.data.batch("train", index) for index in range(STEPS)]

    def seconds(self) -> float:
        """Of one step, on average."""
        began = time.perf_counter()
        for batch in self.batches:
            step = MicroStep(self.flat, self.built.model, self.built.objective, self.built.data)
            self.procedure.begin(step, self.built.objective.prepare(self.built.model, batch, 0, None))
            self.procedure.backward(1.0)
            self.procedure.before(self.optimizer, 0)
            torch.nn.utils.clip_grad_norm_(self.flat.parameters, 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
        return (time.perf_counter() - began) / STEPS


def compared(optim: dict[str, Any], plain: Contestant, repetitions: int) -> tuple[float, float]:
    """Milliseconds of a step, and the median ratio to plain ones."""
    other = Contestant(optim)
    pairs = [(other.seconds(), plain.seconds()) for _ in range(repetitions + 1)][1:]
    return 1e3 * statistics.median(own for own, _ in pairs), statistics.median(own / base for own, base in pairs)


def main(repetitions: int) -> None:
    """All of them."""
    plain = Contestant({})
    print(f"{plain.flat.size:,} parameters, {BATCH} problems, {torch.get_num_threads()} threads, {repetitions} pairs")
    for parts in PARTS:
        own, ratio = compared({"measure": {"name": "microbatch", "parts": parts}}, plain, repetitions)
        verdict = "PASS" if ratio <= 1.1 else "MISS"
        print(f"{verdict}  mean of {parts:2d} parts {own:6.1f} ms, {ratio:.2f} x plain, goal <= 1.1")
    for name, optim in OTHERS.items():
        own, ratio = compared({"measure": {"name": "microbatch", "parts": 8}, **optim}, plain, repetitions)
        print(f"      {name + ', 8 parts':32s} {own:6.1f} ms, {ratio:.2f} x plain")


if __name__ == "__main__":
    warn_if_busy()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
