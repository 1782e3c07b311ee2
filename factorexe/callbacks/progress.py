"""One line on stderr that says how far a run is, and what it has learned.

In a terminal it is a bar; elsewhere a plain line per evaluation::

    step 1200/2500  15.1 steps/s  1:26 left  loss 0.0041  solved seen 0.998  val 0.971  ood 0.000
"""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning.pytorch as lightning
from tqdm import tqdm

from factorexe.callbacks.base import Instrument
from factorexe.callbacks.curves import TrainingCurve

_REFRESH_S = 0.2


class Progress(Instrument):
    """Steps, steps per second, time left, training loss, solved per split."""

    def __init__(self, curve: TrainingCurve) -> None:
        self.curve = curve
        self._bar: Any = None
        self._began = (0.0, 0)
        self._shown = 0.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Opens the bar, where stderr is a terminal."""
        self._began = (time.perf_counter(), trainer.global_step)
        if sys.stderr.isatty():
            self._bar = tqdm(
                total=trainer.max_steps,
                initial=trainer.global_step,
                unit="step",
                dynamic_ncols=True,
                mininterval=0,
            )

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Moves the bar, a few times a second."""
        if self._bar is None or time.perf_counter() - self._shown < _REFRESH_S:
            return
        self._shown = time.perf_counter()
        self._bar.n = trainer.global_step
        self._bar.set_postfix_str(self._learned(pl_module))

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """A line per evaluation where there is no bar."""
        if self._bar is not None:
            self._bar.n = trainer.global_step
            self._bar.set_postfix_str(self._learned(pl_module))
            return
        since, first = self._began
        step = trainer.global_step
        speed = (step - first) / max(time.perf_counter() - since, 1e-9)
        left = tqdm.format_interval((trainer.max_steps - step) / speed) if speed else "?"
        line = f"step {step}/{trainer.max_steps}  {speed:.1f} steps/s  {left} left  {self._learned(pl_module)}"
        print(line, file=sys.stderr, flush=True)

    def _learned(self, learner: Any) -> str:
        parts = [f"loss {self.curve.latest:.4f}"] if self.curve.latest == self.curve.latest else []
        solved = [f"{split} {score.solved:.3f}" for split, score in learner.scores.items()]
        return "  ".join(parts + (["solved " + "  ".join(solved)] if solved else []))

    def on_train_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Leaves the finished bar standing."""
        if self._bar is not None:
            self._bar.n = trainer.global_step
            self._bar.refresh()
        self._close()

    def on_exception(self, trainer: lightning.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Leaves the terminal in order."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
