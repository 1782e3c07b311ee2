"""Problems of several tasks, mixed, over the union of their alphabets.

A prompt begins with a mark that says which task it is of; everything after it is written as that task writes it.
With ``--task.tasks addition,multiplication`` and numbers of two digits, 46 + 66 = 112 and 12 x 34 = 408::

    <addition> 4 6 + 6 6            chain  > 2 1 > 1 1                    answer  2 1 1
    <multiplication> 1 2 * 3 4      chain  + 8 4 0 + 6 3 0 > 8 0 4 0      answer  8 0 4 0

Tasks measure difficulty on axes of their own, so here it is the rank: level 1 holds the easiest problems of every
task, level 2 the next ones of those that have more; the first level out of distribution follows the longest training
range and holds the first one of every task.  What is right, which problems are the same and which split they are in
is left to each task.

Both et al. 2025 (arXiv:2505.18369) measure which tasks help one another when they are trained jointly.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import field_validator, model_validator

from factorexe.choice import Choices
from factorexe.tasks.arithmetic import DEFAULT
from factorexe.tasks.base import BoolArray, Examples, FloatArray, IntArray, Task, Widths
from factorexe.tasks.union import Part, Union, filled, mark

_SMALL = {"digits": 2, "base": 5}


class Mixture(Task):
    """Problems of several tasks, each marked with the task it is of."""

    axis: ClassVar[str] = "rank among each task's own difficulties"
    paper: ClassVar[str] = "Both et al. 2025, arXiv:2505.18369"
    # The default, seed 0: seen is 0.993 at step 600 and 1.000 at step 1,000, when val is 0.985: addition 1.000,
    # multiplication 0.970.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {
            **DEFAULT,
            "task.tasks": {"addition": {"digits": 2}, "multiplication": {"digits": 2}},
            "data.train_size": 2000,
            "data.eval_size": 400,
            "trainer.max_steps": 1000,
            "trainer.val_check_interval": 100,
        },
        "tiny": {
            "task.tasks": {"addition": _SMALL, "multiplication": _SMALL},
            "data.batch_size": 32,
            "data.train_size": 200,
            "data.eval_size": 100,
            "optim.warmup": 20,
            "trainer.max_steps": 200,
            "trainer.val_check_interval": 50,
        },
    }

    tasks: Annotated[Any, Choices("tasks", ("addition", "multiplication"))]
    """Tasks to draw from, each with its options."""
    weights: dict[str, float] | None = None
    """Weight of each task among those that have a level (addition=1,multiplication=3); uniform if not given."""

    @field_validator("weights")
    @classmethod
    def _by_name(cls, weights: dict[str, float] | None) -> dict[str, float] | None:
        return weights and {name.replace("_", "-"): weight for name, weight in weights.items()}

    @model_validator(mode="after")
    def _fit_together(self) -> Mixture:
        tasks = self.by_name
        if not all(isinstance(task, Task) for task in tasks.values()):
            return self  # one could not be loaded, which is said elsewhere
        for name, task in tasks.items():
            if isinstance(task, Mixture):
                raise ValueError("a mixture holds no mixture: name the tasks of that one themselves")
            if task.datamodule is not None:
                raise ValueError(f"{name} brings a data module of its own and cannot be mixed; leave it out")
        _refuse_clashes(tasks)
        if self.weights is not None and not (
            self.weights.keys() == tasks.keys()
            and all(0 <= weight < np.inf for weight in self.weights.values())
            and any(self.weights.values())
        ):
            raise ValueError(
                f"weights: expected one >= 0 for each of {', '.join(tasks)}, not all 0 (got {self.weights})"
            )
        return self

    @property
    def by_name(self) -> dict[str, Task]:
        """The tasks by name, in order."""
        return {key.replace("_", "-"): task for key, task in dict(self.tasks).items()}

    @property
    def symbols(self) -> tuple[str, ...]:
        """A mark for each task, then every symbol of theirs."""
        return self.union.symbols

    @property
    def numeric(self) -> tuple[int, ...]:
        """The numeric tokens of every task."""
        return tuple(sorted(self.union.numeric))

    @property
    def train_difficulty(self) -> tuple[int, int]:
        """One level for each difficulty of the task that has most."""
        return (1, max(len(task.difficulties("train")) for task in self._drawn))

    @property
    def ood_difficulty(self) -> tuple[int, int] | None:
        """Likewise, above those of training."""
        most = max(len(task.difficulties("ood")) for task in self._drawn)
        hardest = self.train_difficulty[1]
        return (hardest + 1, hardest + most) if most else None

    def widths(self, difficulty: int) -> Widths:
        """The longest of the tasks that have this level, and the mark."""
        level = min(max(difficulty, 1), (self.ood_difficulty or self.train_difficulty)[1])
        each = [
            task.widths(int(self._own(task, np.array([level]))[0])) for task in self._drawn if self._has(task, level)
        ]
        prompt, chain, answer = (max(widths) for widths in zip(*each, strict=True))
        return Widths(prompt + 1, chain, answer)

    def sample(self, difficulty: IntArray, rng: np.random.Generator, *, chain: bool = True) -> Examples:
        """Tasks drawn by weight among those that have the level; each draws its own problems."""
        difficulty = np.asarray(difficulty)
        place = rng.random(len(difficulty))
        seeds = rng.integers(2**63, size=len(self.union.parts))
        which = np.zeros(len(difficulty), dtype=np.int64)
        for level in np.unique(difficulty):
            odds = [self._weight(part) * self._has(part.task, int(level)) for part in self.union.parts]
            reach = np.cumsum(odds)
            rows = difficulty == level
            which[rows] = np.searchsorted(reach / reach[-1], place[rows], side="right")

        def drawn(part: Part, rows: IntArray) -> Examples:
            own = np.random.default_rng(seeds[part.number])
            return part.task.sample(self._own(part.task, difficulty[rows]), own, chain=chain)

        return self.union.together(which, drawn, self._level)

    def table(self) -> Examples | None:
        """Every problem of the tasks that are drawn, if each has a table."""
        drawn = [part for part in self.union.parts if self._weight(part)]
        tables = {part.number: table for part in drawn if (table := part.task.table()) is not None}
        if len(tables) < len(drawn):
            return None
        which = np.repeat(list(tables), [len(table) for table in tables.values()])
        return self.union.together(which, lambda part, rows: tables[part.number], self._level)

    def key(self, examples: Examples) -> IntArray:
        """The task's mark and its own key (N, K)."""
        own = [(rows, part.task.key(alone)) for part, rows, alone in self.union.each(examples)]
        width = max([part.key_width for part in self.union.parts] + [key.shape[1] for _, key in own])
        keys = np.zeros((len(examples), 1 + width), dtype=np.int64)
        keys[:, 0] = examples.prompt[:, 0]
        for rows, key in own:
            keys[rows, 1 : 1 + key.shape[1]] = key
        return keys

    def split(self, examples: Examples, split_seed: int) -> IntArray:
        """What each task says."""
        found = np.zeros(len(examples), dtype=np.int64)
        for part, rows, alone in self.union.each(examples):
            found[rows] = part.task.split(alone, split_seed)
        return found

    def solved(self, examples: Examples, answer: IntArray, values: FloatArray | None = None) -> BoolArray:
        """What each task says."""
        right = np.zeros(len(examples), dtype=np.bool_)
        for part, rows, alone in self.union.each(examples):
            right[rows] = part.task.solved(alone, part.back(answer[rows]), *_numbers(part, rows, values))
        return right

    def qualities(
        self, examples: Examples, answer: IntArray, values: FloatArray | None = None
    ) -> Mapping[str, FloatArray]:
        """``solved/NAME`` for the problems of each task, and what that task says of them as ``NAME/...``."""
        right = self.solved(examples, answer, values)
        found = {f"solved/{part.name}": np.full(len(examples), np.nan) for part in self.union.parts}
        for part, rows, alone in self.union.each(examples):
            found[f"solved/{part.name}"][rows] = right[rows]
            own = part.task.qualities(alone, part.back(answer[rows]), *_numbers(part, rows, values))
            for quality, said in own.items():
                found.setdefault(f"{part.name}/{quality}", np.full(len(examples), np.nan))[rows] = said
        return found

    @property
    def tells_places(self) -> bool:
        """Whether every task tells places."""
        return all(task.tells_places for task in self.by_name.values())

    def places(self, tokens: IntArray, prompt_length: IntArray) -> IntArray:
        """What each task says; its mark has none."""
        found = np.zeros_like(tokens)
        for part, rows in self.union.rows(tokens[:, 0] - 1):
            found[rows, 1:] = part.task.places(part.back(tokens[rows, 1:]), prompt_length[rows] - 1)
        return found

    @property
    def completes(self) -> bool:
        """Whether every task works out typed problems."""
        return all(task.completes for task in self.by_name.values())

    def complete(self, prompt: IntArray, values: FloatArray | None = None) -> Examples:
        """Typed problems such as ``<addition> 1 2 + 3 4``, solved by the task that is named."""
        for row in prompt:
            self._refuse_foreign(row[row != 0])

        def worked_out(part: Part, rows: IntArray) -> Examples:
            own = part.back(prompt[rows, 1:])
            own = own[:, : filled(own)]
            numbers = () if values is None or not part.task.numeric else (values[rows, 1 : 1 + own.shape[1]],)
            return part.task.complete(own, *numbers)

        return self.union.together(prompt[:, 0] - 1, worked_out, self._level)

    def _refuse_foreign(self, prompt: IntArray) -> None:
        """Refuse what does not begin with a mark, or goes on with what that task has no symbol for."""
        parts = self.union.parts
        if len(prompt) < 2 or prompt[0] > len(parts):
            marks = " or ".join(mark(part.name) for part in parts)
            raise ValueError(f"expected a problem after the mark of its task, {marks} (got {self.text(prompt)!r})")
        part = parts[prompt[0] - 1]
        known = part.task.symbols
        if len(foreign := prompt[1:][part.back(prompt[1:]) >= len(known)]):
            raise ValueError(f"{part.name} has no symbol {self.symbols[foreign[0]]!r}; it has {' '.join(known[1:])}")

    @cached_property
    def union(self) -> Union:
        """The tasks over one alphabet."""
        return Union(self.by_name)

    @property
    def _drawn(self) -> list[Task]:
        """The tasks that are drawn at all."""
        return [task for name, task in self.by_name.items() if self.weights is None or self.weights[name]]

    def _weight(self, part: Part) -> float:
        return 1.0 if self.weights is None else self.weights[part.name]

    def _has(self, task: Task, level: int) -> bool:
        beyond = level - self.train_difficulty[1]
        return level <= len(task.difficulties("train")) if beyond <= 0 else beyond <= len(task.difficulties("ood"))

    def _own(self, task: Task, level: IntArray) -> IntArray:
        """The task's own difficulty at each level."""
        hardest, first = self.train_difficulty[1], task.train_difficulty[0]
        own: IntArray = np.where(level <= hardest, first + level - 1, _first_beyond(task) + level - hardest - 1)
        return own

    def _level(self, task: Task, own: IntArray) -> IntArray:
        """The level of each of the task's own difficulties, also of those that are never drawn."""
        easiest, hardest = task.train_difficulty
        beyond = self.train_difficulty[1] + 1 + np.maximum(own - _first_beyond(task), 0)
        level: IntArray = np.where(own <= hardest, np.maximum(own - easiest + 1, 1), beyond)
        return level


def _numbers(part: Part, rows: IntArray, values: FloatArray | None) -> tuple[FloatArray, ...]:
    """The task's own numbers behind answers, if it has any; a task without numbers need not take them."""
    numbers = None if values is None else part.values(values[rows])
    return () if numbers is None else (numbers,)


def _first_beyond(task: Task) -> int:
    """The first difficulty out of distribution, or where it would be."""
    return (task.ood_difficulty or (task.train_difficulty[1] + 1,))[0]


def _refuse_clashes(tasks: Mapping[str, Task]) -> None:
    """Refuse a symbol that means two things."""
    marks = {mark(name) for name in tasks}
    numeric: dict[str, str] = {}  # symbol -> name of a task
    plain: dict[str, str] = {}
    for name, task in tasks.items():
        if clash := marks.intersection(task.symbols):
            raise ValueError(
                f"{name} has a symbol {min(clash)}, which is the mark of a task here; leave one of them out"
            )
        for token, symbol in enumerate(task.symbols):
            (numeric if token in task.numeric else plain)[symbol] = name
    for symbol in sorted(numeric.keys() & plain.keys()):
        raise ValueError(
            f"{symbol!r} has a number behind it in {numeric[symbol]} and none in {plain[symbol]}; leave one of them out"
        )
