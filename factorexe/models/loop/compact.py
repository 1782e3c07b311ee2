"""Halted tokens leave the batch: M tokens are left of B x T, in a row of their own."""

from __future__ import annotations

import torch
from torch import Tensor

from factorexe.models.active import Active
from factorexe.models.halting.base import Decision
from factorexe.models.layers import Context
from factorexe.models.loop.parts import Loop, State, Walked
from factorexe.models.loop.tally import Tally
from factorexe.models.loop.walker import Walker, spread
from factorexe.models.room import Room


class Compact(Walker):
    """For evaluation: nothing passes a gradient."""

    def __init__(self, loop: Loop, state: State, entry: Tensor, limit: Tensor, context: Context) -> None:
        super().__init__(loop, state, entry, limit, context)
        self.decider = loop.decider
        if self.decider is None:
            self.deciders = self.deciders.each(lambda part: part.flatten(0, 1))
        self.state, self.entry = state.each(lambda part: part.flatten(0, 1)), entry.flatten(0, 1)
        self.limit = limit.flatten() if self.decider is not None else self.deciders.limit
        self.gate: Tensor | None = None
        self.room = Room()  # for this walk: one kept with the cache was slower
        self.index = torch.arange(len(self.entry), device=entry.device)  # (M,) the tokens that are left
        self.tally = Tally.of(self.entry, soft=loop.others_see == "soft")
        # of every token: what came of it, or would if it halted now
        self.output, self.price = self.tally.output, self.tally.penalty
        self.spent = torch.zeros(len(self.entry), dtype=torch.long, device=entry.device)

    def walked(self) -> Walked:
        """Until no token is left."""
        for step in range(1, self.total + 1):
            self._advance(step)
            halted = self._settled(step)
            self._note(step)
            stay = (~halted).nonzero()[:, 0]
            if len(stay) < len(self.index):
                if self.loop.others_see == "soft" and step < self.total:
                    self._show(halted.nonzero()[:, 0], step)
                self._keep(stay)
            if not len(self.index):
                self._repeat(step)
                break
        states = self.output.view(*self.shape, -1)[None]
        price = Tally(states[0], None).price() if self.price is None else self.price.view(self.shape)
        return Walked(states, torch.ones_like(states[..., 0]), self.spent.view(self.shape).to(states.dtype), price)

    def _advance(self, step: int) -> None:
        """One step of the tokens that are left."""
        context, before = self._context(self.index), self.state
        if self.loop.others_see == "soft":
            context = context._replace(soft=self.tally.soft())
        if context.active is not None:
            made = self.loop.group(before, self.entry, step - 1, self.limit, context)
        else:  # all are, and stand in rows
            soft = context.soft
            if soft is not None:
                context = context._replace(soft=(self._in_rows(soft[0]), self._in_rows(soft[1])))
            limit = self.limit.view(self.shape)
            made = self.loop.group(before.each(self._in_rows), self._in_rows(self.entry), step - 1, limit, context)
            made = made.each(lambda part: part.flatten(0, 1))
        self.state = made.gated(before, self.gate)

    def _in_rows(self, tokens: Tensor) -> Tensor:
        return tokens.view(*self.shape, -1)

    def _context(self, index: Tensor, *, apart: bool = False) -> Context:
        """What the tokens at ``index`` share; as they stand in rows where they are all, unless ``apart``."""
        if len(index) == self.shape[0] * self.shape[1] and not apart:
            return self.context
        active, turn = Active(index, self.shape, self.room), self.context.turn
        if turn is None or (turn[0].ndim == 4 and self.shape[1] == 1):
            pass  # all stand at one position
        elif turn[0].ndim == 4:  # (T, 1, 1, half)
            turn = turn[0].index_select(0, active.column), turn[1].index_select(0, active.column)
        else:
            turn = turn[0].flatten(0, 1).index_select(0, index), turn[1].flatten(0, 1).index_select(0, index)
        return self.context._replace(active=active, turn=turn)

    def _settled(self, step: int) -> Tensor:
        """Outputs and prices; who has halted (M,)."""
        seen = self.state.high
        if self.decider is not None:
            rows = seen.view(len(self.decider), self.shape[1], -1)
            seen = rows[torch.arange(len(rows), device=rows.device), self.decider]
        decision = self.decided(step, seen)
        self.deciders.kept = decision.kept
        if self.decider is not None:
            decision = self._spread(decision)
        self.tally.add(decision, self.state.high)
        self.gate = decision.gate
        return decision.halted

    def _spread(self, decision: Decision) -> Decision:
        """The decisions of rows for each of their tokens."""
        return spread(decision, lambda part: part.repeat_interleave(self.shape[1]))

    def _note(self, step: int) -> None:
        """What would come of the tokens that are left, should they halt now."""
        output, price = self.tally.output, self.tally.penalty
        if len(self.index) == len(self.spent):
            self.output, self.price = output, price
            self.spent.fill_(step)
            return
        self.output.index_copy_(0, self.index, output)
        self.spent.index_fill_(0, self.index, step)
        if price is not None:
            if self.price is None:
                self.price = torch.zeros(len(self.spent), dtype=price.dtype, device=price.device)
            self.price.index_copy_(0, self.index, price)

    def _show(self, gone: Tensor, step: int) -> None:
        """The tokens at ``gone`` have halted: others see their output from now on."""
        output = self.tally.output.index_select(0, gone)
        where = self.index.index_select(0, gone)
        self.loop.group.settle(output, step - 1, self._context(where, apart=True))

    def _keep(self, stay: Tensor) -> None:
        """The tokens at ``stay`` go on."""
        self.index = self.index.index_select(0, stay)
        if not len(stay):
            return
        is_output = self.tally.output is self.state.high
        self.state = self.state.each(lambda part: part.index_select(0, stay))
        self.entry = self.entry.index_select(0, stay)
        self.tally = self.tally.at(stay, self.state.high if is_output else None)
        self.gate = None if self.gate is None else self.gate.index_select(0, stay)
        if self.decider is None:
            self.deciders = self.deciders.each(lambda part: part.index_select(0, stay))
            self.limit = self.deciders.limit
        else:
            rows = stay[:: self.shape[1]] // self.shape[1]
            self.decider, self.limit = self.decider[rows], self.limit[stay]
            self.deciders = self.deciders.each(lambda part: part[rows])

    def _repeat(self, step: int) -> None:
        """Later steps, which nobody makes, are filled in the cache with what is there."""
        if self.context.cache is not None and self.context.memory is not None:
            for later in range(step, self.total):
                self.context.memory.repeat(later, self.context)
