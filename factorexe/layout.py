"""From problems to tensors: what a sequence holds, and where it is supervised.

The layout ``sequence`` writes one problem as one row of tokens, with three marks of its own after the task's
alphabet.  With the chain, and what is supervised underlined::

    1 2 * 3 4 <chain> + 8 4 0 ... <answer> 8 0 4 0 <end>
                      ----------------------------------

Without it the row is ``1 2 * 3 4 <answer> 8 0 4 0 <end>``.  Rows are left-aligned for training; prompts are
right-aligned (padded on the left) for decoding, so that every row continues at the same column.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from factorexe.tasks.base import BoolArray, Examples, FloatArray, IntArray, Task


@dataclasses.dataclass(frozen=True)
class Batch:
    """Problems as tensors.  B examples, T positions."""

    tokens: Tensor  # (B, T)
    prompt_length: Tensor  # (B,) tokens that are given: the prompt and the mark after it
    examples: Examples
    targets: Tensor | None = None  # (B, T) the token that follows
    weights: Tensor | None = None  # (B, T) 1 where the target is supervised, else 0
    positions: Tensor | None = None  # (B, T) counted from each row's first token; None: as they stand
    places: Tensor | None = None  # (B, T) place ids, 0 where a token has none; None: the model reads none
    values: Tensor | None = None  # (B, T) the numbers behind numeric tokens, elsewhere 1; None: the task has none
    target_values: Tensor | None = None  # (B, T) the numbers behind the targets
    steps: Tensor | None = None  # (B,) depth of a looped model; None: its own
    extra: Mapping[str, Tensor] = dataclasses.field(default_factory=dict)  # drawn for these rows, (B, ...) each

    def __len__(self) -> int:
        return len(self.tokens)

    def select(self, rows: Tensor) -> Batch:
        """The batch at ``rows`` (indices)."""
        kept: dict[str, Any] = {name: value[rows] for name, value in self._tensors().items()}
        kept["extra"] = {name: value[rows] for name, value in self.extra.items()}
        return dataclasses.replace(self, **kept, examples=self.examples.select(rows.cpu().numpy()))

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The batch with its tensors on ``device``."""
        if self.tokens.device == torch.device(device):
            return self
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=non_blocking) for name, value in self._tensors().items()
        }
        moved["extra"] = {name: value.to(device, non_blocking=non_blocking) for name, value in self.extra.items()}
        return dataclasses.replace(self, **moved)

    def _tensors(self) -> dict[str, Tensor]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}


