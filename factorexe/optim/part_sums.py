"""What each part of a batch adds to the gradient of a parameter, from what went into an operation and what came back.

A weight's gradient is a sum over the rows that went through it, so that of a part is the sum over the part's rows.  4
problems of 5 tokens in 2 parts, through ``nn.Linear(3, 2)``::

    x (4, 5, 3), dy (4, 5, 2)           grad[0] = dy[:2]^T x[:2], grad[1] = dy[2:]^T x[2:]

Each is exact: the sum of all parts is what the plain operation would have had.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Split(NamedTuple):
    """How the rows of a tensor are shared out."""

    axis: int  # along which parts lie one after the other
    rows: Sequence[int]  # of each part
    side_by_side: bool  # whether parts are of one size, and the axis is the first


class Entry(abc.ABC):
    """One way in which one parameter entered a loss.

    Args:
        split: of the rows of the operation's input and result.
    """

    def __init__(self, split: Split) -> None:
        self.split = split

    @property
    def whole(self) -> bool:
        """Whether what the gradient is made of is as it was."""
        return True

    @abc.abstractmethod
    def added(self, dy: Tensor, before: Tensor | None, dtype: torch.dtype) -> Tensor:
        """The gradients (K, *shape) of all parts.

        Args:
            dy: the gradient of the operation's result.
            before: what is to be added to, in place.
            dtype: of the parameter.
        """


class OfInput(Entry):
    """One whose gradient depends on the operation's input.

    Args:
        x: the input.
    """

    def __init__(self, split: Split, x: Tensor) -> None:
        super().__init__(split)
        self.x, self._version = x, x._version

    @property
    def whole(self) -> bool:
        """Whether nothing was written into the input."""
        return self._version == self.x._version


class Product(OfInput):
    """Of the weight (O, I) of a linear map of ``x`` (..., I): dy^T x, in one product where parts are of one size."""

    def added(self, dy: Tensor, before: Tensor | None, dtype: torch.dtype) -> Tensor:
        """One product, or one for each part."""
        x, split = self.x.to(dy.dtype), self.split
        if not split.side_by_side or dy.dtype != dtype:
            pairs = zip(_of_parts(dy, split), _of_parts(x, split), strict=True)
            return _added(torch.stack([left.T @ right for left, right in pairs]), before, dtype)
        left, right = _side_by_side(dy, split).mT, _side_by_side(x, split)
        return torch.bmm(left, right) if before is None else before.baddbmm_(left, right)


class Sum(Entry):
    """Of a bias (D,): the sum of the rows."""

    def added(self, dy: Tensor, before: Tensor | None, dtype: torch.dtype) -> Tensor:
        """In one sum where parts are of one size."""
        return _added(_summed(dy, self.split), before, dtype)


class Gain(OfInput):
    """Of the gain (D,) of a layer norm of ``x`` (..., D): the sum of the rows of dy times the normalized ones.

    Args:
        mean, scale: (..., 1) with which x was normalized.
    """

    def __init__(self, split: Split, x: Tensor, mean: Tensor, scale: Tensor) -> None:
        super().__init__(split, x)
        self.mean, self.scale = mean, scale

    def added(self, dy: Tensor, before: Tensor | None, dtype: torch.dtype) -> Tensor:
        """As a bias has it."""
        return _added(_summed((self.x - self.mean).mul_(self.scale).mul_(dy), self.split), before, dtype)


class Lookup(OfInput):
    """Of a table (V, D) of embeddings: each row's gradient is added to that of its index.

    Args:
        x: (...) the indices.
        count: V.
        padding: an index without a gradient.
    """

    def __init__(self, split: Split, x: Tensor, count: int, padding: int | None) -> None:
        super().__init__(split, x)
        self.count, self.padding = count, padding

    def added(self, dy: Tensor, before: Tensor | None, dtype: torch.dtype) -> Tensor:
        """In a table that has a copy for each part."""
        parts, device = len(self.split.rows), self.x.device
        own = torch.arange(parts, device=device).repeat_interleave(torch.tensor(self.split.rows, device=device))
        shape = [1] * self.x.dim()
        shape[self.split.axis] = -1
        at = (self.x + own.view(shape) * self.count).reshape(-1)
        rows = dy.reshape(len(at), -1).to(dtype)
        found = torch.ops.aten.embedding_dense_backward(rows, at, parts * self.count, -1, False)
        found = found.view(parts, self.count, -1)
        if self.padding is not None:
            found[:, self.padding] = 0
        return _added(found, before, dtype)


def _side_by_side(x: Tensor, split: Split) -> Tensor:
    """(K, n, D)."""
    return x.reshape(len(split.rows), -1, x.shape[-1])


def _of_parts(x: Tensor, split: Split) -> Iterator[Tensor]:
    """(n_k, D) of each part."""
    return (part.reshape(-1, x.shape[-1]) for part in torch.split(x, list(split.rows), dim=split.axis))


def _summed(rows: Tensor, split: Split) -> Tensor:
    """(K, D) the sum of each part's rows."""
    if split.side_by_side:
        return _side_by_side(rows, split).sum(dim=1)
    return torch.stack([part.sum(dim=0) for part in _of_parts(rows, split)])


def _added(found: Tensor, before: Tensor | None, dtype: torch.dtype) -> Tensor:
    return found.to(dtype) if before is None else before.add_(found)
