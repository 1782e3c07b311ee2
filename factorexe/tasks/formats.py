"""How numbers are written: base, order of the digits, and rows whose numbers differ in length.

A batch of numbers is an array of digits (N, width), least significant first (see ``digits``); on paper digit d is
token d + 1, because 0 is padding::

    >>> number = np.array([[8, 2, 1]])              # 128
    >>> written(number, "plain"), written(number, "reversed")
    (array([[2, 3, 9]]), array([[9, 3, 2]]))

Operands are written as people write them; ``digit_order`` is that of what is computed from them.  "reversed", the
order in which carries run, is the "reverse" of Lee et al. 2023 (arXiv:2307.03381).

``index_hints`` puts a letter before every digit, the same for the same significance, in alphabetical order from ones
upwards (Zhou et al. 2023, arXiv:2310.16028).  The first is drawn for each problem, so that training sees all of them::

    42+39    C4B2+C3B9    chain >B1C1>C8D0    answer B1C8D0

Places are the same without tokens: ones are 2, tens 3, and a mark stands one before the number that it opens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from factorexe.tasks.base import BoolArray, IntArray, Task
from factorexe.tasks.digits import GLYPHS

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

Order = Literal["reversed", "plain"]


class NumberFormat(Task):
    """A task that writes numbers: ids 1 to ``base`` are the digits, its signs come after them, then its hints."""

    base: int = Field(10, ge=2, le=36)
    """Base in which numbers are written."""
    digit_order: Order = "reversed"
    """Order of the digits in chain and answer: least significant first, or as in the prompt."""
    padding: Literal["none", "results", "all"] = "results"
    """Zeros in front: none; of computed numbers, to fixed widths; of operands too, to equal length."""
    index_hints: bool = False
    """A letter before every digit that tells its significance, counted from a random one."""
    hint_symbols: int | None = Field(None, ge=2, le=2**14)
    """How many letters there are to hint with; twice as many as ood needs if not given."""

    @model_validator(mode="after")
    def _hints_suffice(self) -> NumberFormat:
        if self.hint_symbols is not None and not self.index_hints:
            raise ValueError("hint_symbols has no effect without index_hints; set index_hints or leave it out")
        if self.hint_symbols is not None and self.hint_symbols < (needed := self._hints_needed):
            raise ValueError(
                f"hint_symbols ({self.hint_symbols}) must be at least {needed}, the most digits of a number in ood"
            )
        return self

    @property
    def symbols(self) -> tuple[str, ...]:
        """Digits, the task's signs, and what is hinted with."""
        count = self._hint_count
        hints = LETTERS[:count] if count <= len(LETTERS) else [f"h{number}" for number in range(count)]
        return ("", *GLYPHS[: self.base], *self._signs, *hints)

    @property
    def tells_places(self) -> bool:
        """Not with hints, which tell them in tokens, nor where the width of a number shows only at its end."""
        return not self.index_hints and not (self.padding == "none" and self.digit_order == "plain")

    # -- what a task says of itself

    @property
    def _signs(self) -> tuple[str, ...]:
        """Its symbols after the digits."""
        raise NotImplementedError

    @property
    def _hints_needed(self) -> int:
        """Digits of the longest number in the hardest problem."""
        raise NotImplementedError

    # -- index hints

    @property
    def _hint_count(self) -> int:
        return (self.hint_symbols or 2 * self._hints_needed) if self.index_hints else 0

    @property
    def _first_hint(self) -> int:
        return self.base + 1 + len(self._signs)

    def _hinted(
        self,
        number: IntArray,
        order: Order,
        place: int,
        start: IntArray | None,
        cut: IntArray | None = None,
    ) -> IntArray:
        """Tokens of a number, of its lowest ``cut`` (N,) digits.

        Args:
            place: significance of its lowest digit, 0 for ones.
            start: (N,) the hint of ones; no hints without it.
        """
        tokens = written(number, order, cut)
        if start is None:
            return tokens
        hints = self._first_hint + start[:, None] + place + np.arange(number.shape[1])
        return hinted(tokens, hints if order == "reversed" else hints[:, ::-1])

    def _tokens(self, digits: int) -> int:
        """Tokens that a number of so many digits takes."""
        return digits * (2 if self.index_hints else 1)

    def _bare(self, prompt: IntArray) -> IntArray:
        """The prompt without its hints."""
        if not self.index_hints:
            return prompt
        return packed([np.where(prompt >= self._first_hint, 0, prompt)])[0]

    def _shifted(self, tokens: IntArray, start: IntArray) -> IntArray:
        """Rows whose ones have the first hint, with ``start`` (N,) for it."""
        return tokens + np.where(tokens >= self._first_hint, start[:, None], 0)

    def _starts(self, prompt: IntArray, asked: Sequence[IntArray], needed: Sequence[int], example: str) -> IntArray:
        """The hint of ones (N,) of typed prompts (N, L), whose hints are to be those that it implies.

        Args:
            asked: each prompt as it is with the first hint for ones.
            needed: how many hints its problem takes.
            example: a prompt as it is to be typed, for the message.
        """
        filled = (prompt != 0).sum(axis=1)
        start = np.take_along_axis(prompt, (filled - 2)[:, None], axis=1)[:, 0] - self._first_hint
        for row, text in enumerate(map(self.text, prompt)):
            if not np.array_equal(self._shifted(asked[row][None], start[row, None])[0], prompt[row, : filled[row]]):
                raise ValueError(f"expected hints as in {example} (got {text!r})")
            if start[row] + needed[row] > self._hint_count:
                raise ValueError(f"{text!r} needs {needed[row]} hints from its first on; there are {self._hint_count}")
        return start


