"""Memory that is used again and again, for copies that are read at once.

    room = Room()
    copy = room.like(keys, (96, 57, 32))      holds until the next is asked for

Fresh memory of some megabytes comes from the system page by page, and none of it is in the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor


class Room:
    """One stretch of memory."""

    def __init__(self) -> None:
        self._held: Tensor | None = None

    def like(self, part: Tensor, shape: Sequence[int]) -> Tensor:
        """A tensor of that shape, whatever stands in it, which holds until the next is asked for."""
        size, held = math.prod(shape), self._held
        if held is None or len(held) < size or held.dtype != part.dtype or held.device != part.device:
            held = self._held = part.new_empty(size)
        return held[:size].view(*shape)
