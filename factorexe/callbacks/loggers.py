"""Where the points of the training curve go: TensorBoard, a table of their own, or nowhere.

    tensorboard   events.out.*    with text samples, one chart for all splits and the HParams tab
    csv           curve.csv       one row for each point, a cell empty where a point lacks that number
    none          nothing         metrics.csv still has a row per evaluation

A resumed run cuts its curve back to the step that it goes on from, and writes the rest again.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch.utils.tensorboard import summary

from factorexe.metrics import Row, as_csv, read_rows
from factorexe.rundir import RunDirectory, write

Charts: TypeAlias = Mapping[str, Mapping[str, Sequence[Any]]]  # group -> title -> kind, and patterns of tags

_SPLITS = "(train|seen|val|ood)"
LAYOUT: Charts = {
    "generalization": {
        "solved": ["Multiline", [f"solved/{_SPLITS}"]],
        "loss": ["Multiline", [f"loss/{_SPLITS}"]],
        "token accuracy": ["Multiline", [f"token_accuracy/{_SPLITS}"]],
        "gap in solved": ["Multiline", ["gap/solved"]],
        "gap in loss": ["Multiline", ["gap/loss"]],
    },
}
_RESULTS = ("solved/seen", "solved/val", "solved/ood", "loss/val")


def logger_for(kind: str, directory: RunDirectory, reached: int | None) -> Logger | None:
    """The logger called ``kind``: ``tensorboard``, ``csv`` or ``none``.

    Args:
        reached: step that the run goes on from; None if it begins.
    """
    if kind == "tensorboard":
        return EventLogger(directory.path, purge_step=0 if reached is None else reached + 1)
    return CurveFile(directory.curve, reached) if kind == "csv" else None


class EventLogger(TensorBoardLogger):
    """TensorBoard events straight in the run's directory, and no other file."""

    def __init__(self, directory: Any, purge_step: int) -> None:
        super().__init__(directory, name="", version="", default_hp_metric=False, purge_step=purge_step)

    def begin(self, options: Mapping[str, Any], charts: Charts) -> None:
        """Puts the splits on the same chart, with more ``charts`` after it, and a run's options in the HParams tab: in
        the same event file and without made-up points."""
        self.experiment.add_custom_scalars({**LAYOUT, **charts})
        experiment, start, _ = summary.hparams(dict(options), dict.fromkeys(_RESULTS, 0.0))  # type: ignore[no-untyped-call]
        self._summarise(experiment)
        self._summarise(start)

    def complete(self) -> None:
        """Tells the HParams tab that the run is complete."""
        self._summarise(summary.hparams({}, {})[2])  # type: ignore[no-untyped-call]

    def _summarise(self, what: Any) -> None:
        self.experiment.file_writer.add_summary(what)

    def save(self) -> None:
        """Events are flushed as they come; options stand in config.yaml."""
        self.experiment.flush()


class CurveFile(Logger):
    """Adds a row to a table for each point; the table is written anew only where a number has a name it lacks."""

    def __init__(self, file: Path, reached: int | None) -> None:
        self.file = file
        rows = [row for row in _found(file) if reached is not None and row["step"] <= reached]
        self._names: list[str] = []
        self._write(rows)

    @property
    def name(self) -> str:
        """That of the file."""
        return self.file.name

    @property
    def version(self) -> None:
        """None: a run has one curve."""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Options stand in config.yaml."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Writes a point down."""
        row = {"step": step, **metrics}
        if not set(row) <= set(self._names):
            self._write([*_found(self.file), row])
            return
        with open(self.file, "a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self._names, lineterminator="\n").writerow(row)

    def _write(self, rows: Sequence[Any]) -> None:
        self._names = list(dict.fromkeys(name for row in rows for name in row))
        write(self.file, as_csv(rows) if rows else "")


def _found(file: Path) -> list[Row]:
    """The points in a file.  A last one that was torn never happened; a damaged file is set aside."""
    if not file.exists():
        return []
    whole = file.read_bytes().rfind(b"\n") + 1
    os.truncate(file, whole)
    try:
        return [{**row, "step": int(row["step"])} for row in read_rows(file)]
    except ValueError:
        file.replace(file.with_name(file.name + ".damaged"))
        return []
