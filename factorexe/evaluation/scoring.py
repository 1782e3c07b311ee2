"""Score a run's weights on splits, by the very pass that scores them in training.

record = evaluate(reloaded(run), ("val", "ood"))
record["solved"]["val"]                  {"rate": 0.996, "n": 1000, "interval": [0.990, 0.998]}
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning.pytorch as lightning
from torch.utils.data import DataLoader

from factorexe.callbacks.samples import Samples
from factorexe.evaluation.at_work import as_in_training, learner_of, loader_of
from factorexe.evaluation.reloading import Reloaded
from factorexe.layout import Batch
from factorexe.rundir import RunError
from factorexe.scores import Score


def evaluate(reloaded: Reloaded, splits: Sequence[str]) -> dict[str, Any]:
    """Solved rates, losses and sample answers of every split that holds problems.

    Raises:
        RunError: none of them does.
    """
    started = time.perf_counter()
    task_changed = any(path.startswith("task.") for path in reloaded.changed)
    names = [split for split in splits if not (task_changed and split == "seen")]
    data = _Scored(reloaded.built.data, names)
    if not data.evaluated:
        raise RunError(f"{reloaded.run.path}: its task has no problems in {' or '.join(names)}")
    samples = Samples(reloaded.built.layout)
    learner = learner_of(reloaded)
    with as_in_training(reloaded, [samples]) as trainer:
        trainer.validate(learner, datamodule=data, verbose=False)
    return {
        "checkpoint": reloaded.checkpoint,
        "step": reloaded.step,
        "changed": {path: list(values) for path, values in reloaded.changed.items()},
        **_numbers(splits, learner.scores),
        "samples": [sample._asdict() for sample in samples.latest],
        "wall_time_s": round(time.perf_counter() - started, 2),
    }


def _numbers(splits: Sequence[str], scores: Mapping[str, Score]) -> dict[str, Any]:
    """The scores by name and split, in the words of result.json; None where a split holds nothing."""

    def each(value: Callable[[Score], Any]) -> dict[str, Any]:
        return {split: value(scores[split]) if split in scores else None for split in splits}

    def by_difficulty(name: str) -> dict[str, Any]:
        return each(lambda score: {str(level): getattr(rate, name) for level, rate in score.by_difficulty.items()})

    return {
        "solved": each(lambda score: {"rate": score.solved, "n": score.n, "interval": list(score.interval)}),
        "loss": each(lambda score: score.loss),
        "token_accuracy": each(lambda score: score.token_accuracy),
        "solved_by_difficulty": by_difficulty("rate"),
        "interval_by_difficulty": by_difficulty("interval"),
        "n_by_difficulty": by_difficulty("n"),
        "compute_per_problem": each(lambda score: score.compute),
        "qualities": each(lambda score: score.qualities),
    }


class _Scored(lightning.LightningDataModule):
    """Some splits of a data module, to be scored by the pass that training uses."""

    def __init__(self, data: Any, splits: Sequence[str]) -> None:
        super().__init__()
        self.solved = data.solved
        if hasattr(data, "qualities"):
            self.qualities = data.qualities
        self.batches = {split: data.evaluation_batches(split) for split in splits}
        self.evaluated = tuple(split for split in splits if self.batches[split])

    def evaluation_batches(self, split: str) -> list[Batch]:
        """All fixed problems of a split, once."""
        return list(self.batches[split])

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """One loader per split of ``evaluated``."""
        return [loader_of(self.batches[split]) for split in self.evaluated]
