"""What both ways through a loop share: who decides, and what of its decision is whose."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from factorexe.models.halting.base import Decision, Look
from factorexe.models.layers import Context
from factorexe.models.loop.parts import Loop, State, Walked


@dataclasses.dataclass
class Deciders:
    """What is known of those that decide: tokens, or rows.  (...) each."""

    limit: Tensor
    kept: Mapping[str, Tensor]
    luck: Tensor | None

    def each(self, change: Callable[[Tensor], Tensor]) -> Deciders:
        """With every tensor changed."""
        kept = {name: change(value) for name, value in self.kept.items()}
        return Deciders(change(self.limit), kept, None if self.luck is None else change(self.luck))


class Walker(abc.ABC):
    """One walk, of tokens (B, T)."""

    def __init__(self, loop: Loop, state: State, entry: Tensor, limit: Tensor, context: Context) -> None:
        self.loop, self.policy, self.context = loop, loop.policy, context
        self.state, self.entry, self.limit = state, entry, limit
        self.total = int(limit.max())
        self.shape = (limit.shape[0], limit.shape[1])
        like = entry[..., 0] if loop.decider is None else entry[:, 0, 0]
        kept = self.policy.begin(like, {name: self._of_rows(value) for name, value in loop.drawn.items()})
        luck = None if loop.luck is None else self.at_decider(loop.luck)
        self.deciders = Deciders(self.at_decider(limit), kept, luck)

    @abc.abstractmethod
    def walked(self) -> Walked:
        """What came of it."""

    def at_decider(self, of_tokens: Tensor) -> Tensor:
        """(B, T, ...) at the position that decides for its row, or as it is."""
        if self.loop.decider is None:
            return of_tokens
        return of_tokens[torch.arange(len(of_tokens), device=of_tokens.device), self.loop.decider]

    def decided(self, step: int, state: Tensor) -> Decision:
        """By those that decide, given their states (..., D)."""
        known = self.deciders
        look = Look(step, state, known.limit, known.kept, known.luck, self.loop.readout, self.loop.real)
        return self.policy.decide(look)

    def _of_rows(self, drawn: Tensor) -> Tensor:
        """What was drawn for rows (B, ...), for those that decide."""
        if self.loop.decider is not None:
            return drawn
        return drawn[:, None].expand(*self.shape, *drawn.shape[1:])


def spread(decision: Decision, change: Callable[[Tensor], Tensor]) -> Decision:
    """The decision of rows, for each of their tokens."""

    def changed(part: Tensor | None) -> Tensor | None:
        return None if part is None else change(part)

    return Decision(
        change(decision.share),
        change(decision.halted),
        decision.kept,
        changed(decision.price),
        changed(decision.take),
        changed(decision.gate),
    )
