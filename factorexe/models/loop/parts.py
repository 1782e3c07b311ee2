"""What a loop is made of: the state it carries, the step it repeats, the policy that ends it, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from factorexe.models.halting.base import Halting
from factorexe.models.layers import Context


class State(NamedTuple):
    """What a loop carries from step to step, of tokens (...)."""

    high: Tensor  # (..., D) what policies look at and what becomes output
    low: Tensor | None = None  # (..., D) the second state, where there is one

    def each(self, change: Callable[[Tensor], Tensor]) -> State:
        """The state with both parts changed."""
        return State(change(self.high), None if self.low is None else change(self.low))

    def where(self, going: Tensor, other: State) -> State:
        """This state where ``going`` (...), elsewhere the other."""
        wide = going.unsqueeze(-1)
        low = None if self.low is None or other.low is None else torch.where(wide, self.low, other.low)
        return State(torch.where(wide, self.high, other.high), low)

    def gated(self, before: State, gate: Tensor | None) -> State:
        """How far a step from ``before`` to this state goes: ``gate`` (...) of the way, or all of it."""
        if gate is None:
            return self
        by = gate.unsqueeze(-1).to(self.high.dtype)
        return self._replace(high=before.high + by * (self.high - before.high))


class Group(Protocol):
    """One step of a loop, for tokens (...) in any arrangement."""

    def __call__(self, state: State, entry: Tensor, step: int, limit: Tensor, context: Context) -> State:
        """The state after step ``step``, counted from 0, of tokens whose embedded input is ``entry`` (..., D)."""

    def settle(self, output: Tensor, step: int, context: Context) -> None:
        """The tokens of ``context.active`` have halted after ``step`` with ``output`` (M, D)."""


class Loop(NamedTuple):
    """One run through a loop."""

    group: Group
    policy: Halting
    readout: Callable[[Tensor], Tensor]
    others_see: str
    decider: Tensor | None  # (B,) the position that decides for its row; None: every token for itself
    luck: Tensor | None  # (B, T)
    drawn: Mapping[str, Tensor]  # what the policy drew, (B, ...) each
    quiet: int = 0  # steps at the beginning that pass no gradient
    real: Tensor | None = None  # (B, T) False at padding, in training


class Walked(NamedTuple):
    """What came of it.  S states, B examples, T positions."""

    states: Tensor  # (S, B, T, D)
    weight: Tensor  # (S, B, T)
    steps: Tensor  # (B, T) made
    penalty: Tensor  # (B, T)
