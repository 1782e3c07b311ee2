"""The gradient of the mean loss, as ever: one part, the whole batch."""

from __future__ import annotations

from typing import Any

from factorexe.optim.measure import Measure, MeasureConfig, One, Pending, Step


class Plain(Measure):
    """One gradient."""

    def begin(self, step: Step, batch: Any) -> Pending:
        """One loss."""
        return One(step.loss(batch), step.flat)


class PlainConfig(MeasureConfig):
    """The gradient of the mean loss."""

    def build(self) -> Plain:
        """The measure."""
        return Plain()
