"""Memorization against generalization: seen, val and ood scored by the same pass, at step cadence.

After every evaluation one row of numbers goes to metrics.csv and to the training curve: solved rate and loss per
split, their gaps (seen minus val in solved, val minus seen in loss) and the solved rate by difficulty::

    {"step": 500, "solved/seen": 0.995, "solved/val": 0.977, "gap/solved": 0.018, ...}

The best row is the one with the highest solved rate on val, then the lowest val loss.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning

from factorexe.callbacks.base import Instrument
from factorexe.callbacks.curves import TrainingCurve
from factorexe.callbacks.instrument import ChosenInstrument
from factorexe.metrics import Row, as_csv
from factorexe.rundir import write
from factorexe.scores import Score


class GeneralizationMonitor(Instrument):
    """Keeps a row per evaluation.

    Args:
        file: metrics.csv.
        curve: knows the training loss.
        problems_per_step: problems in one optimizer step.
        started: ``time.perf_counter()`` when the run was started.
        instruments: whose numbers belong in the rows; their hooks run before the monitor's.
    """

    def __init__(
        self,
        file: Path,
        curve: TrainingCurve,
        problems_per_step: int,
        started: float,
        instruments: Sequence[ChosenInstrument] = (),
    ) -> None:
        self.file, self.curve, self.problems_per_step = file, curve, problems_per_step
        self.instruments = instruments
        self.rows: list[Row] = []
        self.best: int | None = None  # number of the best row
        self.evaluation_time = 0.0
        self.latest: dict[str, Any] = {}  # n, interval and rates by difficulty of each split, as in result.json
        self._started, self._earlier = started, 0.0
        self._began = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Rows and times so far."""
        return {
            "rows": self.rows,
            "best": self.best,
            "latest": self.latest,
            "evaluation_time": self.evaluation_time,
            "wall_time": self.wall_time,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from there."""
        self.rows, self.best, self.latest = state_dict["rows"], state_dict["best"], state_dict["latest"]
        self.evaluation_time, self._earlier = state_dict["evaluation_time"], state_dict["wall_time"]

    @property
    def wall_time(self) -> float:
        """Seconds over all sittings of the run."""
        return self._earlier + time.perf_counter() - self._started

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Starts the clock of this evaluation."""
        self._began = time.perf_counter()

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """One row."""
        self.evaluation_time += time.perf_counter() - self._began
        scores: dict[str, Score] = pl_module.scores
        self.latest = {split: _details(score) for split, score in scores.items()}
        step = trainer.global_step
        if self.rows and self.rows[-1]["step"] == step:
            self.rows.pop()  # evaluated again after a resume: the same numbers
        numbers = self._numbers(scores) | _in_play(trainer, max(0, step - 1))
        self.rows.append({"step": step, "examples": step * self.problems_per_step, **numbers})
        for instrument in self.instruments:
            self.rows[-1] |= instrument.numbers()
            numbers |= {} if instrument.logs_itself else instrument.numbers()
        self.rows[-1]["wall_time_s"] = round(self.wall_time, 3)
        if self.best is None or self.best >= len(self.rows) - 1 or _rank(self.rows[-1]) > _rank(self.rows[self.best]):
            self.best = len(self.rows) - 1
        write(self.file, as_csv(self.rows))
        if trainer.logger is not None:
            shown = {tag: value for tag, value in numbers.items() if tag != "loss/train"}
            shown["perf/evaluation_share"] = self.evaluation_time / max(self.wall_time, 1e-9)
            trainer.logger.log_metrics(shown, step)

    @property
    def is_best(self) -> bool:
        """Whether the latest evaluation is the best so far."""
        return self.best == len(self.rows) - 1

    def _numbers(self, scores: dict[str, Score]) -> Row:
        row = {"loss/train": self.curve.latest}
        for name in ("loss", "solved", "token_accuracy"):
            row |= {f"{name}/{split}": getattr(score, name) for split, score in scores.items()}
        if "seen" in scores and "val" in scores:
            row["gap/solved"] = scores["seen"].solved - scores["val"].solved
            row["gap/loss"] = scores["val"].loss - scores["seen"].loss
        row |= {f"compute/{split}": score.compute for split, score in scores.items()}
        for split, score in scores.items():
            row |= {f"solved_by_difficulty/{split}/{d}": rate.rate for d, rate in score.by_difficulty.items()}
            row |= {f"quality/{name}/{split}": mean for name, mean in score.qualities.items()}
        return row


def _in_play(trainer: lightning.Trainer, step: int) -> Row:
    """The hardest difficulty that a training step drew from, under a curriculum."""
    data: Any = getattr(trainer, "datamodule", None)
    hardest = data.in_play(step) if hasattr(data, "in_play") else None
    return {} if hardest is None else {"curriculum/difficulty": hardest}


def _details(score: Score) -> dict[str, Any]:
    rates = {
        str(level): {"rate": rate.rate, "interval": list(rate.interval), "n": rate.n}
        for level, rate in score.by_difficulty.items()
    }
    interval = list(score.interval)
    return {"n": score.n, "interval": interval, "by_difficulty": rates, "qualities": dict(score.qualities)}


def _rank(row: Row) -> tuple[float, float]:
    """Highest val solved, then lowest val loss."""
    return row.get("solved/val", 0.0), -row.get("loss/val", float("inf"))
