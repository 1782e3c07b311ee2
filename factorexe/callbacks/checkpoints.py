"""Save after every evaluation, and stop between two steps when asked to.

A checkpoint is written after the evaluation of its step, so a resumed run never evaluates that step again or
skips it.  A request to stop is honoured before the next batch, when every counter stands between two steps.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as lightning

from factorexe.callbacks.base import Instrument
from factorexe.callbacks.generalization import GeneralizationMonitor
from factorexe.rundir import RunDirectory


class Stop:
    """Asks a run to stop; the command line sets ``requested`` from a signal.

    A run that is ``abandoned`` belongs to another process by now: it stops without writing anything more.
    """

    requested: bool = False
    abandoned: bool = False

    def arm(self) -> None:
        """Called once training is under way, after Lightning has installed its own signal handlers."""


class Stopped(Exception):
    """The run was asked to stop and has saved itself, unless it is abandoned."""

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped at step {step}")
        self.step = step


class Checkpoints(Instrument):
    """Writes ``last`` and ``best``; ``run_id`` marks whose they are."""

    def __init__(self, directory: RunDirectory, monitor: GeneralizationMonitor, run_id: str, stop: Stop) -> None:
        self.directory, self.monitor, self.run_id, self.stop = directory, monitor, run_id, stop
        self._saved: int | None = None  # the step of ``last``

    def state_dict(self) -> dict[str, Any]:
        """Whose checkpoint it is, and of which step."""
        return {"run": self.run_id}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """From here on a request to stop is heard."""
        self._saved = trainer.global_step if trainer.global_step else None
        self.stop.arm()

    def on_train_batch_start(self, trainer: lightning.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Stops here, between two steps, if asked to."""
        if self.stop.requested and batch_idx % trainer.accumulate_grad_batches == 0:
            if trainer.global_step and self._saved != trainer.global_step:
                # the batch at hand is counted as begun but never runs; a restart corrects all counts but this one
                trainer.fit_loop.epoch_loop.batch_progress.total.ready -= 1
                self._refuse_if_abandoned(trainer)
                self.save(trainer, best=False)
            raise Stopped(trainer.global_step)

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Comes before any instrument writes down what was scored."""
        self._refuse_if_abandoned(trainer)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Saves the state that was just scored."""
        self.save(trainer, best=self.monitor.is_best)

    def save(self, trainer: lightning.Trainer, *, best: bool) -> None:
        """Write a checkpoint of this very moment."""
        self.directory.save_checkpoint(trainer.save_checkpoint, best=best)
        self._saved = trainer.global_step

    def _refuse_if_abandoned(self, trainer: lightning.Trainer) -> None:
        if self.stop.abandoned:
            raise Stopped(trainer.global_step)
