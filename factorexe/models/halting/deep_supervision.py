"""Deep supervision: in training the state of every step is scored, at test time the last one is read.

Every state has the same weight in the loss, 1/N over N steps.  With ``supervised`` K, only K steps have, 1/K each: the
last, and K - 1 others drawn for each row of the batch, every choice as likely as any other.  With N = 4, K = 2::

    weight   1/4  1/4  1/4  1/4        all
             0    1/2  0    1/2        2 supervised; the second was drawn, with probability 1/3

``detach`` lets no gradient pass from one step to the one before: each is trained to improve on what it is given, as
between the segments of HRM (Wang et al. 2025, arXiv:2506.21734) and TRM (Jolicoeur-Martineau 2025, arXiv:2510.04871).
There the weights are updated after every segment; here the losses of all steps make one update.

The K - 1 steps are chosen one after the other by selection sampling (Knuth, The Art of Computer Programming 3.4.2,
algorithm S): of the steps before the last, each is taken with the chance c = still wanted / still to come.  One uniform
number u for each row decides: it is taken if u < c, and u / c, or else (u - c) / (1 - c), is uniform again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from factorexe.models.halting.base import Decision, Halting, HaltingConfig, Look
from factorexe.models.halting.fixed import latest

if TYPE_CHECKING:
    from factorexe.layout import Batch

_DRAWN = "supervised"


class DeepSupervisionConfig(HaltingConfig):
    """Every token makes every step, and in training the state of each step is scored."""

    paper: ClassVar[str] = "Jolicoeur-Martineau 2025, arXiv:2510.04871"

    supervised: int | None = Field(None, ge=1)
    """Steps that are scored: the last and others drawn for each row; all if not given."""
    detach: bool = False
    """No gradient passes from a step to the one before."""

    def build(self, width: int, steps: int) -> DeepSupervision:
        """The policy."""
        return DeepSupervision(self)


class DeepSupervision(Halting):
    """Keeps every state in training."""

    def __init__(self, config: DeepSupervisionConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def every_state(self) -> bool:
        """In training."""
        return self.training

    @property
    def detaches(self) -> bool:
        """In training, if asked for."""
        return self.training and self.config.detach

    def prepare(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """A uniform number (B,) for each row, in double precision: it has to tell many choices apart."""
        if self.config.supervised is None:
            return {}
        luck = torch.rand(len(batch), generator=generator, dtype=torch.float64)
        return {_DRAWN: luck.to(batch.tokens.device)}

    def begin(self, like: Tensor, drawn: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What is left of each token's number (...) and how many steps are still wanted (...); nothing where every step
        is scored, as it is without a draw."""
        if _DRAWN not in drawn:
            return {}
        luck = drawn[_DRAWN]
        luck = luck.view(*luck.shape, *[1] * (like.dim() - luck.dim())).expand_as(like)
        assert self.config.supervised is not None
        return {"luck": luck, "wanted": torch.full_like(like, self.config.supervised, dtype=torch.long)}

    def decide(self, look: Look) -> Decision:
        """Halts nobody before the limit."""
        if not self.training:
            return latest(look)
        halted = look.limit <= look.step
        if "wanted" not in look.kept:
            return Decision((1 / look.limit).to(look.state.dtype), halted, look.kept)
        chosen, kept = _selected(look)
        assert self.config.supervised is not None
        share = chosen / look.limit.clamp_max(self.config.supervised)
        return Decision(share.to(look.state.dtype), halted, kept)


def _selected(look: Look) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Whether (...) this step is scored, and what remains for the steps after it."""
    luck, after = look.kept["luck"], (look.limit - look.step).clamp_min(0)
    wanted = look.kept["wanted"].minimum(after + 1)
    last = after == 0
    chance = torch.where(last, 1, (wanted - 1) / after.clamp_min(1)).to(luck.dtype)  # the last step is kept a place
    chosen = (luck < chance) | (chance >= 1)
    rest = torch.where(chosen, luck / chance, (luck - chance) / (1 - chance))
    rest = torch.where((chance > 0) & (chance < 1), rest, luck)
    return chosen, {**look.kept, "luck": rest, "wanted": wanted - chosen.long()}
