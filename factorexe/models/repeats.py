"""What the tokens of a CoTFormer see of one another: keys and values of every repeat so far, not of the latest alone.

Every repeat adds keys and values; a halted token adds none, and those that it has stay.  With token b halted after
the first repeat, what the last token may look at::

    repeat 1   a1 b1 c1        repeat 2   a1 b1 c1 a2 c2        repeat 3   a1 b1 c1 a2 c2 a3 c3

Within a pass they grow in one buffer, so that each is written once.  In a cache every repeat has an entry of its own,
and attention goes over the entries without putting them together.  What halted tokens did not make is hidden by the
bias.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from factorexe.models.memory import Made, Memory, Seen, scatter

if TYPE_CHECKING:
    from factorexe.models.layers import Context


class Repeats(Memory):
    """Keys and values of every repeat, by layer.

    Args:
        steps: repeats that will be made at most.
        halts: whether tokens may halt before the last repeat.
        detaches: whether no gradient passes into earlier repeats.
    """

    def __init__(self, steps: int, *, halts: bool, detaches: bool) -> None:
        super().__init__()
        self.steps, self.halts, self.detaches = steps, halts, detaches
        self._grown: dict[int, list[_Grown]] = {}  # layer -> keys and values, where there is no cache
        self._entries: dict[int, list[Made]] = {}  # the same in a cache, of each repeat
        self._biases: list[Tensor | None] = []  # of looking at each repeat (B or 1, 1, T or 1, keys)
        self._bias: Tensor | None = None  # of looking at all of them, for the queries of this step
        self._like = torch.empty(0)  # (B, T, H, head) keys of the first repeat

    def see(self, slot: tuple[int, int], made: Made, context: Context) -> Seen:
        """As of any memory; keys and values come in a piece for each repeat where there is a cache."""
        step, layer = slot
        if layer == 0:
            self._begin(step, made[0], context)
        keys, values = (self._everywhere(part, context) for part in made)
        if context.cache is None:
            return Seen(*self._behind(layer, (keys, values)), self._bias)
        entries = self._entries.setdefault(layer, [])
        entries.append(context.cache.append(slot, keys, values))
        return Seen([keys for keys, _ in entries], [values for _, values in entries], self._bias)

    def repeat(self, step: int, context: Context) -> None:
        """Everybody has halted: nobody has made ``step``."""
        assert context.cache is not None
        context.cache.append_note(_note(step), self._like.new_zeros(self._like.shape[:2], dtype=torch.bool))
        nothing = torch.zeros_like(self._like).transpose(1, 2)
        for layer in self._entries:
            context.cache.append((step, layer), nothing, nothing)

    # -- one repeat

    def _begin(self, step: int, keys: Tensor, context: Context) -> None:
        """What is the same for every layer: who makes this repeat, and the bias of looking at all so far."""
        if not self._biases:
            self._like = keys.detach()
        makes = self._makes(step, context)
        if context.cache is not None and self.halts:
            everybody = self._like.new_ones(self._like.shape[:2], dtype=torch.bool)
            context.cache.append_note(_note(step), everybody if makes is None else makes)
            makes = context.cache.notes[_note(step)]
        self._biases.append(_bias(context.bias, makes))
        bias = _side_by_side(self._biases)
        self._bias = bias if context.active is None else context.active.bias(bias)

    def _makes(self, step: int, context: Context) -> Tensor | None:
        """(B, T) who makes this repeat; None: everybody."""
        if not self.halts or step == 0:
            return None
        if context.active is None:
            return context.going
        makes = self._like.new_zeros(self._like.shape[:2], dtype=torch.bool)
        makes.view(-1)[context.active.index] = True
        return makes

    def _everywhere(self, new: Tensor, context: Context) -> Tensor:
        """(B, H, T, head), 0 where a token has halted and was left out."""
        if context.active is None:
            return new.transpose(1, 2)
        everywhere = torch.zeros_like(self._like.transpose(1, 2))
        scatter(everywhere, new, context)
        return everywhere

    def _behind(self, layer: int, new: Made) -> Made:
        """Keys and values so far with the new ones behind them."""
        if layer not in self._grown:
            self._grown[layer] = [_Grown(part, self.steps) for part in new]
        keys, values = (grown.append(part, self.detaches) for grown, part in zip(self._grown[layer], new, strict=True))
        return keys, values


class _Grown:
    """Keys, or values, of all repeats so far (B, H, repeats * T, head).

    Args:
        like: (B, H, T, head) those of one repeat.
    """

    def __init__(self, like: Tensor, steps: int) -> None:
        batch, heads, length, width = like.shape
        self.buffer = like.new_empty((batch, heads, steps * length, width))
        self.held = self.buffer[:, :, :0]

    def append(self, new: Tensor, detaches: bool) -> Tensor:
        """With ``new`` (B, H, T, head) behind; gradients pass to what was there unless it ``detaches``."""
        held = self.held.detach() if detaches else self.held
        if torch.compiler.is_compiling():  # which makes its own plans for memory
            self.held = torch.cat([held, new], dim=2)
        else:
            self.held = _Append.apply(self.buffer, held, new)  # type: ignore[no-untyped-call]
        return self.held


class _Append(torch.autograd.Function):
    """Write behind what a buffer holds, and give out all of it.

    Autograd keeps what each attention has seen until the backward pass.  Concatenated, that would be a copy of every
    earlier repeat for each repeat; here it is the front of one buffer, which is never written again.  ``data`` says so:
    autograd would take any later write for a change of what it keeps.
    """

    @staticmethod
    def forward(ctx: Any, buffer: Tensor, held: Tensor, new: Tensor) -> Tensor:
        ctx.start = held.shape[2]
        stop = ctx.start + new.shape[2]
        buffer[:, :, ctx.start : stop] = new
        return buffer[:, :, :stop].data

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, Tensor]:
        return None, gradient[:, :, : ctx.start], gradient[:, :, ctx.start :]


def _note(step: int) -> str:
    """What a cache calls its note of who made a repeat."""
    return f"repeat {step + 1}"


def _bias(bias: Tensor | None, makes: Tensor | None) -> Tensor | None:
    """Of looking at one repeat: as at any token, but not at those that did not make it."""
    if makes is None:
        return bias
    if bias is None:
        bias = torch.zeros((1, 1, 1, makes.shape[1]), device=makes.device)
    return bias.masked_fill(~makes[:, None, None, :], float("-inf"))


def _side_by_side(biases: list[Tensor | None]) -> Tensor | None:
    """The biases of all repeats along the keys."""
    known = [bias for bias in biases if bias is not None]
    if not known:
        return None
    rows, queries, keys = (max(bias.shape[axis] for bias in known) for axis in (0, 2, 3))
    nothing = known[0].new_zeros(())
    return torch.cat([(nothing if bias is None else bias).expand(rows, 1, queries, keys) for bias in biases], dim=-1)
