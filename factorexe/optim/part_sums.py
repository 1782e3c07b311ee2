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

from factorexe.optim.flat import Flat


class PartSums:
    """What each of K parts adds to the gradient: a row of P numbers for each.

    Args:
        parts: K.
        flat: where each parameter stands in a row.  All of one type and on one device.
    """

    def __init__(self, parts: int, flat: Flat) -> None:
        self.matrix = flat.parameters[0].new_empty(parts, flat.size)
        self._spans = {id(parameter): span for parameter, span in zip(flat.parameters, flat.spans, strict=True)}
        self._noted: set[int] = set()

    def room(self, parameter: Tensor) -> tuple[Tensor, bool]:
        """Where to note (K, *shape), and whether something stands there already that is to be added to."""
        added = id(parameter) in self._noted
        self._noted.add(id(parameter))
        return self.matrix[:, self._spans[id(parameter)]].view(-1, *parameter.shape), added

    def used(self) -> tuple[bool, ...]:
        """For each parameter whether anything was noted; 0 is put where nothing was."""
        found = tuple(key in self._noted for key in self._spans)
        for span, is_used in zip(self._spans.values(), found, strict=True):
            if not is_used:
                self.matrix[:, span].zero_()
        return found


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


def _note_all(sums: PartSums, parameter: Tensor, found: Sequence[Tensor]) -> None:
    room, added = sums.room(parameter)
    _note(room, torch.stack(list(found)), added)


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
        dy, backward = gradients[0].contiguous(), torch.ops.aten.native_layer_norm_backward
        if of_gain or of_bias:
            told = zip(*(torch.split(each, list(split.rows), split.axis) for each in (dy, x, mean, scale)), strict=True)
            shape, only = x.shape[-1:], (False, of_gain, of_bias)
            found = [backward(of_y, of_part, shape, m, s, gain, bias, only) for of_y, of_part, m, s in told]
            for parameter, gradient in ((gain, [one[1] for one in found]), (bias, [one[2] for one in found])):
                if gradient[0] is not None:
                    _note_all(sums, parameter, gradient)
        dx = None
        if of_x:
            dx, *_ = backward(dy, x, x.shape[-1:], mean, scale, gain, bias, (True, False, False))
            dx = dx.to(ctx.given)
        return dx, None, None, None, None, None
