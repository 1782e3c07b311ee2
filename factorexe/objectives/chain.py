"""Train the chain of intermediate steps, then the answer; at test time the model writes both.

1 2 * 3 4 <chain> + 8 4 0 + 6 3 0 > 8 0 4 0 <answer> 8 0 4 0 <end>      supervised: all after <chain>

``--objective.keep_steps k`` keeps every k-th step: the model has to make k steps at once, inside.
"""

from __future__ import annotations

from pydantic import Field

from factorexe.objectives.base import Contents, ObjectiveConfig


class ChainConfig(ObjectiveConfig):
    """Supervise the chain of intermediate steps and the answer."""

    keep_steps: int = Field(1, ge=1)
    """Keep every k-th step of the chain."""

    def contents(self) -> Contents:
        """Prompt, chain and answer."""
        return Contents(chain=True, keep_steps=self.keep_steps)
