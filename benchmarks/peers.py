"""How fast our models train, beside three that people use.

The same training step for all: 64 rows of 64 tokens out of 32, next-token cross entropy at every position, causal
attention in 4 heads, 2 layers, GELU in 4 times the width, no dropout; AdamW (fused) and clipping by norm 1.  Positions
and attention are each one's own; where a peer offers two attentions, both run.  First everybody's logits must not
change with later tokens.  Then all take their steps in turn, in fp32 and under bf16 autocast, in every round; a
figure is the median over the rounds, a ratio the median of the ratios within each round.

    width 128 and 256    transformer, fp32    over the best peer in fp32    goal >= 1.0
                         transformer, bf16    over the best peer in fp32    goal >= 1.5

Multiply-adds are those of the forward pass, counted by torch.  Memory is what three steps add to a fresh process at
its highest: the kernel's mark (VmHWM), set back before the model is built; Linux alone has it.

    python benchmarks/peers.py [--rounds 7] [--steps 10] [--threads 2] [--widths 128 256]
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from contestants import CONTESTANTS, HEADS, LENGTH, OURS, PEERS, VOCABULARY
from quiet import warn_if_busy
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

ROWS = 64
PRECISIONS = {"fp32": None, "bf16": torch.bfloat16}
WARM_UP = 3


class Training:
    """One contestant in one precision, and its step."""

    def __init__(self, name: str, width: int, precision: str, rows: int = ROWS) -> None:
        torch.manual_seed(0)
        self.model, self.logits = CONTESTANTS[name](width)
        self.precision = PRECISIONS[precision]
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=True
        )
        sequences = torch.randint(1, VOCABULARY, (rows, LENGTH + 1))  # 0 is padding to ours
        self.tokens, self.targets = sequences[:, :-1].contiguous(), sequences[:, 1:].flatten()

    def loss(self) -> Tensor:
        """Mean cross entropy."""
        with torch.autocast("cpu", self.precision, enabled=self.precision is not None):
            logits = self.logits(self.tokens)
        return F.cross_entropy(logits.float().flatten(0, 1), self.targets)

    def step(self) -> None:
        """One update."""
        self.optimizer.zero_grad()
        self.loss().backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()

    def tokens_per_second(self, steps: int) -> float:
        """Over so many steps."""
        began = time.perf_counter()
        for _ in range(steps):
            self.step()
        return steps * ROWS * LENGTH / (time.perf_counter() - began)

    def looks_ahead(self) -> bool:
        """Whether changing the last token changes anything before it."""
        other = self.tokens.clone()
        other[:, -1] = other[:, -1] % (VOCABULARY - 1) + 1
        with torch.no_grad():
            return not torch.allclose(self.logits(self.tokens)[:, :-1], self.logits(other)[:, :-1], atol=1e-4)

    def size(self) -> str:
        """Multiply-adds of the forward pass per token, and parameters."""
        fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # the counter knows those of GPUs alone
        formula = {fused: lambda queries, keys, values, *_, **__: sdpa_flop_count(queries, keys, values)}
        with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=formula) as counter:
            self.loss()
        spent = counter.get_total_flops() // 2 // (ROWS * LENGTH)
        return f"{spent:19,}  {sum(weight.numel() for weight in self.model.parameters()):10,}"


def memory(name: str, precision: str, width: int) -> int:
    """Bytes that a few steps add to this process, at its highest."""
    Training(name, 2 * HEADS, precision, rows=1).step()  # so that what is imported on the way is not counted
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    training = Training(name, width, precision)
    for _ in range(WARM_UP):
        training.step()
    return _status("VmHWM") - before


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def memory_elsewhere(name: str, precision: str, width: int, threads: int) -> str:
    """The same in a process of its own, in MiB."""
    if not sys.platform.startswith("linux"):
        return "-"
    words = [__file__, "--memory", name, precision, "--widths", str(width), "--threads", str(threads)]
    done = subprocess.run([sys.executable, *words], check=True, stdout=subprocess.PIPE, text=True)
    return f"{int(done.stdout) / 2**20:.0f}"


class Entry(NamedTuple):
    """Who, and how."""

    name: str
    precision: str


def installed(width: int) -> list[str]:
    """Those that can take part; says who cannot, and refuses those that look at later tokens."""
    present = []
    for name in CONTESTANTS:
        try:
            ahead = Training(name, width, "fp32").looks_ahead()
        except ImportError as error:
            print(f"left out: {name} ({error}); pip install -c constraints.txt -e '.[bench]'")
            continue
        if ahead:
            sys.exit(f"{name}: its logits change with later tokens; expected causal attention. Fix its contestant.")
        present.append(name)
    return present


def rates(trainings: dict[Entry, Training], rounds: int, steps: int) -> dict[Entry, list[float]]:
    """Tokens per second of each in each round, in another order every time, after a step that fills the caches."""
    found: dict[Entry, list[float]] = {entry: [] for entry in trainings}
    for training in trainings.values():
        training.tokens_per_second(WARM_UP)
    for turn in range(rounds):
        for entry in random.Random(turn).sample(list(trainings), len(trainings)):
            trainings[entry].step()
            found[entry].append(trainings[entry].tokens_per_second(steps))
    return found


def compare(width: int, options: argparse.Namespace) -> None:
    """Measure one width and print."""
    names = installed(width)
    trainings = {Entry(n, p): Training(n, width, p) for p in PRECISIONS for n in names}
    found = rates(trainings, options.rounds, options.steps)
    median = {entry: statistics.median(values) for entry, values in found.items()}
    peers = [entry for entry in median if entry.name in PEERS and entry.precision == "fp32"]
    best = max(peers, key=median.__getitem__) if peers else Entry(OURS, "fp32")
    ratio = {entry: statistics.median(a / b for a, b in zip(found[entry], found[best], strict=True)) for entry in found}
    print(f"\nwidth {width}, {options.threads} threads, {options.rounds} rounds of {options.steps} steps")
    print("  tokens/s   ratio  multiply-adds/token  parameters  peak MiB")
    for entry, training in trainings.items():
        peak = memory_elsewhere(*entry, width, options.threads)
        print(f"{median[entry]:10,.0f}  {ratio[entry]:6.2f}  {training.size()}  {peak:>8}  {', '.join(entry)}")
    if peers:
        for precision, goal in (("fp32", 1.0), ("bf16", 1.5)):
            reached = ratio[Entry(OURS, precision)]
            said = f"width {width}, {precision}: {reached:.2f} x {best.name} in {best.precision}, goal >= {goal}"
            print(f"{'PASS' if reached >= goal else 'MISS'}  {said}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How fast our models train, beside three that people use.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10, help="of each contestant in each round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--widths", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--memory", nargs=2, metavar=("NAME", "PRECISION"), help="print one contestant's bytes alone")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.disable(logging.WARNING)  # the counter warns of every operation it has no formula for
    if options.memory:
        print(memory(*options.memory, options.widths[0]))
        return
    warn_if_busy()
    for width in options.widths:
        compare(width, options)


if __name__ == "__main__":
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")  # nothing is fetched
    main()
