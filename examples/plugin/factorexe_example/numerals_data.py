"""Batches of the numerals, in shuffled rounds through the train rows of the file.

A task that names a module of its own (``datamodule = "module:Class"``) is batched by it, in training and in
every evaluation.  Every batch is a pure function of seed, split and index, so a resumed run and a worker
process get the same ones::

    data.batch("train", 7)    # rows 448 to 511 of the training order, for batches of 64
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lightning.pytorch as lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from factorexe.generation import Generated
from factorexe.layout import Batch, SequenceLayout
from factorexe.splits import SplitError
from factorexe.tasks.base import SPLITS, Examples, IntArray
from factorexe_example.numerals import Numerals

_ROWS = 500  # of an evaluation batch
_UNUSED = {"train_size": None, "mixture": None, "corrupt": 0.0}  # options of generated data


class NumeralsData(lightning.LightningDataModule):
    """Called like factorexe's own module; ``options`` is a ``DataConfig``."""

    def __init__(self, task: Numerals, layout: SequenceLayout, options: Any, seed: int) -> None:
        super().__init__()
        given = [f"--data.{name}" for name, unused in _UNUSED.items() if getattr(options, name) != unused]
        if given:
            raise SplitError(f"numerals come from a file that fixes them; leave out {', '.join(given)}")
        self.task, self.layout, self.options, self.seed = task, layout, options, seed
        table = task.problems()
        home = task.split(table, options.split_seed)
        self.problems = {split: table.select(home == number) for number, split in enumerate(SPLITS)}
        self.problems["seen"] = self.problems["train"]

    def __str__(self) -> str:
        """Lightning's own version builds every loader to print them."""
        return f"{type(self).__name__}({self.task!r})"

    @property
    def evaluated(self) -> tuple[str, ...]:
        """The scored splits, in the order of ``val_dataloader``."""
        return ("seen", "val", "ood")

    def batch(self, split: str, index: int) -> Batch:
        """Batch ``index`` of the training order, or of a split's fixed problems over and over."""
        size = self.options.batch_size
        examples = self.problems["train"] if split == "train" else self._fixed(split)
        place = np.arange(index * size, (index + 1) * size)
        rows = self._shuffled(place, len(examples)) if split == "train" else place % len(examples)
        return self._rendered(examples.select(rows), split)

    def evaluation_batches(self, split: str) -> list[Batch]:
        """All fixed problems of a split, once."""
        examples = self._fixed(split)
        starts = range(0, len(examples), _ROWS)
        return [self._rendered(examples.select(slice(start, start + _ROWS)), split) for start in starts]

    def solved(self, batch: Batch, generated: Generated) -> Tensor:
        """(B,) whether each generated answer is right."""
        return torch.from_numpy(self.task.solved(batch.examples, self.layout.answers(generated.tokens)))

    def train_dataloader(self) -> DataLoader[Batch]:
        """The endless training order, from the batch the run has reached."""
        trainer = self.trainer
        start = trainer.global_step * trainer.accumulate_grad_batches if trainer else 0
        return DataLoader(_Training(self, start), batch_size=None, num_workers=self.options.num_workers)

    def val_dataloader(self) -> list[DataLoader[Batch]]:
        """One loader per split of ``evaluated``."""
        return [DataLoader(self.evaluation_batches(split), batch_size=None) for split in self.evaluated]

    def _fixed(self, split: str) -> Examples:
        """The first ``eval_size`` problems of each difficulty."""
        examples = self.problems[split]
        found = [np.flatnonzero(examples.difficulty == level) for level in np.unique(examples.difficulty)]
        return examples.select(np.concatenate([rows[: self.options.eval_size] for rows in found]))

    def _shuffled(self, place: IntArray, count: int) -> IntArray:
        """The rows at these places of the training order: every round is a permutation."""
        rounds = range(place[0] // count, place[-1] // count + 1)
        order = [np.random.default_rng([self.seed, number]).permutation(count) for number in rounds]
        return np.concatenate(order)[place - rounds.start * count]

    def _rendered(self, examples: Examples, split: str) -> Batch:
        return self.layout.batch(examples, self.layout.length(self.task.difficulties(split)))


class _Training(IterableDataset[Batch]):
    """Training batches from ``start`` on; worker w of W makes every W-th."""

    def __init__(self, data: NumeralsData, start: int) -> None:
        self.data, self.start = data, start

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        index, stride = (self.start + worker.id, worker.num_workers) if worker else (self.start, 1)
        while True:
            yield self.data.batch("train", index)
            index += stride
