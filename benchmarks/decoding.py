"""What the cache is worth: 100 tokens after each of 256 prompts, with keys and values kept and without.

The default model of multiplication, freshly drawn, with room for longer answers; no row ends early.  Both ways
write the same tokens.  Medians; uncached decoding reads every row again for every token.

    uncached / cached            goal >= 5

    python benchmarks/decoding.py [repetitions]
"""

from __future__ import annotations

import copy
import statistics
import sys
import time

import torch
from quiet import warn_if_busy

from factorexe.config import resolve
from factorexe.generation import Generated, generate
from factorexe.run import build

ROWS, TOKENS = 256, 100


def main(repetitions: int) -> None:
    """Measure and print."""
    config = resolve({"task": "multiplication", "data.eval_size": ROWS}).config
    layout, model, _, data = build(config, least_length=2 * TOKENS)
    model.eval()
    prompts = layout.prompts(data.splits.evaluation("val"))
    endless = copy.copy(layout)
    endless.end_mark = -1

    def timed(cached: bool) -> tuple[float, Generated]:
        began = time.perf_counter()
        found = generate(model, prompts, endless, limit=TOKENS, cached=cached)
        return time.perf_counter() - began, found

    timed(True)
    pairs = [(timed(True), timed(False)) for _ in range(repetitions)]
    ratio = statistics.median(slow / quick for (quick, _), (slow, _) in pairs)
    quick, slow = (statistics.median(pair[way][0] for pair in pairs) for way in (0, 1))
    same = all(torch.equal(one.tokens, other.tokens) for (_, one), (_, other) in pairs)
    print(f"{config.model.name}, {len(prompts)} prompts, {TOKENS} tokens each, {torch.get_num_threads()} threads")
    print(f"cached {quick:.2f} s, uncached {slow:.2f} s; {'the same tokens' if same else 'DIFFERENT TOKENS'}")
    print(f"{'PASS' if ratio >= 5 and same else 'MISS'}  uncached / cached {ratio:.1f} x, goal >= 5")


if __name__ == "__main__":
    warn_if_busy()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
