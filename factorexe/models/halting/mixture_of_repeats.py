"""Mixture of repeats: after each repeat a router says which tokens go on (Mohtashami et al. 2023, arXiv:2310.10845).

After repeat r, of all but the last, a token has the score ``s = w[r] z[r]``.  Of the tokens that go on, the next
repeat f moves the state by sigmoid(s) of the way, ``z + sigmoid(s) (f(z) - z)``; that is how routers learn.  The
output is the last state.

In training the highest scores go on, as many as a *capacity* says, which is drawn for every batch and repeat: uniform
in [0, 1.05), cut to 1, in falling order.  With rows of 4 tokens, and capacities 1, 0.8 and 0.3 after repeats 1 to 3::

    repeat    1          2          3          4
    makes it  a b c d    a b c d    b c d      c           int(1 * 4), int(0.8 * 4), int(0.3 * 4) go on

So in training what becomes of a token depends on the tokens after it, as published.  At test time that would look
into the future, and means nothing where tokens come one by one: there a token goes on if its score is above a
threshold, the quantile 1 - ``capacity`` of what that router said in training.  So about that share of the tokens that
make a repeat make the next one, as far as they are like those of training; with capacity 1 all do.  The quantiles are
running means over training batches, kept with the weights.

Differs from the published code (github.com/epfml/CoTFormer, read, not run): padding takes no places; a capacity is a
share of the row's tokens, where theirs is rounded down again in each repeat; there are as many routers as choices,
where theirs are one more.  Theirs leaves halted tokens out of training's arithmetic, this one out of evaluation's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from factorexe.models.halting.base import Decision, Halting, HaltingConfig, Look
from factorexe.models.halting.fixed import latest
from factorexe.models.halting.gate import exact

if TYPE_CHECKING:
    from factorexe.layout import Batch

_CAPACITY = "capacity"
_STD = 0.02
_QUANTILES = 64  # intervals between those that are kept
_MEMORY = 0.99  # of the running means


class MixtureOfRepeatsConfig(HaltingConfig):
    """After each repeat a router says which tokens go on."""

    knows_steps: ClassVar[bool] = True
    paper: ClassVar[str] = "Mohtashami et al. 2023, arXiv:2310.10845"

    capacity: float = Field(1.0, gt=0, le=1)
    """At test time, share of the tokens that make a repeat to make the next one too."""

    def build(self, width: int, steps: int) -> MixtureOfRepeats:
        """The policy."""
        return MixtureOfRepeats(self.capacity, width, steps)

    def dials(self) -> Mapping[str, Sequence[Any]]:
        """The share that goes on."""
        return {_CAPACITY: (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)}


class MixtureOfRepeats(Halting):
    """A router and the quantiles of its scores for every repeat but the last.  R repeats."""

    numbered_rows: ClassVar[tuple[str, ...]] = ("routers", "quantiles", "batches")
    training_halts: ClassVar[bool] = True
    quantiles: Tensor  # (R - 1, intervals + 1) of the scores of each router, from the lowest to the highest
    batches: Tensor  # (R - 1,) that they are means over

    def __init__(self, capacity: float, width: int, steps: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.routers = nn.Parameter(nn.init.normal_(torch.empty(steps - 1, width), std=_STD))
        self.register_buffer("quantiles", torch.zeros(steps - 1, _QUANTILES + 1))
        self.register_buffer("batches", torch.zeros(steps - 1))

    def prepare(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """Capacities (B, R - 1), the same for every row."""
        drawn = 1.05 * torch.rand(len(self.routers), generator=generator, dtype=torch.float64)
        falling = drawn.clamp_max(1).sort(descending=True).values
        return {_CAPACITY: falling.to(batch.tokens.device).expand(len(batch), -1)}

    def begin(self, like: Tensor, drawn: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """In training ``going`` (...), who has not halted, and the capacities (..., R - 1) where some were drawn."""
        return {"going": torch.ones_like(like, dtype=torch.bool), **drawn} if self.training else {}

    def decide(self, look: Look) -> Decision:
        """In training tokens stand in rows (B, T)."""
        decision = latest(look)
        if look.step > len(self.routers):
            return decision
        score = self._score(look)
        decision = decision._replace(gate=score.sigmoid())
        if not self.training:
            return decision._replace(halted=decision.halted | ~self._above(look, score))
        on = self._highest(look, score) & ~decision.halted
        return decision._replace(halted=~on, kept={**look.kept, "going": on})

    def _score(self, look: Look) -> Tensor:
        """(...) in single precision at least, under autocast too."""
        with torch.autocast(look.state.device.type, enabled=False):
            score: Tensor = look.state.to(self.routers.dtype) @ self.routers[look.step - 1]
        return score.to(exact(score))

    def _highest(self, look: Look, score: Tensor) -> Tensor:
        """Those (B, T) among the tokens still going that have the highest scores of their row."""
        going, real = look.kept["going"], look.real
        competing = going if real is None else going & real
        if torch.is_grad_enabled():
            self._note(look.step - 1, score.detach(), competing)
        if _CAPACITY not in look.kept:
            return going
        tokens = torch.full_like(score, score.shape[1]) if real is None else real.sum(dim=1, keepdim=True)
        places = (look.kept[_CAPACITY][..., look.step - 1] * tokens).floor()
        order = score.detach().masked_fill(~competing, -torch.inf).argsort(dim=1, descending=True, stable=True)
        return competing & (order.argsort(dim=1) < places)

    def _above(self, look: Look, score: Tensor) -> Tensor:
        """Those (...) with scores above the threshold; all of them where training has said nothing of it."""
        known = self.quantiles[look.step - 1]
        at = (1 - self.capacity) * _QUANTILES
        below = min(int(at), _QUANTILES - 1)
        threshold = torch.lerp(known[below], known[below + 1], at - below)
        return (score > threshold) | (self.batches[look.step - 1] == 0) | (self.capacity == 1)

    @torch.no_grad()
    def _note(self, router: int, score: Tensor, competing: Tensor) -> None:
        """Add the quantiles of the scores (B, T) of those who compete to the running means; nothing if nobody does."""
        last = competing.sum() - 1
        ordered = score.masked_fill(~competing, torch.inf).flatten().sort().values
        at = torch.linspace(0, 1, _QUANTILES + 1, dtype=torch.float64, device=score.device) * last.clamp_min(0)
        below = at.long()
        above = torch.minimum(below + 1, last.clamp_min(0))
        found = torch.lerp(ordered[below], ordered[above], (at - below).to(ordered.dtype)).to(self.quantiles.dtype)
        some = last >= 0
        count = self.batches[router] + some
        weight = (1 / count.clamp_min(1)).clamp_min(1 - _MEMORY)  # at first the plain mean
        self.quantiles[router] = torch.where(some, self.quantiles[router].lerp(found, weight), self.quantiles[router])
        self.batches[router] = count
