"""The training curve, and what TensorBoard needs once per run.

Training numbers are logged on a cadence, not every step: ``loss/train`` is the mean over the steps since the
last point.  At the start one custom-scalars layout puts the splits on the same chart, and the run's options go
to the HParams tab, in the same event file and without made-up points.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard import summary

from factorexe.callbacks.base import Instrument

_SPLITS = "(train|seen|val|ood)"
LAYOUT = {
    "generalization": {
        "solved": ["Multiline", [f"solved/{_SPLITS}"]],
        "loss": ["Multiline", [f"loss/{_SPLITS}"]],
        "token accuracy": ["Multiline", [f"token_accuracy/{_SPLITS}"]],
        "gap in solved": ["Multiline", ["gap/solved"]],
        "gap in loss": ["Multiline", ["gap/loss"]],
    }
}
_RESULTS = ("solved/seen", "solved/val", "solved/ood", "loss/val")


class EventLogger(TensorBoardLogger):
    """TensorBoard events straight in the run's directory, and no other file."""

    def __init__(self, directory: Any, purge_step: int) -> None:
        super().__init__(directory, name="", version="", default_hp_metric=False, purge_step=purge_step)

    def save(self) -> None:
        """Events are flushed as they come; options stand in config.yaml."""
        self.experiment.flush()


class TrainingCurve(Instrument):
    """Logs loss, learning rate and speed every ``every`` optimizer steps.

    Args:
        options: what the HParams tab shows.
        batch_size: problems per micro-batch.
    """

    def __init__(self, every: int, options: Mapping[str, Any], batch_size: int) -> None:
        self.every, self.options, self.batch_size = every, options, batch_size
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
        """Layout and options, at the very start of a run."""
        self._mark = (time.perf_counter(), trainer.global_step)
        if not isinstance(trainer.logger, EventLogger) or trainer.global_step:
            return
        writer = trainer.logger.experiment
        writer.add_custom_scalars(LAYOUT)
        experiment, start, _ = summary.hparams(dict(self.options), dict.fromkeys(_RESULTS, 0.0))  # type: ignore[no-untyped-call]
        writer.file_writer.add_summary(experiment)
        writer.file_writer.add_summary(start)

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
        """Tells the HParams tab that the run is complete."""
        if isinstance(trainer.logger, EventLogger):
            end = summary.hparams({}, {})[2]  # type: ignore[no-untyped-call]
            trainer.logger.experiment.file_writer.add_summary(end)
