"""What loops cost: repeats that see the ones before, and what is saved by tokens that halt.

One shared block of width 128.  ``repeats``: a training step (forward and backward) of 64 x 64 tokens, CoTFormer
against universal transformer; its own cost is that of attention over r times the keys in repeat r, so time and what
autograd keeps are compared with those of a universal transformer and that much attention on top.  ``halting``: 8
steps, each token halting after 1 to 8 of them, as likely as any other, against all tokens making 8; 256 rows.  Medians
of pairs, one after the other.

    repeats     CoTFormer / (universal transformer + attention), time and memory    goal <= 1.2
    halting     scored forward of 64 tokens, with / without                         goal <= 0.75
    halting     decoding of 100 tokens, with / without                              goal <= 0.9

    python benchmarks/looped.py [repetitions]
"""

from __future__ import annotations

import copy
import statistics
import sys
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from quiet import warn_if_busy
from torch import Tensor

from factorexe.generation import generate
from factorexe.layout import SequenceLayout
from factorexe.models.base import Model
from factorexe.models.cotformer import CoTFormerConfig
from factorexe.models.halting.base import Decision, Halting, Look
from factorexe.models.halting.fixed import latest
from factorexe.models.layers import attend
from factorexe.models.universal_transformer import UniversalTransformerConfig
from factorexe.tasks.addition import Addition

WIDTH, HEADS, LENGTH, WRITTEN = 128, 4, 64, 100
REPEATS, STEPS = range(1, 9), 8
BATCH, ROWS = 64, 256
VOCABULARY = 16


