"""Several optimizers that look like one: each has parameters of its own, all are stepped together.

Lightning's automatic optimization takes one optimizer.  Here the groups and the state of the members are the very
objects of the whole, so that a schedule which sets ``group["lr"]`` reaches them, and a checkpoint holds everything::

    one = Composite([torch.optim.Muon(matrices), torch.optim.AdamW(vectors)])
    len(one.param_groups) == 2
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.optim import Optimizer


class Composite(Optimizer):
    """``members``, stepped one after the other; no parameter may be in two of them."""

    def __init__(self, members: Sequence[Optimizer]) -> None:
        self.members = list(members)
        super().__init__([group for member in self.members for group in member.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Members look at the groups and the state of the whole."""
        first = 0
        for member in self.members:
            last = first + len(member.param_groups)
            member.param_groups, member.state = self.param_groups[first:last], self.state
            first = last

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """State and groups of all members."""
        super().load_state_dict(state_dict)
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of each, after one call of ``closure``."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for member in self.members:
            member.step()
        return loss
