"""A row's answer follows what was decided at the end of its prompt, step by step as it was decided there."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from factorexe.models.base import Cache
from factorexe.models.halting.base import Decision, Halting, Look

_NOTE = "decisions"


def decided_in(cache: Cache | None) -> Tensor | None:
    """What the rows in a cache have decided, if they have: (B, N, 6)."""
    return None if cache is None else cache.rows.get(_NOTE)


class Remembered(Halting):
    """Another policy, whose decisions about B rows are kept with the cache."""

    def __init__(self, policy: Halting, rows: int, total: int) -> None:
        super().__init__()
        self.policy = policy
        self.said = torch.zeros((rows, total, 6), dtype=torch.float64)
        self.train(policy.training)

    @property
    def every_state(self) -> bool:
        """As the policy."""
        return self.policy.every_state

    def begin(self, like: Tensor, drawn: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As the policy, and which row it is."""
        self.said = self.said.to(like.device)
        return {**self.policy.begin(like, drawn), "row": torch.arange(len(like), device=like.device)}

    def decide(self, look: Look) -> Decision:
        """As the policy."""
        decision = self.policy.decide(look)
        self.said[look.kept["row"], look.step - 1] = _written(decision)
        return decision._replace(kept={**decision.kept, "row": look.kept["row"]})

    def keep(self, cache: Cache) -> None:
        """What was decided is in the cache from now on."""
        cache.rows[_NOTE] = self.said


class Told(Halting):
    """Decides as rows have decided before."""

    def __init__(self, policy: Halting, told: Tensor) -> None:
        super().__init__()
        self.policy, self.told = policy, told
        self.train(policy.training)

    @property
    def every_state(self) -> bool:
        """As the policy."""
        return self.policy.every_state

    def begin(self, like: Tensor, drawn: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Which row it is."""
        return {"row": torch.arange(len(like), device=like.device)}

    def decide(self, look: Look) -> Decision:
        """Read from what was told."""
        row = look.kept["row"]
        share, halted, take, takes, gate, gates = self.told[row, look.step - 1].unbind(dim=1)
        return Decision(
            share.to(look.state.dtype),
            halted > 0,
            {"row": row},
            take=take > 0 if bool(takes.any()) else None,
            gate=gate.to(look.state.dtype) if bool(gates.any()) else None,
        )


def _written(decision: Decision) -> Tensor:
    """(R, 6): share, halted, take and whether there is one, gate and whether there is one."""
    share = decision.share.detach().double()
    none, one = torch.zeros_like(share), torch.ones_like(share)
    take = (none, none) if decision.take is None else (decision.take.double(), one)
    gate = (none, none) if decision.gate is None else (decision.gate.detach().double(), one)
    return torch.stack([share, decision.halted.double(), *take, *gate], dim=1)
