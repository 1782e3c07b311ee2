"""Problems that were found once, kept for the next run in the same process.

Runs that differ in seed, model or learning rate are scored on the same problems, and to find those may take longer
than a small model to answer them.  Those asked for last are kept, up to a number of bytes, and everybody gets arrays of
their own::

    kept = Kept(most=2**26)
    kept.examples(("val", 3), find)      # calls find()
    kept.examples(("val", 3), find)      # the same problems again
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from factorexe.tasks.base import Examples

_OF_AN_ENTRY = 2048  # bytes that a task, a key and the arrays' own records take, about


class Kept:
    """Examples by what they depend on; those asked for longest ago go first.

    Args:
        most: bytes kept in all.
    """

    def __init__(self, most: int) -> None:
        self.most, self.size = most, 0
        self._found: dict[Hashable, Examples] = {}
        self._lock = threading.Lock()

    def examples(self, key: Hashable, find: Callable[[], Examples]) -> Examples:
        """What ``find`` returns, which is called if the examples of ``key`` are not here."""
        try:
            hash(key)
        except TypeError:  # a task whose options cannot be compared by their hash
            return find()
        with self._lock:
            if key in self._found:
                self._found[key] = self._found.pop(key)
                return _copy(self._found[key])
        found = find()
        with self._lock:
            self._keep(key, found)
        return found

    def _keep(self, key: Hashable, found: Examples) -> None:
        size = _size(found)
        if key in self._found or size > self.most:
            return
        self._found[key] = _copy(found)
        self.size += size
        while self.size > self.most:
            self.size -= _size(self._found.pop(next(iter(self._found))))


def _arrays(examples: Examples) -> Iterator[npt.NDArray[Any]]:
    yield from (examples.prompt, examples.chain, examples.chain_step, examples.answer, examples.difficulty)
    yield from examples.groups.values()
    yield from examples.values or ()


def _size(examples: Examples) -> int:
    return _OF_AN_ENTRY + sum(array.nbytes for array in _arrays(examples))


def _copy(examples: Examples) -> Examples:
    return examples.select(np.arange(len(examples)))
