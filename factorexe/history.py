"""What a run's files tell of it, finished or not: its options, its evaluations, how sure the last one is.

    history = read("runs/multiplication/transformer/e5bd11cf6b23")
    history.options["task"]["name"]                "multiplication"
    history.rows[-1]["solved/val"]                 0.996
    history.levels("val")                          {3: 0.996}, solved at the last evaluation
    history.intervals["val"][3]                    (0.990, 0.998), once there is a result of that evaluation

No plug-in is imported: a run of a task that is not installed here has a history too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from factorexe.metrics import Row, read_rows
from factorexe.rundir import RunDirectory, RunError, read_json


class History(NamedTuple):
    """One run so far."""

    path: Path
    options: Mapping[str, Any]  # config.yaml
    rows: Sequence[Row]  # metrics.csv, at least one
    intervals: Mapping[str, Mapping[int, tuple[float, float]]]  # split -> difficulty -> 95 % interval, last row

    def curve(self, name: str) -> dict[int, float]:
        """Step -> number, where an evaluation has it."""
        return {int(row["step"]): row[name] for row in self.rows if name in row}

    def levels(self, split: str) -> dict[int, float]:
        """Difficulty -> solved rate at the last evaluation."""
        prefix = f"solved_by_difficulty/{split}/"
        last = self.rows[-1].items()
        return dict(sorted((int(name.removeprefix(prefix)), rate) for name, rate in last if name.startswith(prefix)))


def read(path: str | Path) -> History:
    """The history in a run's directory.

    Raises:
        RunError: it is not a run, has not been evaluated yet, or a file of it is damaged.
    """
    directory = RunDirectory(path)
    options, rows = _options(directory), _rows(directory)
    return History(directory.path, options, rows, _intervals(directory, rows[-1]["step"]))


def read_all(paths: Sequence[str | Path]) -> list[History]:
    """The histories of runs of one task, each once however often it is named.

    Raises:
        RunError: one of them cannot be read, or they are of different tasks.
    """
    once: dict[Path, str | Path] = {}
    for path in paths:
        once.setdefault(Path(path).resolve(), path)
    histories = [read(path) for path in once.values()]
    tasks: dict[str, Path] = {}
    for history in histories:
        tasks.setdefault(_name(history.options["task"]), history.path)
    if len(tasks) > 1:
        found = ", ".join(f"{task} ({path})" for task, path in tasks.items())
        raise RunError(f"expected runs of one task (got {found}); plot those of each task by themselves")
    return histories


def _options(directory: RunDirectory) -> Mapping[str, Any]:
    file = directory.config
    try:
        options = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(
            f"{directory.path} is not a run: it has no {file.name}; expected a directory such as runs/TASK/MODEL/ID"
        ) from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RunError(f"{file} cannot be read: {error}") from None
    if not isinstance(options, dict) or "task" not in options:
        raise RunError(f"{file} is damaged: expected the options of a run, task among them")
    return options


def _rows(directory: RunDirectory) -> list[Row]:
    file = directory.metrics
    try:
        rows = read_rows(file)
    except FileNotFoundError:
        rows = []
    except (OSError, ValueError) as error:
        raise RunError(f"{file} is damaged: {error}") from None
    if not rows:
        raise RunError(
            f"{directory.path} has no evaluation yet; the first is written to {file.name} at the step that"
            " trainer.val_check_interval says"
        )
    levels = [name.split("/", 1)[1] for name in rows[-1] if name.startswith("solved_by_difficulty/")]
    trained = [level for level in levels if level.startswith(("seen/", "val/"))]
    if not trained or not all(re.fullmatch(r"\w+/\d+", level, re.ASCII) for level in levels):
        raise RunError(f"{file} is damaged: expected columns solved_by_difficulty/SPLIT/DIFFICULTY, of seen or val")
    return rows


def _intervals(directory: RunDirectory, step: float) -> dict[str, dict[int, tuple[float, float]]]:
    """Those of result.json, if that is of this step: a run that is being extended is ahead of its result."""
    if not directory.result.exists():
        return {}
    result = read_json(directory.result)
    try:
        found = result["interval_by_difficulty"] if result["steps"] == step else {}
        return {
            split: {int(level): (float(low), float(high)) for level, (low, high) in levels.items()}
            for split, levels in found.items()
        }
    except (AttributeError, LookupError, TypeError, ValueError):
        raise RunError(f"{directory.result} is damaged: expected the record of a run, intervals among it") from None


def _name(choice: Any) -> str:
    """The name of a plug-in, written alone or with its options."""
    return str(choice.get("name") if isinstance(choice, dict) else choice)