class SequenceLayout:
    """One problem, one row of tokens.

    Args:
        task: whose alphabet and widths are used.
        chain: whether a row holds the chain between prompt and answer.
        keep_steps: keep every ``keep_steps``-th step of the chain.
        places: whether batches hold the place of every token.
    """

    def __init__(self, task: Task, *, chain: bool, keep_steps: int = 1, places: bool = False) -> None:
        self.task, self.chain, self.keep_steps = task, chain, keep_steps
        self.reads_places = places
        first_mark = len(task.symbols)
        self.chain_mark, self.answer_mark, self.end_mark = range(first_mark, first_mark + 3)
        self.symbols = (*task.symbols, "<chain>", "<answer>", "<end>")
        self.vocabulary = len(self.symbols)
        self.numeric = torch.tensor(task.numeric, dtype=torch.long)  # tokens with a number behind them
        levels = [*task.difficulties("train"), *task.difficulties("ood")]
        self.max_length = self.length(levels)

    def length(self, difficulties: Iterable[int]) -> int:
        """Columns of a training batch that holds these difficulties: a row without its last token."""
        return max(sum(self._widths(level)) for level in difficulties)

    def limit(self, difficulties: Iterable[int]) -> int:
        """Tokens a model may generate for these difficulties: chain, answer and their marks."""
        return max(sum(self._widths(level)[1:]) for level in difficulties)

    def length_for(self, examples: Examples) -> int:
        """Positions that these problems and their solutions take up."""
        return int((examples.prompt != 0).sum(axis=1).max()) + self.limit_for(examples)

    def limit_for(self, examples: Examples) -> int:
        """Tokens a model may generate for these problems; more than their difficulties need where a solution is
        longer."""
        chain = 1 + examples.chain.shape[1] if self.chain else 0
        solution = chain + int(examples.answer.shape[1]) + 1
        return max(self.limit(np.unique(examples.difficulty).tolist()), solution)

    def _widths(self, level: int) -> tuple[int, int, int]:
        """Prompt, chain and its mark, answer and its mark; the end mark is never an input."""
        widths = self.task.widths(level)
        return widths.prompt, (widths.chain + 1 if self.chain else 0), widths.answer + 1

    def batch(self, examples: Examples, length: int) -> Batch:
        """A training batch of ``length`` columns."""
        pieces = [examples.prompt]
        numbers: list[FloatArray | None] = [examples.values.prompt if examples.values else None]
        if self.chain:
            kept = (examples.chain_step + 1) % self.keep_steps == 0
            pieces += [self._column(examples, self.chain_mark), np.where(kept, examples.chain, 0)]
            numbers += [None, examples.values.chain if examples.values else None]
        pieces += [
            self._column(examples, self.answer_mark),
            examples.answer,
            self._column(examples, self.end_mark),
        ]
        numbers += [None, examples.values.answer if examples.values else None, None]
        rows = _left_aligned(np.concatenate(pieces, axis=1), length + 1)
        values = self._numbers(pieces, numbers, length + 1)
        given = (examples.prompt != 0).sum(axis=1) + 1
        supervised = (np.arange(1, length + 1) >= given[:, None]) & (rows[:, 1:] != 0)
        return Batch(
            tokens=torch.from_numpy(np.ascontiguousarray(rows[:, :-1])),
            targets=torch.from_numpy(np.ascontiguousarray(rows[:, 1:])),
            weights=torch.from_numpy(supervised.astype(np.float32)),
            prompt_length=torch.from_numpy(given),
            examples=examples,
            places=torch.from_numpy(self.task.places(rows[:, :-1], given)) if self.reads_places else None,
            values=None if values is None else torch.from_numpy(np.ascontiguousarray(values[:, :-1])),
            target_values=None if values is None else torch.from_numpy(np.ascontiguousarray(values[:, 1:])),
        )

    def prompts(self, examples: Examples) -> Batch:
        """Prompts with the mark after them, right-aligned, ready to be continued."""
        mark = self.chain_mark if self.chain else self.answer_mark
        tokens = np.concatenate([examples.prompt, self._column(examples, mark)], axis=1)
        given = (tokens != 0).sum(axis=1)
        width = int(given.max(initial=1))
        rows = _left_aligned(tokens, width)
        shift = width - given[:, None]
        source = np.arange(width) - shift
        rows = np.where(source >= 0, np.take_along_axis(rows, np.maximum(source, 0), axis=1), 0)
        values = self._numbers(
            [examples.prompt, tokens[:, -1:]], [examples.values.prompt if examples.values else None, None], width
        )
        if values is not None:
            values = np.where(source >= 0, np.take_along_axis(values, np.maximum(source, 0), axis=1), 1).astype(
                np.float32
            )
        return Batch(
            tokens=torch.from_numpy(rows),
            prompt_length=torch.from_numpy(given),
            positions=torch.from_numpy(np.maximum(source, 0)),
            examples=examples,
            places=torch.from_numpy(self._places(rows, given)) if self.reads_places else None,
            values=None if values is None else torch.from_numpy(values),
        )

    def following_places(self, tokens: Tensor, prompt_length: Tensor) -> Tensor | None:
        """The place (B, 1) of the newest token of right-aligned rows (B, T); None if the model reads none."""
        if not self.reads_places:
            return None
        places = self._places(tokens.cpu().numpy(), prompt_length.cpu().numpy())
        return torch.from_numpy(places[:, -1:]).to(tokens.device)

    def _places(self, tokens: IntArray, given: IntArray) -> IntArray:
        """The places of right-aligned rows."""
        column = np.arange(tokens.shape[1])
        lead = (tokens != 0).argmax(axis=1)[:, None]
        there = np.minimum(column + lead, tokens.shape[1] - 1)
        places = self.task.places(np.where(column + lead <= there, np.take_along_axis(tokens, there, axis=1), 0), given)
        return np.where(column >= lead, np.take_along_axis(places, np.maximum(column - lead, 0), axis=1), 0)

    def answers(self, generated: Tensor) -> IntArray:
        """The answers (N, width) in generated rows (N, L): what stands between the last two marks.

        A row that did not end, or has no answer mark, answers nothing.
        """
        tokens, inside = self._answered(generated)
        return _left_aligned(np.where(inside, tokens, 0), max(1, int(inside.sum(axis=1).max(initial=1))))

    def answer_values(self, generated: Tensor, values: Tensor | None) -> FloatArray | None:
        """The numbers behind the tokens of ``answers``; None where nothing has one."""
        if values is None or not len(self.numeric):
            return None
        tokens, inside = self._answered(generated)
        numbers = values.cpu().numpy().astype(np.float64)
        numbers = np.pad(numbers, ((0, 0), (tokens.shape[1] - numbers.shape[1], 0)), constant_values=1)
        found = np.where(inside, tokens, 0)
        return _aligned_like(found, numbers, max(1, int(inside.sum(axis=1).max(initial=1))))

    def _answered(self, generated: Tensor) -> tuple[IntArray, BoolArray]:
        """Generated rows with an answer mark in them, and where their answers stand."""
        tokens = generated.cpu().numpy()
        if not self.chain:
            tokens = np.concatenate([np.full((len(tokens), 1), self.answer_mark), tokens], axis=1)
        ended = tokens == self.end_mark
        end = np.where(ended.any(axis=1), ended.argmax(axis=1), -1)[:, None]
        column = np.arange(tokens.shape[1])
        marks = (tokens == self.answer_mark) & (column < end)
        start = np.where(marks.any(axis=1), tokens.shape[1] - 1 - marks[:, ::-1].argmax(axis=1), tokens.shape[1])
        return tokens, (column > start[:, None]) & (column < end)

    def chains(self, generated: Tensor) -> IntArray:
        """The generated chains (N, width): everything before the answer mark, or all of it without one."""
        tokens = generated.cpu().numpy()
        if not self.chain:
            return np.zeros((len(tokens), 0), dtype=np.int64)
        seen_mark = np.cumsum(tokens == self.answer_mark, axis=1) > 0
        return np.where(seen_mark, 0, tokens)

    def solutions(self, generated: Tensor, values: Tensor | None) -> list[tuple[str, str]]:
        """Chain and answer of generated rows (N, L) as text; ``(none)`` where a row answers nothing."""
        answers, behind = self.answers(generated), self.answer_values(generated, values)
        chains, numbers = self.chains(generated), None if values is None else values.cpu().numpy()
        return [
            (
                self.text(chains[row], None if numbers is None else numbers[row]),
                self.text(answers[row], None if behind is None else behind[row]) or "(none)",
            )
            for row in range(len(answers))
        ]

    def text(self, tokens: IntArray, values: FloatArray | None = None) -> str:
        """One row of tokens as text, whatever stands in it."""
        marks = {self.chain_mark: " <chain> ", self.answer_mark: " <answer> ", self.end_mark: " <end>"}
        between = self.task.separator
        numbers = np.ones(len(tokens)) if values is None else values
        words = [
            marks.get(int(token)) or self.task.text(np.array([token]), _rounded(numbers[[place]])) + between
            for place, token in enumerate(tokens)
            if token
        ]
        return " ".join("".join(words).split()) if between else "".join(words).strip()

    def _numbers(
        self, pieces: Sequence[IntArray], numbers: Sequence[FloatArray | None], width: int
    ) -> npt.NDArray[np.float32] | None:
        """The numbers behind pieces of rows, aligned as their tokens are; None where the task has none."""
        if not self.task.numeric:
            return None
        tokens = np.concatenate(pieces, axis=1)
        behind = np.concatenate(
            [np.ones(piece.shape) if known is None else known for piece, known in zip(pieces, numbers, strict=True)],
            axis=1,
        )
        return _aligned_like(tokens, behind, width).astype(np.float32)

    @staticmethod
    def _column(examples: Examples, token: int) -> IntArray:
        return np.full((len(examples), 1), token, dtype=np.int64)


LAYOUTS = {"sequence": SequenceLayout}


def _rounded(numbers: FloatArray) -> FloatArray:
    """To the six digits that single precision is worth."""
    return np.array([float(f"{number:.6g}") for number in numbers])


def _left_aligned(tokens: IntArray, width: int) -> IntArray:
    """Each row's tokens without the zeros between them, padded with 0 to ``width``."""
    rows = np.zeros((len(tokens), width), dtype=np.int64)
    _move(tokens, tokens, rows)
    return rows


def _aligned_like(tokens: IntArray, numbers: FloatArray, width: int) -> FloatArray:
    """The numbers behind ``tokens``, where ``_left_aligned`` puts those; padded with 1."""
    rows = np.ones((len(tokens), width))
    _move(tokens, numbers, rows)
    return rows


def _move(tokens: IntArray, entries: Any, rows: Any) -> None:
    """Writes the entries behind each row's tokens into ``rows``, one after the other."""
    filled = tokens != 0
    place = np.cumsum(filled, axis=1) - 1
    at, column = np.nonzero(filled)
    rows[at, place[at, column]] = entries[at, column]
