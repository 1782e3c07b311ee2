"""What is known of a run's budgets, for tables, figures and files.

    model.steps       2      3      4      5      6     trained with 4
    solved of val   0.007  0.383  0.760  0.561  0.224    overthinking 0.536: the best minus that of the largest budget
    compute          29.1   45.1   60.1   75.0   89.3    block applications per problem

No torch here: figures read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Rate(NamedTuple):
    """Solved problems of one difficulty."""

    rate: float
    interval: tuple[float, float]  # 95 %
    n: int


class Scores(NamedTuple):
    """What one pass says of one split."""

    solved: float  # mean over difficulties
    interval: tuple[float, float]  # 95 %
    n: int  # problems
    by_difficulty: Mapping[int, Rate]
    compute: float  # block applications per problem, decoding included
    multiply_adds: float  # per problem, of decoding


class Point(NamedTuple):
    """One position of a dial."""

    value: Any
    scores: Mapping[str, Scores]  # split -> scores; without splits that hold no problem
    trained: bool = False  # the dial stands as in training, or as the changed options of the budget have it
    refused: str | None = None  # why the model cannot be used so


class Curve(NamedTuple):
    """One dial in several positions, from the smallest budget to the largest; positions that are refused come last."""

    dial: str  # an option path; "" for a model without dials
    points: tuple[Point, ...]

    def on(self, split: str) -> list[Point]:
        """The points that were scored on a split."""
        return [point for point in self.points if split in point.scores]

    def overthinking(self, split: str) -> float | None:
        """Solved with the best budget minus solved with the largest; None where nothing was scored."""
        solved = [point.scores[split].solved for point in self.on(split)]
        return max(solved) - solved[-1] if solved else None


class Budget(NamedTuple):
    """The budget curves of one run."""

    path: Path
    checkpoint: str
    step: int  # of training, when the weights were saved
    splits: Sequence[str]  # that hold problems
    changed: Mapping[str, Any]  # options that differ from training in every pass
    curves: Sequence[Curve]
    running: Point | None = None  # the trained budget with every token running; None: that is how it is deployed

    @property
    def unturned(self) -> str:
        """What the budget is called with every dial left alone."""
        return "changed" if any(path.startswith("model.") for path in self.changed) else "trained"


def as_json(budget: Budget) -> dict[str, Any]:
    """The record that ``factorexe budget --json`` prints."""
    return {
        "run": str(budget.path),
        "checkpoint": budget.checkpoint,
        "step": budget.step,
        "changed": dict(budget.changed),
        "curves": [
            {
                "dial": curve.dial or None,
                "points": [_point(point) for point in curve.points],
                "overthinking": {split: curve.overthinking(split) for split in budget.splits},
            }
            for curve in budget.curves
        ],
        "every_token_running": budget.running and _point(budget.running),
    }


def _point(point: Point) -> dict[str, Any]:
    refused = {} if point.refused is None else {"refused": point.refused}
    return {"value": point.value, "trained": point.trained, **refused, "splits": scores_as_json(point.scores)}


def scores_as_json(scores: Mapping[str, Scores]) -> dict[str, Any]:
    """Scores by split; ``scores_from_json`` reads them back."""
    return {
        split: {
            "solved": {"rate": one.solved, "n": one.n, "interval": list(one.interval)},
            "by_difficulty": {str(level): rate._asdict() for level, rate in one.by_difficulty.items()},
            "compute_per_problem": one.compute,
            "multiply_adds_per_problem": one.multiply_adds,
        }
        for split, one in scores.items()
    }


def scores_from_json(content: Mapping[str, Any]) -> dict[str, Scores]:
    """Scores by split.

    Raises:
        LookupError, TypeError, ValueError: it is something else.
    """
    return {split: _scores(one) for split, one in content.items()}


def _scores(one: Mapping[str, Any]) -> Scores:
    solved = one["solved"]
    levels = {
        int(level): Rate(rate["rate"], _interval(rate["interval"]), rate["n"])
        for level, rate in one["by_difficulty"].items()
    }
    return Scores(
        solved["rate"],
        _interval(solved["interval"]),
        solved["n"],
        levels,
        one["compute_per_problem"],
        one["multiply_adds_per_problem"],
    )


def _interval(bounds: Sequence[float]) -> tuple[float, float]:
    low, high = bounds
    return low, high
