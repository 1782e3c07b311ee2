"""The tokens that still take part in a loop, without the ones that have halted.

Rows halt at different places, so what is left is ragged.  Everything that looks at one token at a time (norms,
projections, the perceptron) runs on the M tokens that are left, in a row of their own; attention alone needs rows
again, and packs the queries of each row to the left.  With . for halted tokens::

    a . c d        tokens   a c d e h        (M = 5)
    e . . h        queries  a c d            (R = 2 rows, Q = 3)
                            e h -
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from factorexe.models.room import Room


class Rows:
    """Some rows of keys or values (B, H, K, head), fetched one tensor after the other.

    Fetched when they are needed, since a copy that is used at once is still in the processor's cache, and head by head,
    each in one piece.
    """

    def __init__(self, index: Tensor, room: Room) -> None:
        self.index, self.room = index, room
        self._of_heads: Tensor | None = None

    def fetched(self, part: Tensor) -> Tensor:
        """(R, H, K, head), until the next is fetched."""
        heads = part.shape[1]
        if self._of_heads is None:
            self._of_heads = (self.index[:, None] * heads + torch.arange(heads, device=part.device)).flatten()
        room = self.room.like(part, (len(self._of_heads), *part.shape[2:]))
        torch.index_select(part.flatten(0, 1), 0, self._of_heads, out=room)
        return room.view(-1, *part.shape[1:])


class Active:
    """Which tokens of (B, T) are left.

    Args:
        index: (M,) places in the flattened batch, ascending.
        shape: B and T.
        room: for what is fetched.
    """

    def __init__(self, index: Tensor, shape: tuple[int, int], room: Room) -> None:
        self.index, self.room = index, room
        batch, self.length = shape
        self.rows: Tensor | None = None  # (R,) rows that have a token left; None: all B
        self.place: tuple[Tensor, Tensor] | None = None  # (M,) each: row and query; None: in their order, without gaps
        if self.length == 1:  # as in decoding: the same as below in far fewer operations
            self.row = index
            if 4 * len(index) < 3 * batch:
                self.rows = index
            elif len(index) < batch:
                self.place = index, index  # of queries there is one in each row
            self.packed = (batch if self.rows is None else len(index), 1)
            return
        self.row = index // self.length  # (M,)
        count = torch.bincount(self.row, minlength=batch)  # (B,)
        rows, most = int((count > 0).sum()), int(count.max())
        if 3 * (batch - rows) * most > rows:  # measured: to fetch three rows takes as long as attention of one query
            self.rows = count.nonzero()[:, 0]
            count = count[self.rows]
        self.packed = (len(count), most)  # R, Q
        first = count.cumsum(0) - count
        inside = torch.arange(len(index), device=index.device) - first.repeat_interleave(count)
        place = torch.arange(len(count), device=index.device).repeat_interleave(count)
        if len(index) < self.packed[0] * self.packed[1]:
            self.place = place, inside

    @functools.cached_property
    def column(self) -> Tensor:
        """(M,) the position of each token in its row."""
        return self.index % self.length

    @property
    def fetch(self) -> Rows | None:
        """How to come by the rows that have a token left; None: as they stand."""
        return None if self.rows is None else Rows(self.rows, self.room)

    def pack(self, queries: Tensor) -> Tensor:
        """(M, H, head) to (R, H, Q, head)."""
        rows, most = self.packed
        if self.place is None:
            return queries.view(rows, most, *queries.shape[1:]).transpose(1, 2)
        row, query = self.place
        padded = queries.new_zeros((rows, queries.shape[1], most, queries.shape[2]))
        if most == 1:
            return padded.index_copy_(0, row, queries.unsqueeze(2))
        padded[row, :, query] = queries
        return padded

    def unpack(self, mixed: Tensor) -> Tensor:
        """(R, H, Q, head) to (M, H * head)."""
        if self.place is None:
            return mixed.transpose(1, 2).flatten(0, 1).flatten(1)
        row, query = self.place
        if mixed.shape[2] == 1:
            return mixed.index_select(0, row).flatten(1)
        return mixed[row, :, query].flatten(1)

    def of_rows(self, tensor: Tensor) -> Tensor:
        """(B, ...) to (R, ...)."""
        return tensor if self.rows is None or len(tensor) == 1 else tensor.index_select(0, self.rows)

    def bias(self, bias: Tensor | None) -> Tensor | None:
        """(B or 1, 1, T, keys) to (R or 1, 1, Q, keys)."""
        if bias is None or bias.shape[2] == 1:
            return None if bias is None else self.of_rows(bias)
        rows, most = self.packed
        source = torch.zeros((rows, most), dtype=torch.long, device=bias.device)
        if self.place is None:
            source = self.column.view(rows, most)
        else:
            source[self.place] = self.column
        if len(bias) == 1:
            return bias[0, 0][source][:, None]
        return self.of_rows(bias)[torch.arange(rows, device=bias.device)[:, None], 0, source][:, None]
