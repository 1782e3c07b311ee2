"""What a task is: a family of problems with a difficulty axis and a known step-by-step solution.

A task is a frozen pydantic model whose fields are its options, and one method that draws problems::

    class Doubling(Task):
        '''Double a digit.'''
        ...
        def sample(self, difficulty, rng, *, chain=True) -> Examples: ...

``examples/plugin`` holds a complete one.  Everything here is NumPy; a task never imports torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from factorexe.choice import Options

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

SPLITS = ("train", "val", "guide", "test", "ood", "ood_test")
SHARES = {"train": 0.7, "val": 0.1, "guide": 0.1, "test": 0.1}  # of the problems as hard as training


class Widths(NamedTuple):
    """The longest prompt, chain and answer, in tokens."""

    prompt: int
    chain: int
    answer: int


class Values(NamedTuple):
    """The numbers behind the tokens of prompt, chain and answer, each as wide as those; 1 behind any other token."""

    prompt: FloatArray
    chain: FloatArray
    answer: FloatArray


@dataclasses.dataclass(frozen=True)
class Examples:
    """N problems with their solutions: token ids, right-padded with 0."""

    prompt: IntArray  # (N, longest prompt)
    chain: IntArray  # (N, longest chain) the trace of a correct program; it determines the answer
    chain_step: IntArray  # (N, longest chain) which step each chain token belongs to, from 0
    answer: IntArray  # (N, longest answer)
    difficulty: IntArray  # (N,)
    groups: Mapping[str, IntArray] = dataclasses.field(default_factory=dict)  # (N,) each: ways to split a batch
    values: Values | None = None  # where the task has numeric symbols

    def __len__(self) -> int:
        return len(self.difficulty)

    def select(self, rows: Any) -> Examples:
        """The examples at ``rows``: indices, a slice or a mask."""
        return Examples(
            **{name: getattr(self, name)[rows] for name in _ARRAYS},
            groups={name: keys[rows] for name, keys in self.groups.items()},
            values=None if self.values is None else Values(*(numbers[rows] for numbers in self.values)),
        )


_ARRAYS = ("prompt", "chain", "chain_step", "answer", "difficulty")


def joined(parts: Sequence[Examples]) -> Examples:
    """The examples of every part, one after the other, padded to a common width."""
    if len(parts) == 1:
        return parts[0]
    values = [part.values for part in parts if part.values is not None]
    return Examples(
        **{name: _stacked([getattr(part, name) for part in parts]) for name in _ARRAYS},
        groups={
            name: np.concatenate([part.groups[name] for part in parts]) for name in (parts[0].groups if parts else {})
        },
        values=Values(*(_stacked(numbers, 1) for numbers in zip(*values, strict=True))) if values else None,
    )


def rejoined(parts: Sequence[Examples], kind: npt.NDArray[Any]) -> Examples:
    """Parts that were worked out apart, row by row where they belong.

    Args:
        parts: one for each value of ``kind`` (N,), ascending, with its rows in order; empty ones may be there too.
    """
    together = joined(parts)
    if len(parts) == 1:
        return together
    return together.select(np.argsort(np.argsort(kind, kind="stable"), kind="stable"))


def answered_as(examples: Examples, others: Examples) -> Examples:
    """``examples`` with the answers of ``others``, row by row."""
    values = examples.values
    if values is not None and others.values is not None:
        values = values._replace(answer=others.values.answer)
    return dataclasses.replace(examples, answer=others.answer, values=values)


def solved_by(task: Task, examples: Examples, others: Examples) -> BoolArray:
    """Whether the answers of ``others`` (N,) are right for ``examples``, row by row."""
    if others.values is None:
        return task.solved(examples, others.answer)
    return task.solved(examples, others.answer, others.values.answer)


def _stacked(arrays: Sequence[Any], filled: int = 0) -> Any:
    if arrays[0].ndim == 1:
        return np.concatenate(arrays)
    width = max(array.shape[1] for array in arrays)
    return np.concatenate(
        [np.pad(array, ((0, 0), (0, width - array.shape[1])), constant_values=filled) for array in arrays]
    )


class Task(Options):
    """A family of problems.  Subclasses add their options as fields and define the methods below.

    Class attributes:
        presets: name -> {option path: value} over the whole run; ``default`` and ``tiny`` are required.
        datamodule: None, or ``"module:Class"`` of a LightningDataModule that replaces the generic one.
        axis: what difficulty counts, in a few words ("digits of a number").
        paper: where the task comes from ("Author et al. year, arXiv:id").
    """

    api_version: ClassVar[int] = 1
    axis: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    datamodule: ClassVar[str | None] = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """The alphabet in id order; id 0 is padding and has the empty string."""
        raise NotImplementedError

    @property
    def train_difficulty(self) -> tuple[int, int]:
        """Easiest and hardest problem in training, inclusive."""
        raise NotImplementedError

    @property
    def ood_difficulty(self) -> tuple[int, int] | None:
        """Range of problems harder than anything in training, inclusive; None where there are none."""
        return None

    def widths(self, difficulty: int) -> Widths:
        """The longest prompt, chain and answer at this difficulty: sets the decoding limit."""
        raise NotImplementedError

    def sample(self, difficulty: IntArray, rng: np.random.Generator, *, chain: bool = True) -> Examples:
        """One example per entry of ``difficulty`` (N,); ``chain=False`` leaves the chain empty.

        Draws the same problems with and without the chain, and from ``rng`` alone.
        """
        raise NotImplementedError

    def key(self, examples: Examples) -> IntArray:
        """The canonical problem (N, K): equal rows are the same problem, however it is written."""
        levels = {level for split in ("train", "ood") for level in self.difficulties(split)}
        longest = max(self.widths(level).prompt for level in (min(levels), max(levels)))
        return _padded(examples.prompt, max(longest, examples.prompt.shape[1]))

    def split(self, examples: Examples, split_seed: int) -> IntArray:
        """Which of ``SPLITS`` each problem is in (N,), by a hash of its key."""
        place = uniform(self.key(examples), split_seed)
        shares = np.cumsum(list(SHARES.values()))
        home = np.searchsorted(shares, place, side="right").clip(max=len(SHARES) - 1)
        harder = examples.difficulty > self.train_difficulty[1]
        return np.where(harder, SPLITS.index("ood") + (place >= 0.5), home)

    def table(self) -> Examples | None:
        """Every problem of the training difficulties, with its solution; None where they are endless or too many.

        A problem that can be written in several ways may be there in each of them.
        """
        return None

    @property
    def numeric(self) -> tuple[int, ...]:
        """The tokens that stand for a number, which ``Examples.values`` holds."""
        return ()

    def solved(self, examples: Examples, answer: IntArray, values: FloatArray | None = None) -> BoolArray:
        """Whether each answer (N, any width, right-padded with 0) is right: the only definition of it.

        Args:
            values: the numbers behind the answer's tokens, of the same shape, where the task has numeric symbols.
        """
        width = max(answer.shape[1], examples.answer.shape[1])
        same: BoolArray = (_padded(answer, width) == _padded(examples.answer, width)).all(axis=1)
        return same

    def qualities(
        self, examples: Examples, answer: IntArray, values: FloatArray | None = None
    ) -> Mapping[str, FloatArray]:
        """What else there is to say of each answer, by name (N,); NaN where it cannot be said.  Means are reported."""
        return {}

    @property
    def tells_places(self) -> bool:
        """Whether ``places`` is defined."""
        return type(self).places is not Task.places

    def places(self, tokens: IntArray, prompt_length: IntArray) -> IntArray:
        """The place (N, L) of each token in rows (N, L), such as a digit's significance; 0 where it has none.

        Rows are right-padded with 0 and hold marks of the layout, ids that are no symbol.  ``prompt_length`` (N,)
        counts what is given: the prompt and the mark after it.  What is written after that has places that depend
        on nothing later.
        """
        raise NotImplementedError(f"{type(self).__name__} tells no places")

    @property
    def separator(self) -> str:
        """What stands between symbols in text: a blank if any has several characters or a number behind it."""
        return " " if self.numeric or max(map(len, self.symbols)) > 1 else ""

    def text(self, tokens: IntArray, values: FloatArray | None = None) -> str:
        """One row of token ids as text.

        Args:
            values: the number behind each token; written after a numeric symbol.
        """
        symbols, between = self.symbols, self.separator
        if values is None or not self.numeric:
            return between.join(symbols[token] for token in tokens if token)
        return between.join(
            f"{symbols[token]}{value:.10g}" if token in self.numeric else symbols[token]
            for token, value in zip(tokens, values, strict=True)
            if token
        )

    def texts(self, examples: Examples, row: int) -> tuple[str, str, str]:
        """Prompt, chain and answer of one example as text."""
        tokens = examples.prompt[row], examples.chain[row], examples.answer[row]
        numbers = (None, None, None) if examples.values is None else tuple(part[row] for part in examples.values)
        prompt, chain, answer = (self.text(*pair) for pair in zip(tokens, numbers, strict=True))
        return prompt, chain, answer

    def parse(self, text: str) -> IntArray:
        """The token ids of ``text``; the inverse of ``text()``.

        Raises:
            ValueError: a symbol is not in the alphabet.
        """
        words = text.split() if self.separator else [letter for letter in text if letter != " "]
        words = [self._number(word)[0] for word in words]
        ids = {symbol: token for token, symbol in enumerate(self.symbols) if token}
        unknown = sorted({word for word in words if word not in ids})
        if unknown:
            raise ValueError(f"{', '.join(map(repr, unknown))}: not in the alphabet {' '.join(self.symbols[1:])}")
        return np.array([ids[word] for word in words], dtype=np.int64)

    def parse_values(self, text: str) -> FloatArray:
        """The number behind each token of ``text``, 1 where there is none."""
        return np.array([self._number(word)[1] for word in text.split()], dtype=np.float64)

    def _number(self, word: str) -> tuple[str, float]:
        """A word without the number that is written after a numeric symbol, and that number."""
        for symbol in (self.symbols[token] for token in self.numeric):
            if word.startswith(symbol) and len(word) > len(symbol):
                with contextlib.suppress(ValueError):
                    return symbol, float(word.removeprefix(symbol))
        return word, 1.0

    @property
    def completes(self) -> bool:
        """Whether ``complete`` is defined."""
        return type(self).complete is not Task.complete

    def complete(self, prompt: IntArray) -> Examples:
        """Chain, answer and difficulty of prompts (N, L) that somebody typed, right-padded with 0.

        Where the task has numeric symbols, the numbers behind the tokens (N, L) are a second argument.

        Raises:
            ValueError: one of them is no problem of this kind; says what was expected.
        """
        raise NotImplementedError(f"{type(self).__name__} does not work out typed problems")

    def variants(self, examples: Examples, rng: np.random.Generator) -> Examples | None:
        """The same problems in another form, as hard, with the same answers as ``examples`` has (a wrong one that was
        planted stays): commuted operands, for instance.  None: there is no such form, or its key would be another, so
        that it might be held out.
        """
        return None

    def difficulties(self, split: str) -> range:
        """The difficulties of a split's problems; empty if the task has none."""
        bounds = self.ood_difficulty if split in ("ood", "ood_test") else self.train_difficulty
        return range(bounds[0], bounds[1] + 1) if bounds else range(0)


def uniform(key: IntArray, seed: int) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for every row of ``key``, by the finaliser of SplitMix64 (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        state = np.full(len(key), np.uint64(seed % 2**64) * _GOLDEN + _GOLDEN, dtype=np.uint64)
        for column in key.T:
            state = _mixed(state ^ column.astype(np.uint64)) + _GOLDEN
    numbers: npt.NDArray[np.float64] = (state >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return numbers


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mixed(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: npt.NDArray[np.uint64] = state ^ (state >> np.uint64(31))
    return mixed


def _padded(tokens: IntArray, width: int) -> IntArray:
    return np.pad(tokens, ((0, 0), (0, width - tokens.shape[1])))
