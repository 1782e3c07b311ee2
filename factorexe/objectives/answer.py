"""Train the answer alone: the model sees no intermediate step and has to find its own.

1 2 * 3 4 <answer> 8 0 4 0 <end>      supervised: 8 0 4 0 <end>
"""

from __future__ import annotations

from factorexe.objectives.base import Contents, ObjectiveConfig


class AnswerConfig(ObjectiveConfig):
    """Supervise the answer; no chain."""

    def contents(self) -> Contents:
        """Prompt and answer."""
        return Contents(chain=False)
