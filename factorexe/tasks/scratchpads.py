"""Lines of text whose blanks are filled with tokens, row by row: what detailed scratchpads are written with.

>>> paper = Scratchpad(symbols)
>>> paper.line("{}+{}={};", one, other, total)      # tokens of 3+4=7; and 8+7=15; as pieces of two rows
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from factorexe.tasks.base import IntArray
from factorexe.tasks.formats import column


class Scratchpad:
    """Writes with the symbols of a task, each of which is one character."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self._ids = {symbol: token for token, symbol in enumerate(symbols)}

    def line(self, text: str, *blanks: IntArray) -> list[IntArray]:
        """Pieces (N, any) of ``text``, whose every ``{}`` is the next of ``blanks`` (N, any)."""
        count = len(blanks[0])
        pieces: list[IntArray] = []
        for number, between in enumerate(text.split("{}")):
            pieces += [blanks[number - 1]] if number else []
            pieces += [column(count, self._ids[letter]) for letter in between]
        return pieces

    def listed(self, tokens: IntArray) -> IntArray:
        """Tokens (N, width) as a list: [1,2,8]; gaps of 0 at either end are no items."""
        count, width = tokens.shape
        items = np.zeros((count, max(2 * width - 1, 0)), dtype=np.int64)
        items[:, ::2] = tokens
        items[:, 1::2] = np.where((tokens[:, 1:] != 0) & (tokens[:, :-1] != 0), self._ids[","], 0)
        return np.concatenate([column(count, self._ids["["]), items, column(count, self._ids["]"])], axis=1)
