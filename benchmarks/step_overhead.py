"""What a training step costs beyond its arithmetic.

``factorexe.fit``, with a progress bar on a terminal and TensorBoard, against a hand-written torch loop: same
model, batches, loss, AdamW and clipping; constant learning rate.  Both run in turn, from fresh weights; a
step's time is the mean between batch starts after a warm-up, so start-up and evaluation do not count.  Medians.

    about 10 ms per step    fit / loop            goal <= 1.08
    about  1 ms per step    fit - loop            goal <= 0.5 ms

    python benchmarks/step_overhead.py [repetitions]
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import statistics
import struct
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from typing import Any

import torch
from quiet import warn_if_busy

from factorexe.callbacks.checkpoints import Stop
from factorexe.config import resolve
from factorexe.run import build, fit

WARM_UP = 40
SIZES: dict[str, tuple[int, dict[str, Any]]] = {  # steps measured, options
    "10 ms": (300, {"task.digits": 2, "model.layers": 2, "model.width": 128, "data.batch_size": 16}),
    "1 ms": (1500, {"task.digits": 1, "model.layers": 1, "model.width": 16, "model.heads": 1, "data.batch_size": 8}),
}


class Clock(Stop):
    """Never stops a run: it notes when each batch begins, which is when a run asks."""

    def __init__(self) -> None:
        self.starts: list[float] = []

    @property
    def requested(self) -> bool:  # type: ignore[override]
        """No."""
        self.starts.append(time.perf_counter())
        return False

    def per_step(self) -> float:
        """Mean seconds between two batch starts, after the warm-up."""
        kept = self.starts[WARM_UP:]
        return (kept[-1] - kept[0]) / (len(kept) - 1)


def config(steps: int, options: dict[str, Any]) -> dict[str, Any]:
    """A run with one small evaluation, at its end."""
    ends = {"trainer.max_steps": steps, "trainer.val_check_interval": 10 * steps, "data.eval_size": 1}
    return {"task": "multiplication", "model": "transformer", "data.train_size": 30, **options, **ends}


def fitted(steps: int, options: dict[str, Any]) -> float:
    """Seconds per step of ``factorexe.fit``."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as runs, terminal():
        fit(config(steps + WARM_UP, options), runs=runs, stop=clock)
    return clock.per_step()


def looped(steps: int, options: dict[str, Any]) -> float:
    """Seconds per step of a plain loop."""
    run = resolve(config(steps + WARM_UP, options)).config
    _, model, objective, data = build(run)
    optimizer = run.optim.optimizer.build(model)
    clock = Clock()
    for index in range(steps + WARM_UP):
        _ = clock.requested
        loss = objective.loss(model, data.batch("train", index))
        optimizer.zero_grad()
        (loss.total / loss.weight).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), run.trainer.gradient_clip_val)
        optimizer.step()
    return clock.per_step()


@contextlib.contextmanager
def terminal() -> Iterator[None]:
    """stderr is a terminal that somebody reads."""
    reader, writer = os.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("4H", 25, 120, 0, 0))  # without columns no bar is drawn
    threading.Thread(target=_drain, args=(reader,), daemon=True).start()
    with os.fdopen(writer, "w") as screen, contextlib.redirect_stderr(screen):
        yield


def _drain(reader: int) -> None:
    with contextlib.suppress(OSError), os.fdopen(reader, "rb", 0) as screen:  # OSError: the writer is gone
        while screen.read(4096):
            pass


def main(repetitions: int) -> None:
    """Measure and print."""
    for size, (steps, options) in SIZES.items():
        pairs = [(fitted(steps, options), looped(steps, options)) for _ in range(repetitions)]
        ours, plain = (1e3 * statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        extra = 1e3 * statistics.median(a - b for a, b in pairs)
        print(f"{size}: transformer {options}, {torch.get_num_threads()} threads, {repetitions} x {steps} steps")
        print(f"fit {ours:.3f} ms, loop {plain:.3f} ms per step: {ratio:.3f} x, {extra:+.3f} ms")
        met, goal = (ratio <= 1.08, "ratio <= 1.08") if size == "10 ms" else (extra <= 0.5, "fixed cost <= 0.5 ms")
        print(f"{'PASS' if met else 'MISS'}  about {size} per step: {ratio:.3f} x, {extra:+.3f} ms, goal {goal}")


if __name__ == "__main__":
    warn_if_busy()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
