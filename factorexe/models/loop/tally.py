"""A token's output as it is built up: shares of states, or the state that was taken last, and the price so far."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from factorexe.models.halting.base import Decision


@dataclasses.dataclass
class Tally:
    """Of tokens (...).  What nobody asks for is not kept: most loops need neither weights nor prices."""

    output: Tensor  # (..., D)
    left: Tensor | None  # (...) weight that no state has got yet; 1 until it halts, of a token that takes states
    penalty: Tensor | None = None  # (...) in single precision at least; None: nothing had a price
    takes: bool = False

    @classmethod
    def of(cls, entry: Tensor, *, soft: bool) -> Tally:
        """Nothing yet, of tokens with embedded input ``entry`` (..., D); with weights left if others see ``soft``."""
        return cls(torch.zeros_like(entry), entry.new_ones(entry.shape[:-1]) if soft else None)

    def add(self, decision: Decision, state: Tensor, going: Tensor | None = None) -> None:
        """What was decided of ``state`` (..., D), for tokens that are ``going`` (...); None: all are."""
        if decision.take is None:
            share = (decision.share if going is None else decision.share * going).to(state.dtype)
            self.output = self.output + share.unsqueeze(-1) * state
            self.left = None if self.left is None else self.left - share
        else:
            take = decision.take if going is None else decision.take & going
            every = going is None and bool(take.all())
            self.output = state if every else torch.where(take.unsqueeze(-1), state, self.output)
            self.takes = True
        if decision.price is not None:
            price = decision.price if going is None else decision.price * going
            self.penalty = self.price() + price

    def halt(self, going: Tensor) -> None:
        """Of those that are not ``going`` (...) no weight is left."""
        self.left = None if self.left is None else self.left * going

    def soft(self, going: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What others see beside the present state: the output (..., D), and the weight (..., 1) of that state."""
        assert self.left is not None
        output = self.output
        if self.takes:
            hidden = torch.ones_like(self.left, dtype=torch.bool) if going is None else going
            output = output.masked_fill(hidden.unsqueeze(-1), 0.0)
        return output, self.left.unsqueeze(-1)

    def price(self) -> Tensor:
        """Penalties (...)."""
        if self.penalty is not None:
            return self.penalty
        exact = torch.promote_types(self.output.dtype, torch.float32)
        return torch.zeros(self.output.shape[:-1], dtype=exact, device=self.output.device)

    def at(self, chosen: Tensor, output: Tensor | None = None) -> Tally:
        """Of the tokens ``chosen`` alone; their ``output`` may be known already."""
        output = self.output.index_select(0, chosen) if output is None else output
        left, penalty = (None if part is None else part.index_select(0, chosen) for part in (self.left, self.penalty))
        return Tally(output, left, penalty, self.takes)
