"""All tokens take every step; what halted ones would have done changes nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from factorexe.models.halting.base import Decision
from factorexe.models.layers import Context
from factorexe.models.loop.parts import Loop, State, Walked
from factorexe.models.loop.tally import Tally
from factorexe.models.loop.walker import Walker, spread


class Masked(Walker):
    """For training, for policies whose output keeps every state, and where settled tokens go on running."""

    def __init__(self, loop: Loop, state: State, entry: Tensor, limit: Tensor, context: Context) -> None:
        super().__init__(loop, state, entry, limit, context)
        self.going = torch.ones(self.shape, dtype=torch.bool, device=entry.device)
        self.running = loop.others_see == "running"
        self.tally = Tally.of(entry, soft=loop.others_see == "soft")
        self.gate: Tensor | None = None
        self.spent = entry.new_zeros(self.shape)
        self.states: list[Tensor] = []
        self.shares: list[Tensor] = []

    def walked(self) -> Walked:
        """Every step, halted or not."""
        for step in range(1, self.total + 1):
            self._advance(step)
            self._settle(self._spread(self.decided(step, self.at_decider(self.state.high))), step)
        if self.policy.every_state:
            weight = torch.stack(self.shares).to(self.entry.dtype)
            return Walked(torch.stack(self.states), weight, self.spent, self.tally.price())
        output = self.tally.output[None]
        return Walked(output, torch.ones_like(output[..., 0]), self.spent, self.tally.price())

    def _advance(self, step: int) -> None:
        """One step; the state of halted tokens stays."""
        context, soft = self.context, self.loop.others_see == "soft"
        if soft:  # halted tokens show their output anew in every step
            context = context._replace(soft=self.tally.soft(self.going))
        elif not self.running:
            context = context._replace(going=self.going)
        with torch.set_grad_enabled(torch.is_grad_enabled() and step > self.loop.quiet):
            made = self.loop.group(self.state, self.entry, step - 1, self.limit, context)
            made = made.gated(self.state, self.gate)
        self.state = made if self.running else made.where(self.going, self.state)

    def _spread(self, decision: Decision) -> Decision:
        """The decision of every token; what deciders that are going keep of it is kept."""
        now, before = self.at_decider(self.going), self.deciders.kept
        self.deciders.kept = {
            name: torch.where(_as_wide(now, value), value, before.get(name, value))
            for name, value in decision.kept.items()
        }
        if self.loop.decider is None:
            return decision
        return spread(decision, lambda part: part[:, None].expand(self.shape))

    def _settle(self, decision: Decision, step: int) -> None:
        """Outputs, prices, and who goes on."""
        self.tally.add(decision, self.state.high, self.going)
        if self.policy.every_state:
            self.states.append(self.state.high)
            self.shares.append(decision.share * self.going)
        self.gate = decision.gate
        self.spent = self.spent + (self.limit >= step if self.running else self.going)
        self.going = self.going & ~decision.halted
        self.tally.halt(self.going)
        if self.policy.training and self.policy.detaches:
            self.state = self.state.each(Tensor.detach)


def _as_wide(mask: Tensor, value: Tensor) -> Tensor:
    return mask.view(*mask.shape, *(1 for _ in range(value.ndim - mask.ndim)))
