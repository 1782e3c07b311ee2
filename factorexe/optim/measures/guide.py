"""Beside the gradient of the batch that of *guide* problems: held out, and never scored.

A rule that needs one (``guide-project``, ``guide-weight``, ``one-step``) can then ask of every part whether it would
help where nothing was trained on::

    --optim.measure guide --optim.measure.inner microbatch --optim.aggregate guide-weight

Costs one more forward and backward pass of as many problems.  What is learned about guide problems is little, since
they only choose between gradients of others, but it is not nothing; so they are no part of val or ood.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from factorexe.choice import Choice
from factorexe.optim.measure import Measure, MeasureConfig, One, Part, Pending, Step


class Guide(Measure):
    """What ``inner`` asks for, and the gradient of guide problems.

    Args:
        rows: guide problems; as many as there are in the batch if None.
    """

    def __init__(self, rows: int | None, inner: Measure) -> None:
        self.rows, self.inner = rows, inner
        self.guides, self.gradients, self.passes = True, inner.gradients, inner.passes + 1

    def begin(self, step: Step, batch: Any) -> Pending:
        """The losses of the batch; that of guide problems is computed in the backward pass."""
        return Guided(self.inner.begin(step, batch), step, self.rows)


class Guided(Pending):
    """Parts, and a gradient to compare them with."""

    def __init__(self, pending: Pending, step: Step, rows: int | None) -> None:
        self.pending, self.step, self.rows = pending, step, rows
        self.losses = pending.losses

    def parts(self) -> Iterator[Part]:
        """Those of the batch."""
        return self.pending.parts()

    def guide(self) -> Tensor | None:
        """(P,) of the mean loss of guide problems."""
        with torch.enable_grad():
            loss = self.step.loss(self.step.guide(self.rows))
        (part,) = One(loss, self.step.flat).parts()
        return part.gradient


class GuideConfig(MeasureConfig):
    """The gradient of held-out problems beside that of the batch."""

    rows: int | None = Field(None, ge=1)
    """Held-out problems; as many as there are in the batch if not given."""
    inner: Annotated[Any, Choice("measures", "plain")]
    """What the batch is asked for."""

    def build(self) -> Guide:
        """The measure."""
        return Guide(self.rows, self.inner.build())

    def check(self, step: Step, batch: Any) -> None:
        """There are such problems."""
        step.guide(1)
        self.inner.check(step, batch)