class Uniform(Halting):
    """Halts after 1 to 8 steps, as likely after any."""

    def begin(self, like: Tensor, drawn: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The step (...) after which each token halts."""
        return {"last": torch.randint(1, STEPS + 1, like.shape)}

    def decide(self, look: Look) -> Decision:
        """Takes each state as it comes."""
        decision = latest(look)
        return decision._replace(halted=decision.halted | (look.kept["last"] <= look.step))


def medians(one: Callable[[], object], other: Callable[[], object], repetitions: int) -> tuple[float, float, float]:
    """Seconds of each, and of the one in those of the other."""
    pairs = [(timed(one), timed(other)) for _ in range(repetitions + 1)][1:]
    first, second = (statistics.median(times) for times in zip(*pairs, strict=True))
    return first, second, statistics.median(a / b for a, b in pairs)


def timed(run: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def kept(run: Callable[[], object]) -> int:
    """Bytes that autograd keeps for the backward pass."""
    held: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = run()  # noqa: F841  storages have to live until all are counted
    return sum(held.values())


# -- repeats


def repeats(repetitions: int) -> None:
    """Training steps of 1 to 8 repeats."""
    tokens = torch.randint(1, VOCABULARY, (BATCH, LENGTH), generator=torch.Generator().manual_seed(0))
    print(f"repeats: {BATCH} x {LENGTH} tokens, width {WIDTH}, {torch.get_num_threads()} threads, {repetitions} pairs")
    print("repeats   ms: CoTFormer  universal  attention  predicted    MB: CoTFormer  universal  predicted")
    attention, memory = [], []
    worst = worst_memory = 0.0
    for count in REPEATS:
        cotformer, universal = (model.build(VOCABULARY, LENGTH).train() for model in _alike(count))
        states = [lambda model=model: model(tokens).states for model in (cotformer, universal)]
        mine, plain, _ = medians(*(lambda of=of: of().sum().backward() for of in states), repetitions)
        attention.append(statistics.median(timed(_attention(count)) for _ in range(2 * repetitions + 1)))
        memory.append(_attention_keeps(count))
        predicted = plain + sum(attention) - count * attention[0]
        keeps = [kept(of) / 1e6 for of in states]
        predicted_keeps = keeps[1] + (sum(memory) - count * memory[0]) / 1e6
        print(
            f"{count:7d} {1e3 * mine:15.1f} {1e3 * plain:10.1f} {1e3 * attention[-1]:10.1f} {1e3 * predicted:10.1f}"
            f" {keeps[0]:16.1f} {keeps[1]:10.1f} {predicted_keeps:10.1f}"
        )
        worst, worst_memory = max(worst, mine / predicted), max(worst_memory, keeps[0] / predicted_keeps)
    for what, ratio in (("time", worst), ("memory", worst_memory)):
        print(f"{'PASS' if ratio <= 1.2 else 'MISS'}  {what} / predicted {ratio:.2f} x at worst, goal <= 1.2")


def _alike(count: int) -> tuple[CoTFormerConfig, UniversalTransformerConfig]:
    sizes = {"width": WIDTH, "heads": HEADS, "layers": 1, "steps": count, "prelude": 0, "coda": 0}
    same = {**sizes, "step_embedding": "remaining"}
    return CoTFormerConfig(**same), UniversalTransformerConfig(**same, injection="none")


def _parts(count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys and values of a repeat, and the bias."""
    shapes = [(BATCH, HEADS, LENGTH * by, WIDTH // HEADS) for by in (1, count, count)]
    parts = (torch.randn(shape, requires_grad=True) for shape in shapes)
    causal = torch.full((LENGTH, LENGTH), -torch.inf).triu(1)
    return (*parts, causal.repeat(1, count)[None, None])


def _attention(count: int) -> Callable[[], object]:
    """Forward and backward of attention in repeat ``count``."""
    queries, keys, values, bias = _parts(count)
    slope = torch.ones_like(queries)
    return lambda: torch.autograd.grad(attend(queries, keys, values, bias, 0.0), (queries, keys, values), slope)


def _attention_keeps(count: int) -> int:
    """Bytes beside queries, keys and values."""
    queries, keys, values, bias = _parts(count)
    own = sum(part.untyped_storage().nbytes() for part in (keys, values, bias))
    return kept(lambda: attend(queries, keys, values, bias, 0.0)) - own


# -- halting


def halting(repetitions: int) -> None:
    """Evaluation with tokens that halt."""
    layout = copy.copy(SequenceLayout(Addition(digits=5), chain=False))
    layout.end_mark = -1  # no row ends early
    full, early = (_model(layout.vocabulary) for _ in range(2))
    early.policy = Uniform()
    tokens = torch.randint(1, layout.vocabulary, (ROWS, LENGTH), generator=torch.Generator().manual_seed(0))
    prompts = layout.prompts(layout.task.sample(np.full(ROWS, 5), np.random.default_rng(0)))
    spent = _scored(early, tokens)
    print(f"halting: {ROWS} rows, {torch.get_num_threads()} threads, {repetitions} pairs, {spent:.2f} of {STEPS} steps")
    tasks: list[tuple[str, float, Callable[[Model], object]]] = [
        ("scored forward", 0.75, lambda model: _scored(model, tokens)),
        ("decoding", 0.9, lambda model: generate(model, prompts, layout, limit=WRITTEN)),
    ]
    for name, goal, run in tasks:
        mine, plain, ratio = medians(lambda run=run: run(early), lambda run=run: run(full), repetitions)
        print(f"{name}: halting {1e3 * mine:.0f} ms, full depth {1e3 * plain:.0f} ms")
        print(f"{'PASS' if ratio <= goal else 'MISS'}  {name}, halting / full depth {ratio:.2f} x, goal <= {goal}")


def _model(vocabulary: int) -> Model:
    torch.manual_seed(0)
    config = UniversalTransformerConfig(width=WIDTH, heads=HEADS, layers=1, steps=STEPS)
    return config.build(vocabulary, 2 * LENGTH).eval()


@torch.no_grad()
def _scored(model: Model, tokens: Tensor) -> float:
    """Steps that a token makes on average."""
    output = model(tokens)
    F.cross_entropy(model.readout(output.states[0]).flatten(0, 1), tokens.flatten())
    return float(output.compute.mean())


if __name__ == "__main__":
    warn_if_busy()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    halting(count)
    repeats(count)
