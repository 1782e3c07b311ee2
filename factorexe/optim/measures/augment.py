"""The gradient of the batch beside that of the same problems written otherwise: what both want is about the problem.

12 x 34 = 408 is 34 x 12 = 408.  What a task offers are label-preserving changes, ``Task.variants``.  The problems as
they are make one part, the variants another, so an aggregator can ask for what they agree on; ``mean`` makes it data
augmentation.  Twice the passes.
"""

from __future__ import annotations

from typing import Annotated, Any

from factorexe.choice import Choice
from factorexe.optim.measure import Measure, MeasureConfig, Pending, Several, Step


class Augment(Measure):
    """What ``inner`` asks for, of the batch and of its variants."""

    def __init__(self, inner: Measure) -> None:
        self.inner = inner
        self.guides, self.gradients, self.passes = inner.guides, 2 * inner.gradients, 2 * inner.passes

    def begin(self, step: Step, batch: Any) -> Pending:
        """The losses of both."""
        return Several([self.inner.begin(step, batch), self.inner.begin(step, step.variants(batch))])


class AugmentConfig(MeasureConfig):
    """The gradients of the batch and of the same problems written otherwise."""

    inner: Annotated[Any, Choice("measures", "plain")]
    """What each of the two is asked for."""

    def build(self) -> Augment:
        """The measure."""
        return Augment(self.inner.build())

    def check(self, step: Step, batch: Any) -> None:
        """The task offers variants."""
        step.variants(batch)
        self.inner.check(step, batch)
