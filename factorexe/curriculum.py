"""Which difficulties training draws from as it goes on: all of them, or more and more.

A curriculum brings difficulties into play from the easiest up, and none ever leaves; those in play are drawn by
their weights (``data.mixture``).  With difficulties 1 to 5 and 100 steps, ``linear`` begins with 1 alone and adds
the next one at step 25, 50, 75 and 100::

    >>> LinearConfig(steps=100).build([1, 2, 3, 4, 5]).stage(60)
    Stage(hardest=3, since=50)

``adaptive`` adds the next one where train problems of the hardest are solved often enough; what it has decided so
far is its state (such schedules are compared by Zaremba & Sutskever 2014, arXiv:1410.4615).
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from pydantic import Field

from factorexe.choice import Options


class Stage(NamedTuple):
    """What is in play at a training step."""

    hardest: int  # difficulty
    since: int  # the first step with it


class Curriculum:
    """Difficulties in the order in which they come into play.

    Args:
        levels: difficulties, ascending.
        begins: the first training step of each, ascending; of those that are decided.
    """

    def __init__(self, levels: Sequence[int], begins: Sequence[int]) -> None:
        self.levels, self.begins = list(levels), list(begins)

    def stage(self, step: int) -> Stage:
        """What is in play at a training step, counted from 0."""
        last = bisect.bisect_right(self.begins, step) - 1
        return Stage(self.levels[last], self.begins[last])

    def entry(self, level: int) -> int:
        """The hardest difficulty of the stage in which ``level`` comes into play."""
        place = self.levels.index(level)
        return self.stage(self.begins[place]).hardest if place < len(self.begins) else level

    def learned(self, step: int, rates: Mapping[int, float]) -> None:
        """Told after an evaluation: training steps so far, solved rate of train problems by difficulty."""

    def state_dict(self) -> dict[str, Any]:
        """What was decided in training; empty where nothing is."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from there."""


class Adaptive(Curriculum):
    """The next difficulty comes into play once the hardest is solved at ``threshold``.

    The batch of the step after an evaluation exists before that evaluation (Lightning fetches one ahead), so what
    is decided there holds from one step later, in a resumed run too.
    """

    def __init__(self, levels: Sequence[int], begins: Sequence[int], threshold: float) -> None:
        super().__init__(levels, begins)
        self.threshold = threshold

    def learned(self, step: int, rates: Mapping[int, float]) -> None:
        """One difficulty more, if the hardest is solved often enough and none is about to come."""
        waits = self.begins[-1] > step
        if waits or len(self.begins) == len(self.levels):
            return
        if rates.get(self.stage(step).hardest, 0.0) >= self.threshold:
            self.begins.append(step + 1)

    def state_dict(self) -> dict[str, Any]:
        """The first step of every difficulty so far."""
        return {"begins": list(self.begins)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from there."""
        self.begins = list(state["begins"])


class CurriculumConfig(Options):
    """Options of a curriculum; ``build`` makes it for a task's train difficulties.

    Class attributes:
        adapts: whether evaluations decide; batches are then made in the training process.
    """

    api_version: ClassVar[int] = 1
    adapts: ClassVar[bool] = False

    def settled(self, max_steps: int) -> CurriculumConfig:
        """These options with what depends on the length of the run filled in."""
        return self

    def build(self, levels: Sequence[int]) -> Curriculum | None:
        """The curriculum of these difficulties, ascending; None where all are in play throughout.

        Raises:
            ValueError: there can be none; says why.
        """
        raise NotImplementedError


class UniformConfig(CurriculumConfig):
    """Every difficulty from the first step on."""

    def build(self, levels: Sequence[int]) -> Curriculum | None:
        """Nothing: training draws from all difficulties."""
        return None


class LinearConfig(CurriculumConfig):
    """The hardest difficulty rises step by step, on a fixed schedule."""

    start: int | None = None
    """Hardest difficulty at the first step; the easiest one if not given."""
    steps: int | None = Field(None, ge=1)
    """Training step at which all difficulties are in play; half of the run's first `max_steps` if not given."""

    def settled(self, max_steps: int) -> CurriculumConfig:
        """With ``steps``."""
        return self if self.steps is not None else self.model_copy(update={"steps": max(1, max_steps // 2)})

    def build(self, levels: Sequence[int]) -> Curriculum:
        """Equal distances between difficulties, the hardest at ``steps``."""
        if self.steps is None:
            raise ValueError("expected steps, at which all difficulties are in play (got None)")
        begins = _at_start(levels, self.start)
        rises = len(levels) - len(begins)
        later = [-(-number * self.steps // rises) for number in range(1, rises + 1)]  # rounded up
        return Curriculum(levels, begins + later)


class AdaptiveConfig(CurriculumConfig):
    """The hardest difficulty rises when it is solved."""

    adapts: ClassVar[bool] = True

    start: int | None = None
    """Hardest difficulty at the first step; the easiest one if not given."""
    threshold: float = Field(0.9, gt=0, le=1)
    """Solved rate of train problems of the hardest difficulty at which the next one comes into play."""

    def build(self, levels: Sequence[int]) -> Adaptive:
        """Only the start is decided."""
        return Adaptive(levels, _at_start(levels, self.start), self.threshold)


def _at_start(levels: Sequence[int], start: int | None) -> list[int]:
    """Step 0 for each difficulty that is in play from the first step on."""
    if len(levels) < 2:
        raise ValueError(
            f"expected a task with several difficulties in training (got {len(levels)});"
            " widen its range, or use --data.curriculum uniform"
        )
    if start is not None and start not in levels[:-1]:
        raise ValueError(
            f"start: expected one of the difficulties {', '.join(map(str, levels[:-1]))}, so that {levels[-1]} can be"
            f" reached (got {start})"
        )
    return [0] * (1 + (levels.index(start) if start is not None else 0))
