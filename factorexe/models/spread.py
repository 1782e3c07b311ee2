"""Rows of tokens with room made after some of them, and what happens there told to the tokens.

With two columns after the third token and one after the last::

    token     a b c     d
    count     0 0 2     1
    column    0 1 2     5        where each token stands
    last      0 1 4     6        where what follows it ends
    source    a b c c c d d      whose column it is
    number    0 0 0 1 2 0 1
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Spread(NamedTuple):
    """Where the tokens of rows stand once pauses have been inserted.  T tokens, W columns."""

    column: Tensor  # (B, T) of each token
    last: Tensor  # (B, T) column of the last pause after a token, or its own
    source: Tensor  # (B, W) the token that stands in a column, or that the pause in it follows
    number: Tensor  # (B, W) how many columns after that token, 0 at the token itself
    pause: Tensor  # (B, W) whether a pause stands there
    spare: Tensor  # (B, W) whether nothing does

    @classmethod
    def of(cls, count: Tensor, width: int) -> Spread:
        """The rows with ``count`` (B, T) pauses after each token, in ``width`` columns."""
        index = torch.arange(count.shape[1], device=count.device)
        column = index + count.cumsum(dim=1) - count
        marks = torch.zeros((len(count), width), dtype=torch.long, device=count.device)
        source = marks.scatter(1, column, 1).cumsum(dim=1) - 1
        number = torch.arange(width, device=count.device) - column.gather(1, source)
        spare = number > count.gather(1, source)
        return cls(column, column + count, source, number, (number > 0) & ~spare, spare)

    def wide(self, rows: Tensor, pause: int) -> Tensor:
        """``rows`` (B, T) as (B, W), with ``pause`` where one stands and 0 in spare columns."""
        return rows.gather(1, self.source).masked_fill(self.pause, pause).masked_fill(self.spare, 0)

    def positions(self, rows: Tensor) -> Tensor:
        """Position ids (B, T) as (B, W), with every pause counted."""
        return rows.gather(1, self.source) + torch.arange(self.source.shape[1], device=rows.device) - self.source

    def total(self, columns: Tensor) -> Tensor:
        """Sums (B, T) over each token and its pauses, of (B, W)."""
        zeros = columns.new_zeros(self.column.shape)
        return zeros.scatter_add(1, self.source, columns.masked_fill(self.spare, 0))


def start(tokens: Tensor) -> Tensor:
    """Columns (B,) of each row's first token; before it is padding."""
    return (tokens != 0).long().argmax(dim=1)


def at(states: Tensor, column: Tensor) -> Tensor:
    """States (..., B, W, D) at columns (B, N): (..., B, N, D)."""
    rows = torch.arange(len(column), device=column.device)[:, None] * states.shape[-2]
    found = states.flatten(-3, -2).index_select(-2, (rows + column).flatten())
    return found.view(*states.shape[:-3], *column.shape, -1)