def written(number: IntArray, order: Order, length: IntArray | None = None) -> IntArray:
    """Tokens (N, width) of digits (N, width); of the lowest ``length`` (N,) of them, with gaps of 0 for the others."""
    tokens = number + 1
    if length is not None:
        tokens = np.where(np.arange(number.shape[1]) < length[:, None], tokens, 0)
    return tokens if order == "reversed" else tokens[:, ::-1]


def read(tokens: IntArray, order: Order) -> IntArray:
    """Digits (N, width) of right-padded tokens (N, width), zeros above."""
    if order == "plain":
        source = (tokens != 0).sum(axis=1)[:, None] - 1 - np.arange(tokens.shape[1])
        tokens = np.where(source >= 0, np.take_along_axis(tokens, np.maximum(source, 0), axis=1), 0)
    return np.maximum(tokens - 1, 0)


def hinted(tokens: IntArray, hints: IntArray) -> IntArray:
    """Each digit of tokens (N, width) after its hint (N, 2 * width); gaps have none."""
    return np.stack([np.where(tokens != 0, hints, 0), tokens], axis=2).reshape(len(tokens), 2 * tokens.shape[1])


def opened(opens: BoolArray) -> IntArray:
    """Where the number at hand began: the column of the last token up to each (N, L) that opens one."""
    column: IntArray = np.maximum.accumulate(np.where(opens, np.arange(opens.shape[1]), 0), axis=1)
    return column


def placed(offset: IntArray, width: IntArray | int, order: Order) -> IntArray:
    """The place of the token that stands so far behind the mark of a number of ``width`` digits; the mark's at 0."""
    within = np.minimum(offset, width)
    return 1 + (within if order == "reversed" else width + 1 - within)


def length(number: IntArray) -> IntArray:
    """How many digits each number has without zeros in front (N,); 0 has one."""
    filled = number != 0
    counts: IntArray = np.where(filled.any(axis=1), number.shape[1] - filled[:, ::-1].argmax(axis=1), 1)
    return counts


def column(count: int, token: int) -> IntArray:
    """One token in every row (N, 1)."""
    return np.full((count, 1), token, dtype=np.int64)


def packed(pieces: Sequence[IntArray], steps: Sequence[int] | None = None) -> tuple[IntArray, IntArray]:
    """Pieces (N, any width) side by side with their gaps closed, right-padded, and the step of each token.

    ``steps`` numbers the pieces; all are step 0 without it.
    """
    tokens = np.concatenate(pieces, axis=1)
    numbers = np.repeat(
        np.zeros(len(pieces), dtype=np.int64) if steps is None else np.array(steps, dtype=np.int64),
        [piece.shape[1] for piece in pieces],
    )
    if tokens.all():
        return tokens, np.broadcast_to(numbers, tokens.shape)
    row, source = np.nonzero(tokens)
    filled = tokens != 0
    target = (np.cumsum(filled, axis=1) - 1)[row, source]
    width = int(filled.sum(axis=1).max(initial=0))
    closed, step = np.zeros((2, len(tokens), width), dtype=np.int64)
    closed[row, target] = tokens[row, source]
    step[row, target] = numbers[source]
    return closed, step
