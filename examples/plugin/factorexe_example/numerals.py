"""Read Roman numerals, from a file that says which problem is in which split.

Each row of ``numerals.csv`` is a problem worked out: the parts of the numeral, then the number::

    numeral,worked,number,split
    CXIV,100+10+4,114,train

Difficulty is the number of decimal digits: 1 to 3 in training, 4 out of distribution.
"""

from __future__ import annotations

import csv
import functools
from importlib import resources
from typing import ClassVar

import numpy as np

from factorexe.tasks.base import SPLITS, Examples, IntArray, Task, Widths

SYMBOLS = ("", *"IVXLCDM", *"0123456789", "+")
_WORTH = np.array([0, 1, 5, 10, 50, 100, 500, 1000])  # of the letters, by token


class Numerals(Task):
    """Read Roman numerals; the chain is the value of each part."""

    datamodule: ClassVar[str | None] = "factorexe_example.numerals_data:NumeralsData"
    presets: ClassVar = {
        "default": {"objective": "chain", "trainer.max_steps": 1500},
        "tiny": {"data.batch_size": 32, "trainer.max_steps": 200},
    }

    @property
    def symbols(self) -> tuple[str, ...]:
        """Letters, digits and ``+``."""
        return SYMBOLS

    @property
    def train_difficulty(self) -> tuple[int, int]:
        """Decimal digits of the number."""
        return (1, 3)

    @property
    def ood_difficulty(self) -> tuple[int, int]:
        """Four digits."""
        return (4, 4)

    def widths(self, difficulty: int) -> Widths:
        """The longest in the file."""
        found = self.problems().select(self.problems().difficulty == difficulty)
        return Widths(*(int((part != 0).sum(axis=1).max()) for part in (found.prompt, found.chain, found.answer)))

    def sample(self, difficulty: IntArray, rng: np.random.Generator, *, chain: bool = True) -> Examples:
        """Rows of the file, with replacement."""
        table = self.problems(chain)
        first, end = (np.searchsorted(table.difficulty, difficulty, side=side) for side in ("left", "right"))
        return table.select(rng.integers(first, end))

    def key(self, examples: Examples) -> IntArray:
        """The number (N, 1), read from the numeral: a letter before a greater one counts against it."""
        worth = _WORTH[np.pad(examples.prompt, ((0, 0), (0, 1)))]
        return np.where(worth[:, :-1] < worth[:, 1:], -worth[:, :-1], worth[:, :-1]).sum(axis=1, keepdims=True)

    def split(self, examples: Examples, split_seed: int) -> IntArray:
        """What the file says, whatever the seed."""
        return _table()[1][self.key(examples)[:, 0] - 1]

    @staticmethod
    def problems(chain: bool = True) -> Examples:
        """Every problem, in the order of its number."""
        table = _table()[0]
        if chain:
            return table
        none = table.chain[:, :0]
        return Examples(table.prompt, none, none, table.answer, table.difficulty)


@functools.cache
def _table() -> tuple[Examples, IntArray]:
    """All problems, and the split of each (N,) as an index into ``SPLITS``."""
    with resources.files(__package__).joinpath("numerals.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    chain = _tokens([row["worked"] for row in rows])
    problems = Examples(
        prompt=_tokens([row["numeral"] for row in rows]),
        chain=chain,
        chain_step=np.cumsum(chain == SYMBOLS.index("+"), axis=1),
        answer=_tokens([row["number"] for row in rows]),
        difficulty=np.array([len(row["number"]) for row in rows]),
    )
    return problems, np.array([SPLITS.index(row["split"]) for row in rows])


def _tokens(texts: list[str]) -> IntArray:
    """Token ids (N, longest), right-padded with 0."""
    tokens = np.zeros((len(texts), max(map(len, texts))), dtype=np.int64)
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text)] = [SYMBOLS.index(letter) for letter in text]
    return tokens
