"""Every token makes every step: no halting.  The state of the last step is the output."""

from __future__ import annotations

import torch

from factorexe.models.halting.base import Decision, Halting, HaltingConfig, Look


class FixedConfig(HaltingConfig):
    """Every token makes every step."""

    def build(self, width: int, steps: int) -> Fixed:
        """The policy."""
        return Fixed()


class Fixed(Halting):
    """Takes each state as it comes."""

    def decide(self, look: Look) -> Decision:
        """Nobody stops before the limit."""
        return latest(look)


def latest(look: Look) -> Decision:
    """The present state is the output, everywhere; nobody stops before the limit."""
    everywhere = torch.ones_like(look.limit, dtype=torch.bool)
    return Decision(everywhere.to(look.state.dtype), look.limit <= look.step, look.kept, take=everywhere)
