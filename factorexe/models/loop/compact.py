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
        self.index = torch.arange(len(self.entry), device=entry.device)  # (M,) the tokens that are left
        self.tally = Tally.of(self.entry, soft=loop.others_see == "soft")
        self.halted: list[tuple[Tensor, Tally, int]] = []  # those that have: places, what came of them, steps made

    def walked(self) -> Walked:
        """Until no token is left."""
        for step in range(1, self.total + 1):
            self._advance(step)
            halted = self._settled(step)
            gone = halted.nonzero()[:, 0]
            if len(gone):
                self._leave(gone, step)
                self._keep((~halted).nonzero()[:, 0])
            if not len(self.index):
                self._repeat(step)
                break
        places = torch.cat([where for where, _, _ in self.halted])

        def everywhere(parts: list[Tensor]) -> Tensor:
            """(B, T, ...) from what came of those that halted together."""
            found = torch.cat(parts)
            return torch.empty_like(found).index_copy_(0, places, found).view(*self.shape, *found.shape[1:])

        states = everywhere([tally.output for _, tally, _ in self.halted])[None]
        spent = everywhere([places.new_tensor(step).expand(len(where)) for where, _, step in self.halted])
        price = everywhere([tally.price() for _, tally, _ in self.halted])
        return Walked(states, torch.ones_like(states[..., 0]), spent.to(states.dtype), price)

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
        active, turn = Active(index, self.shape), self.context.turn
        if turn is not None and turn[0].ndim == 4:  # (T, 1, 1, half)
            turn = turn[0].index_select(0, active.column), turn[1].index_select(0, active.column)
        elif turn is not None:
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

    def _leave(self, gone: Tensor, step: int) -> None:
        """The tokens at ``gone`` have halted."""
        where, done = self.index[gone], self.tally.at(gone)
        self.halted.append((where, done, step))
        if self.loop.others_see == "soft" and step < self.total:
            self.loop.group.settle(done.output, step - 1, self._context(where, apart=True))

    def _keep(self, stay: Tensor) -> None:
        """The tokens at ``stay`` go on."""
        self.index = self.index[stay]
        if not len(stay):
            return
        is_output = self.tally.output is self.state.high
        self.state = self.state.each(lambda part: part.index_select(0, stay))
        self.entry = self.entry.index_select(0, stay)
        self.tally = self.tally.at(stay, self.state.high if is_output else None)
        self.gate = None if self.gate is None else self.gate[stay]
        if self.decider is None:
            self.deciders = self.deciders.each(lambda part: part[stay])
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
