"""Show what the model answers: a few problems of every evaluation, wrong ones first.

Each sample is one row of TensorBoard's Text tab::

    | split | problem | chain | answer | right answer | | compute |
    | val   | 123*456 | +8370+5160>88860+2940>880650 | 880650 | 880650 | right | 86 |
"""

from __future__ import annotations

from typing import Any, NamedTuple

import lightning.pytorch as lightning
import numpy as np

from factorexe.callbacks.base import Instrument
from factorexe.callbacks.loggers import EventLogger
from factorexe.layout import Batch, SequenceLayout


class Sample(NamedTuple):
    """One answered problem, as text."""

    split: str
    problem: str
    chain: str
    prediction: str
    answer: str
    right: bool
    compute: float


class Samples(Instrument):
    """Keeps ``count`` answers per split and evaluation; ``latest`` holds those of the last."""

    def __init__(self, layout: SequenceLayout, count: int = 8) -> None:
        self.layout, self.count = layout, count
        self.latest: list[Sample] = []
        self._wrong: dict[str, list[Sample]] = {}
        self._right: dict[str, list[Sample]] = {}

    def state_dict(self) -> dict[str, Any]:
        """The latest answers."""
        return {"latest": [tuple(sample) for sample in self.latest]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Those of the evaluation before."""
        self.latest = [Sample(*sample) for sample in state_dict["latest"]]

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """A new collection."""
        self._wrong, self._right = {}, {}

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Takes as many wrong and right ones as are still wanted."""
        split = trainer.datamodule.evaluated[dataloader_idx]  # type: ignore[attr-defined]
        solved = outputs.solved.cpu().numpy()
        for kept, rows in ((self._wrong, ~solved), (self._right, solved)):
            have = kept.setdefault(split, [])
            picked = np.flatnonzero(rows)[: self.count - len(have)]
            have += self._shown(split, outputs, batch, picked)

    def _shown(self, split: str, outputs: Any, batch: Batch, rows: Any) -> list[Sample]:
        if not len(rows):
            return []
        values = outputs.generated.values
        solutions = self.layout.solutions(outputs.generated.tokens[rows], None if values is None else values[rows])
        problems = [self.layout.task.texts(batch.examples, row) for row in rows]
        return [
            Sample(
                split,
                problems[i][0],
                *solutions[i],
                problems[i][2],
                bool(outputs.solved[row]),
                float(outputs.generated.compute[row]),
            )
            for i, row in enumerate(rows)
        ]

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Wrong ones first, at most ``count`` per split; to the Text tab."""
        self.latest = [
            sample for split in self._wrong for sample in (self._wrong[split] + self._right[split])[: self.count]
        ]
        if isinstance(trainer.logger, EventLogger):
            trainer.logger.experiment.add_text("samples", self.markdown(), trainer.global_step)

    def markdown(self) -> str:
        """The latest samples as a table."""
        head = "| split | problem | chain | answer | right answer | | compute |\n|---|---|---|---|---|---|---|\n"
        return head + "\n".join(
            f"| {s.split} | `{s.problem}` | `{s.chain or ' '}` | `{s.prediction}` | `{s.answer}` |"
            f" {'right' if s.right else 'WRONG'} | {s.compute:.0f} |"
            for s in self.latest
        )
