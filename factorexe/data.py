"""A LightningDataModule for any task: ready batches, each a pure function of its index.

The train loader is one endless stream that starts where the run stands; with worker processes, worker w of W
makes batches w, w + W, ... and the loader interleaves them, so the order never depends on W::

    data = TaskDataModule(task, layout, DataConfig(train_size=2500), seed=0)
    data.batch("train", 7)          # the same Batch everywhere

Under a curriculum a train batch is one of the difficulties in play at its step.  What an adaptive one has decided
is the module's only state, and is kept in checkpoints.

A task may bring its own module instead (``Task.datamodule``).  It is called with the same arguments and
offers the same ``batch``, ``evaluated``, ``evaluation_batches``, ``solved`` and Lightning's loaders; with ``in_play``
and ``learned`` as well it may follow a curriculum.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import lightning.pytorch as lightning
import numpy as np
import torch
import torch.distributed as distributed
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from factorexe.curriculum import Curriculum, UniformConfig
from factorexe.generation import Generated
from factorexe.layout import Batch, SequenceLayout
from factorexe.splits import Splits
from factorexe.tasks.base import Examples, IntArray, Task

SCORED = ("seen", "val", "ood")  # by every evaluation of a run; test and ood_test are read by `test` alone
EVALUATION_ROWS = 500


class TaskDataModule(lightning.LightningDataModule):
    """Batches of one task in one layout.

    Args:
        options: a ``DataConfig``.
        seed: the run's seed.

    Attributes:
        batches_per_step: batches that training adds up for one step; a curriculum counts steps.
    """

    batches_per_step: int = 1

    def __init__(self, task: Task, layout: SequenceLayout, options: Any, seed: int) -> None:
        super().__init__()
        self.task, self.layout, self.options = task, layout, options
        self.splits = Splits(
            task,
            train_size=options.train_size,
            train_fraction=options.train_fraction,
            eval_size=options.eval_size,
            split_seed=options.split_seed,
            seed=seed,
            corrupt=options.corrupt,
            mixture=options.mixture,
            chain=layout.chain,
        )
        self._orders: dict[str, IntArray] = {}
        if _chosen(options.curriculum):
            self.splits.entry = self._entry

    def __str__(self) -> str:
        """Lightning's own version builds every loader to print them."""
        return f"{type(self).__name__}({self.task!r})"

    @property
    def evaluated(self) -> tuple[str, ...]:
        """The scored splits that hold problems, in the order of ``val_dataloader``."""
        return tuple(split for split in SCORED if len(self.splits.evaluation(split)))

    def batch(self, split: str, index: int) -> Batch:
        """Batch ``index`` of a split: the training order, or the split's fixed problems over and over, in one order in
        which their difficulties are mixed.

        Raises:
            ValueError: the split holds no problem.
        """
        size = self.options.batch_size
        if split == "train":
            return self.layout.batch(self._train_batch(index, size), self._length("train"))
        examples, order = self.splits.evaluation(split), self._mixed(split)
        if not len(order):
            raise ValueError(f"{split} holds no problem")
        rows = order[np.arange(index * size, (index + 1) * size) % len(order)]
        return self.layout.batch(examples.select(rows), self._length(split))

    def _mixed(self, split: str) -> IntArray:
        """The problems of a split in another order, always the same one; they stand difficulty by difficulty."""
        if split not in self._orders:
            count = len(self.splits.evaluation(split))
            self._orders[split] = np.random.default_rng([self.options.split_seed, count]).permutation(count)
        return self._orders[split]

    def variants(self, batch: Batch, rng: np.random.Generator) -> Batch | None:
        """The problems of a training batch in another form with the same label; None where the task offers none."""
        found = self.task.variants(batch.examples, rng)
        return None if found is None else self.layout.batch(found, self._length("train"))

    def _train_batch(self, index: int, size: int) -> Examples:
        if self.curriculum is None:
            return self.splits.train_batch(index, size)
        stage = self.curriculum.stage(index // self.batches_per_step)
        return self.splits.train_batch(index - stage.since * self.batches_per_step, size, stage.hardest)

    @cached_property
    def curriculum(self) -> Curriculum | None:
        """Which difficulties are in play; None: all of them, from the first step on."""
        chosen = self.options.curriculum
        return chosen.build(self.splits.levels) if _chosen(chosen) else None

    def _entry(self, level: int) -> int:
        return level if self.curriculum is None else self.curriculum.entry(level)

    def in_play(self, step: int) -> int | None:
        """The hardest difficulty that a training step draws from; None without a curriculum."""
        return None if self.curriculum is None else self.curriculum.stage(step).hardest

    def learned(self, step: int, scores: Mapping[str, Any]) -> None:
        """Tells the curriculum what an evaluation after ``step`` steps found: of seen alone, so that no problem
        that is held out steers training."""
        if self.curriculum is not None and "seen" in scores:
            self.curriculum.learned(step, {level: rate.rate for level, rate in scores["seen"].by_difficulty.items()})

    def state_dict(self) -> dict[str, Any]:
        """What the curriculum has decided."""
        return {} if self.curriculum is None else self.curriculum.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from there."""
        if self.curriculum is not None:
            self.curriculum.load_state_dict(state_dict)

    def evaluation_batches(self, split: str) -> list[Batch]:
        """All fixed problems of a split, once; none of a split that is empty."""
        examples = self.splits.evaluation(split)
        if not len(examples):
            return []
        length = self._length(split)
        starts = range(0, len(examples), EVALUATION_ROWS)
        return [self.layout.batch(examples.select(slice(s, s + EVALUATION_ROWS)), length) for s in starts]

    def solved(self, batch: Batch, generated: Generated) -> Tensor:
        """(B,) whether each generated answer is right."""
        return torch.from_numpy(self.task.solved(*self._answered(batch, generated)))

    def qualities(self, batch: Batch, generated: Generated) -> dict[str, Tensor]:
        """What else the task says of each generated answer, by name (B,); NaN where it cannot be said."""
        if type(self.task).qualities is Task.qualities:
            return {}  # most tasks say nothing more, and reading the answers again takes time
        found = self.task.qualities(*self._answered(batch, generated))
        return {name: torch.from_numpy(numbers) for name, numbers in found.items()}

    def _answered(self, batch: Batch, generated: Generated) -> tuple[Any, ...]:
        """What ``solved`` and ``qualities`` of the task are called with."""
        values = self.layout.answer_values(generated.tokens, generated.values)
        answered = batch.examples, self.layout.answers(generated.tokens)
        return answered if values is None else (*answered, values)

    def train_dataloader(self) -> Iterable[Batch]:
        """The endless stream, from the batch the run has reached."""
        start = 0
        if self.trainer is not None:
            start = self.trainer.global_step * self.trainer.accumulate_grad_batches
        workers = self.options.num_workers
        if not workers:
            return _Stream(self, start)  # without processes a loader only adds time
        return DataLoader(_Stream(self, start), batch_size=None, num_workers=workers, persistent_workers=workers > 0)

    def val_dataloader(self) -> Sequence[DataLoader[Batch]]:
        """One loader per split of ``evaluated``."""
        return [_ready(self.evaluation_batches(split)) for split in self.evaluated]

    def _length(self, split: str) -> int:
        return self.layout.length(self.task.difficulties(split))


def _ready(batches: list[Batch]) -> DataLoader[Batch]:
    """A loader of batches that exist already; its own generator keeps it off the default one."""
    return DataLoader(batches, batch_size=None, generator=torch.Generator())  # type: ignore[arg-type]


class _Stream(IterableDataset[Batch]):
    """Training batches from ``start`` on."""

    def __init__(self, data: TaskDataModule, start: int) -> None:
        self.data, self.start = data, start

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        index = self.start + (worker.id if worker else 0)
        while True:
            yield _own(self.data.batch("train", index))
            index += worker.num_workers if worker else 1


def _own(batch: Batch) -> Batch:
    """The rows of this process: every R-th of those of all R that train together."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return batch
    return batch.select(torch.arange(distributed.get_rank(), len(batch), distributed.get_world_size()))


def _chosen(curriculum: Any) -> bool:
    """Whether not all difficulties are in play from the first step on."""
    return curriculum is not None and not isinstance(curriculum, UniformConfig)


def datamodule(task: Task, layout: SequenceLayout, options: Any, seed: int, batches_per_step: int = 1) -> Any:
    """The module the task brings, or the generic one.

    Raises:
        TypeError: the task's own is not a ``lightning.pytorch.LightningDataModule``, or lacks a method.
    """
    data = _module_class(task, _chosen(options.curriculum))(task, layout, options, seed)
    if isinstance(data, TaskDataModule):
        data.batches_per_step = batches_per_step
    return data


def _module_class(task: Task, in_stages: bool) -> Any:
    if task.datamodule is None:
        return TaskDataModule
    where, _, name = task.datamodule.partition(":")
    cls = getattr(importlib.import_module(where), name)
    if not (isinstance(cls, type) and issubclass(cls, lightning.LightningDataModule)):
        raise TypeError(
            f"{task.datamodule} is not a lightning.pytorch.LightningDataModule"
            " (one of the package pytorch_lightning is another class: import lightning.pytorch)"
        )
    lacking = [part for part in ("batch", "evaluated", "evaluation_batches", "solved") if not hasattr(cls, part)]
    if lacking:
        raise TypeError(f"{task.datamodule} lacks {', '.join(lacking)}")
    if in_stages and not (hasattr(cls, "learned") and hasattr(cls, "in_play")):
        raise TypeError(f"{task.datamodule} makes its own batches and follows no curriculum; use uniform")
    return cls
