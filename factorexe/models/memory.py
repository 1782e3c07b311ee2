"""What the tokens of a loop see of one another when some have halted: keys and values of each one's latest step.

A halted token makes no new keys and values; those of the last step it made stand for all later steps.  After three
steps, token b having halted after the first::

    step 1   a1 b1 c1        step 2   a2 b1 c2        step 3   a3 b1 c3
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from factorexe.models.layers import Context


Made = tuple[Tensor, Tensor]  # keys and values


class Seen(NamedTuple):
    """What the queries of one attention may look at.  R rows that have a token left, with Q queries at most."""

    keys: Tensor | Sequence[Tensor]  # (B, H, keys, head), of all rows, or in several pieces
    values: Tensor | Sequence[Tensor]  # as the keys
    bias: Tensor | None  # (R or 1, 1, Q or 1, keys) of looking; None: everywhere


class Memory:
    """Keys and values, by layer of the looped group."""

    def __init__(self) -> None:
        self._latest: dict[int, Made] = {}  # layer -> (B, H, T, head) each

    def see(self, slot: tuple[int, int], made: Made, context: Context) -> Seen:
        """What may be looked at in one attention.

        Args:
            slot: step and layer, both counted from 0.
            made: new keys and values (B, T, H, head) of every token, or (M, H, head) of those that are left.
        """
        keys, values = self.merged(slot[1], made, context)
        if context.cache is not None:
            keys, values = context.cache.append(slot, keys, values)
        return Seen(keys, values, context.bias if context.active is None else context.active.bias(context.bias))

    def merged(self, layer: int, made: Made, context: Context) -> Made:
        """The latest keys and values (B, H, T, head) of every token."""
        if context.active is not None:
            for latest, new in zip(self._latest[layer], made, strict=True):
                scatter(latest, new, context)
            return self._latest[layer]
        keys, values = (part.transpose(1, 2).contiguous() for part in made)
        if context.going is not None and layer in self._latest:
            going = context.going[:, None, :, None]
            keys, values = (torch.where(going, *both) for both in zip((keys, values), self._latest[layer], strict=True))
        self._latest[layer] = keys, values
        return keys, values

    def repeat(self, step: int, context: Context) -> None:
        """Everybody has halted: what is there stands for ``step`` too."""
        assert context.cache is not None
        for layer, latest in self._latest.items():
            context.cache.append((step, layer), *latest)


def scatter(everywhere: Tensor, new: Tensor, context: Context) -> None:
    """Put what is ``new`` (M, H, head) of the tokens that are left in its places (B, H, T, head)."""
    active = context.active
    assert active is not None
    new = new.to(everywhere.dtype)
    if everywhere.shape[2] == 1:
        everywhere.index_copy_(0, active.index, new.unsqueeze(2))
    else:
        everywhere[active.row, :, active.column] = new
