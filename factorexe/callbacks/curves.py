"""The training curve.

Training numbers are logged on a cadence, not every step: ``loss/train`` is the mean over the steps since the
last point.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as lightning
import torch

from factorexe.callbacks.base import Instrument
from factorexe.callbacks.loggers import Charts, EventLogger


class TrainingCurve(Instrument):
    """Logs loss, learning rate and speed every ``every`` optimizer steps.

    Args:
        options: what the HParams tab shows.
        batch_size: problems per micro-batch.
        charts: of what else is logged.
    """

    def __init__(self, every: int, options: Mapping[str, Any], batch_size: int, charts: Charts | None = None) -> None:
        self.every, self.options, self.batch_size, self.charts = every, options, batch_size, charts or {}
        self.latest = float("nan")  # the last point of loss/train
        self._sum: torch.Tensor | None = None
        self._count = 0
        self._mark = (0.0, 0)

    def state_dict(self) -> dict[str, Any]:
        """The steps since the last point."""
        return {
            "sum": float(self._sum) if self._sum is not None else 0.0,
            "count": self._count,
            "latest": self.latest,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from there."""
        self._sum = torch.tensor(state_dict["sum"])
        self._count, self.latest = state_dict["count"], state_dict["latest"]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Starts the clock; at the very start of a run its options are shown."""
        self._mark = (time.perf_counter(), trainer.global_step)
        if isinstance(trainer.logger, EventLogger) and not trainer.global_step:
            trainer.logger.begin(self.options, self.charts)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Adds up the loss; logs a point when one is due."""
        loss = outputs["loss"].detach()
        self._sum = loss.float() if self._sum is None else self._sum.to(loss.device) + loss
        self._count += 1
        step = trainer.global_step
        if not self._due(trainer, step, batch_idx + 1):
            return
        self.latest = float(self._sum) / self._count
        self._sum, self._count = None, 0
        if trainer.logger is not None:
            trainer.logger.log_metrics(self._point(trainer, step), step)

    def _due(self, trainer: lightning.Trainer, step: int, batches: int) -> bool:
        """On the cadence, and wherever an evaluation follows."""
        if batches % trainer.accumulate_grad_batches:
            return False
        evaluated = batches % int(trainer.val_check_interval) == 0 or step == trainer.max_steps
        return evaluated or step % self.every == 0

    def _point(self, trainer: lightning.Trainer, step: int) -> dict[str, float]:
        now = time.perf_counter()
        since, first = self._mark
        self._mark = (now, step)
        problems = (step - first) * trainer.accumulate_grad_batches * self.batch_size
        return {
            "loss/train": self.latest,
            "optim/lr": trainer.optimizers[0].param_groups[0]["lr"],
            "perf/examples_per_s": problems / max(now - since, 1e-9),
        }

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Evaluation does not count as training time."""
        self._mark = (time.perf_counter(), trainer.global_step)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """The run is complete."""
        if isinstance(trainer.logger, EventLogger):
            trainer.logger.complete()
