"""What is known of several runs' budgets, and whether the runs are equal in what they cost.

    found.groups             ((plain,), (loop,))      25,120 and 50,176 parameters are not within 10 %
    found.spread(found.runs) "25,120 to 50,176"

Runs are put in groups by size: whatever is within 10 % of the smallest of its group belongs to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from factorexe.budgets.record import Budget, as_json

At = Literal["parameters", "multiply-adds"]
_EQUAL = 1.1


class Compared(NamedTuple):
    """One run."""

    name: str  # the last part of its path, or all of it where several end alike
    label: str  # options that tell it from the others
    parameters: int
    train_multiply_adds: int  # of all its training
    budget: Budget


class Comparison(NamedTuple):
    """Runs of one task."""

    at: At  # what they are meant to be equal in
    runs: tuple[Compared, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits on which any run was scored."""
        return tuple(dict.fromkeys(split for run in self.runs for split in run.budget.splits))

    @property
    def in_words(self) -> str:
        """What they are meant to be equal in."""
        return "parameters" if self.at == "parameters" else "multiply-adds in training"

    def size(self, run: Compared) -> int:
        """That of one run."""
        return run.parameters if self.at == "parameters" else run.train_multiply_adds

    @property
    def groups(self) -> tuple[tuple[Compared, ...], ...]:
        """The runs that are within 10 % of one another, the smallest first."""
        found: list[list[Compared]] = []
        for run in sorted(self.runs, key=self.size):
            if found and self.size(run) <= _EQUAL * self.size(found[-1][0]):
                found[-1].append(run)
            else:
                found.append([run])
        return tuple(map(tuple, found))

    def spread(self, runs: Sequence[Compared]) -> str:
        """From the smallest to the largest of some runs."""
        low, high = (f"{size:,}" if size < 1e7 else f"{size:.3g}" for size in _ends([self.size(run) for run in runs]))
        return low if low == high else f"{low} to {high}"


def _ends(sizes: Sequence[int]) -> tuple[int, int]:
    return min(sizes), max(sizes)


def comparison_as_json(comparison: Comparison) -> dict[str, Any]:
    """The record that ``factorexe compare --json`` prints."""
    return {
        "at": comparison.at,
        "equal": [[str(run.budget.path) for run in group] for group in comparison.groups],
        "runs": [
            {
                "run": str(run.budget.path),
                "label": run.label,
                "parameters": run.parameters,
                "train_multiply_adds": run.train_multiply_adds,
                "budget": as_json(run.budget),
            }
            for run in comparison.runs
        ],
    }
