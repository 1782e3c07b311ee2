"""Operations with a parameter whose backward pass notes its gradient for each part, not for all.

Each is exact: the rows of parts are told apart, and the sum of all is what the plain operation would have had.  To
their inputs they pass the plain gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class PartSums:
    """For each parameter, what each of K parts adds to its gradient: (K, *shape)."""

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self._noted: dict[int, Tensor] = {}

    def of(self, parameter: Tensor) -> Tensor | None:
        """What was noted; None if nothing was."""
        return self._noted.get(id(parameter))

    def room(self, parameter: Tensor) -> tuple[Tensor, bool]:
        """Where to note, and whether something stands there already that is to be added to."""
        noted = self._noted.get(id(parameter))
        if noted is not None:
            return noted, True
        made = parameter.new_empty((self.parts, *parameter.shape))
        self._noted[id(parameter)] = made
        return made, False


class Split(NamedTuple):
    """How the rows of a tensor are shared out."""

    axis: int  # along which parts lie one after the other
    rows: Sequence[int]  # of each part
    side_by_side: bool  # whether parts are of one size, and the axis is the first


def through(x: Tensor, weight: Tensor, bias: Tensor | None, sums: PartSums, split: Split) -> Tensor:
    """``F.linear``: (..., I) to (..., O)."""
    made: Tensor = _Linear.apply(x, weight, bias, sums, split)  # type: ignore[no-untyped-call]
    return made


def embedded(index: Tensor, weight: Tensor, padding: int | None, sums: PartSums, split: Split) -> Tensor:
    """``F.embedding``: (...) to (..., D)."""
    made: Tensor = _Embedding.apply(index, weight, padding, sums, split)  # type: ignore[no-untyped-call]
    return made


def normal(x: Tensor, gain: Tensor | None, bias: Tensor | None, eps: float, sums: PartSums, split: Split) -> Tensor:
    """``F.layer_norm`` over the last axis."""
    made: Tensor = _LayerNorm.apply(x, gain, bias, eps, sums, split)  # type: ignore[no-untyped-call]
    return made


def _side_by_side(x: Tensor, split: Split) -> Tensor:
    """(K, n, D)."""
    return x.reshape(len(split.rows), -1, x.shape[-1])


def _of_parts(x: Tensor, split: Split) -> list[Tensor]:
    """(n_k, D) of each part."""
    return [part.reshape(-1, x.shape[-1]) for part in torch.split(x, list(split.rows), dim=split.axis)]


def _note_rows(sums: PartSums, parameter: Tensor, given: Tensor, split: Split) -> None:
    """Notes the sum of each part's rows."""
    room, added = sums.room(parameter)
    if split.side_by_side:
        _note(room, _side_by_side(given, split).sum(dim=1), added)
        return
    for place, part in zip(room, _of_parts(given, split), strict=True):
        _note(place, part.sum(dim=0), added)


def _note_products(sums: PartSums, weight: Tensor, dy: Tensor, x: Tensor, split: Split) -> None:
    """Notes dy^T x of each part, in one product where parts are of one size and lie side by side."""
    room, added = sums.room(weight)
    if split.side_by_side and room.dtype == dy.dtype:
        torch.baddbmm(room, _side_by_side(dy, split).mT, _side_by_side(x, split), beta=int(added), out=room)
        return
    for place, left, right in zip(room, _of_parts(dy, split), _of_parts(x, split), strict=True):
        _note(place, left.T @ right, added)


def _note(place: Tensor, found: Tensor, added: bool) -> None:
    if added:
        place.add_(found)
    else:
        place.copy_(found)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *noting: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.bias, ctx.noting = bias, noting
        return F.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (dy,) = gradients
        x, weight = ctx.saved_tensors
        sums, split = ctx.noting
        if ctx.needs_input_grad[1]:
            _note_products(sums, weight, dy, x.to(dy.dtype), split)
        if ctx.bias is not None and ctx.needs_input_grad[2]:
            _note_rows(sums, ctx.bias, dy, split)
        dx = (dy @ weight.to(dy.dtype)).to(x.dtype) if ctx.needs_input_grad[0] else None
        return dx, None, None, None, None


class _Embedding(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, index: Tensor, weight: Tensor, padding: int | None, *noting: Any) -> Tensor:
        ctx.save_for_backward(index, weight)
        ctx.padding, ctx.noting = padding, noting
        return F.embedding(index, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (dy,) = gradients
        index, weight = ctx.saved_tensors
        sums, split = ctx.noting
        room, added = sums.room(weight)
        count = len(weight)
        parts = len(split.rows)
        sizes = torch.tensor(split.rows, device=index.device)
        own = torch.arange(parts, device=index.device).repeat_interleave(sizes)
        shape = [1] * index.dim()
        shape[split.axis] = -1
        at = (index + own.view(shape) * count).reshape(-1)
        found = torch.ops.aten.embedding_dense_backward(
            dy.reshape(len(at), -1).to(weight.dtype), at, parts * count, -1, False
        ).view_as(room)
        if ctx.padding is not None:
            found[:, ctx.padding] = 0
        _note(room, found, added)
        return None, None, None, None, None


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor | None, bias: Tensor | None, eps: float, *noting: Any) -> Tensor:
        exact = x if gain is None else x.to(torch.promote_types(x.dtype, gain.dtype))
        made, mean, scale = torch.native_layer_norm(exact, exact.shape[-1:], gain, bias, eps)
        ctx.save_for_backward(exact, gain, bias, mean, scale)
        ctx.noting, ctx.given = noting, x.dtype
        normal: Tensor = made
        return normal

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, gain, bias, mean, scale = ctx.saved_tensors
        sums, split = ctx.noting
        of_x, of_gain, of_bias = ctx.needs_input_grad[:3]
        dy = gradients[0].contiguous()
        if of_gain:
            _note_rows(sums, gain, (x - mean).mul_(scale).mul_(dy), split)
        if of_bias:
            _note_rows(sums, bias, dy, split)
        dx = None
        if of_x:
            asked = (True, False, False)
            dx, *_ = torch.ops.aten.native_layer_norm_backward(dy, x, x.shape[-1:], mean, scale, gain, bias, asked)
            dx = dx.to(ctx.given)
        return dx, None, None, None, None, None
