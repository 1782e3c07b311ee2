"""Ends a run early: once val is solved, three evaluations in a row, as the event t_gen has it.

A study of how many steps it takes need not pay for those after.  What the run would have done then, such as unlearn the
rule again, is not seen.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as lightning

from factorexe.callbacks.base import Instrument
from factorexe.callbacks.generalization import GeneralizationMonitor
from factorexe.metrics import CONSECUTIVE


class EndWhenSolved(Instrument):
    """Ends training at an evaluation; comes after the monitor.

    Args:
        rate: of val, solved.
    """

    def __init__(self, monitor: GeneralizationMonitor, rate: float) -> None:
        self.monitor, self.rate = monitor, rate

    @property
    def reached(self) -> bool:
        """Whether the latest evaluations say so."""
        latest = self.monitor.rows[-CONSECUTIVE:]
        return len(latest) == CONSECUTIVE and all(row.get("solved/val", 0.0) >= self.rate for row in latest)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """A run may have been killed between its last evaluation and its result."""
        trainer.should_stop = trainer.should_stop or self.reached

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """No further batch is begun."""
        trainer.should_stop = trainer.should_stop or self.reached
