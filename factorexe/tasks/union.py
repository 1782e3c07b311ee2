"""Several tasks over one alphabet: their tokens and examples there, and back.

The alphabet holds a mark for each task, then every symbol of theirs, by its text::

    >>> union = Union({"addition": Addition(base=2), "multiplication": Multiplication(base=2)})
    >>> union.symbols
    ('', '<addition>', '<multiplication>', '0', '1', '+', '>', '*')

Examples of a task begin with its mark there.  Their groups say which task that is, how hard it finds them, and
whatever groups it has itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from factorexe.tasks.base import Examples, FloatArray, IntArray, Task, Values, rejoined

_TOKENS = ("prompt", "chain", "answer")


class Part:
    """One of the tasks.

    Attributes:
        key_width: columns of its keys.
        groups: names of its own groups.
    """

    def __init__(self, number: int, name: str, task: Task, ids: Mapping[str, int]) -> None:
        self.number, self.name, self.task = number, name, task
        self._there = np.array([ids[symbol] for symbol in task.symbols], dtype=np.int64)
        self._back = np.full(len(ids), len(task.symbols), dtype=np.int64)
        self._back[self._there] = np.arange(len(task.symbols))
        probe = task.sample(np.array([task.train_difficulty[1]]), np.random.default_rng(0), chain=False)
        self.key_width, self.groups = task.key(probe).shape[1], tuple(probe.groups)

    def there(self, tokens: IntArray) -> IntArray:
        """The task's tokens, as they are in the union."""
        found: IntArray = self._there[tokens]
        return found

    def back(self, tokens: IntArray) -> IntArray:
        """Tokens of the union as the task knows them.

        A layout's marks come after its alphabet as after that of the union; so does what it has no symbol for.
        """
        size = len(self._back)
        known = self._back[np.minimum(tokens, size - 1)]
        found: IntArray = np.where(tokens < size, known, tokens - size + len(self._there))
        return found

    def values(self, values: FloatArray | None) -> FloatArray | None:
        """The numbers behind tokens, if the task has any."""
        return values if self.task.numeric else None

    def alone(self, examples: Examples) -> Examples:
        """Examples of the union, all of them this task's, as it knows them: no wider than they are."""
        tokens = {"prompt": examples.prompt[:, 1:], "chain": examples.chain, "answer": examples.answer}
        width = {name: filled(rows) for name, rows in tokens.items()}
        values = None
        if self.task.numeric and examples.values is not None:
            numbers = examples.values._replace(prompt=examples.values.prompt[:, 1:])
            values = Values(*(part[:, : width[name]] for name, part in zip(_TOKENS, numbers, strict=True)))
        return Examples(
            **{name: self.back(rows[:, : width[name]]) for name, rows in tokens.items()},
            chain_step=examples.chain_step[:, : width["chain"]],
            difficulty=examples.groups["task_difficulty"],
            groups={name: examples.groups[f"{self.name}/{name}"] for name in self.groups},
            values=values,
        )


class Union:
    """Tasks by name, in the order of their marks."""

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        symbols = dict.fromkeys(symbol for task in tasks.values() for symbol in task.symbols[1:])
        self.symbols = ("", *map(mark, tasks), *symbols)
        ids = {symbol: token for token, symbol in enumerate(self.symbols)}
        self.parts = [Part(number, name, task, ids) for number, (name, task) in enumerate(tasks.items())]
        self.numeric = {token for part in self.parts for token in part.there(np.array(part.task.numeric, int)).tolist()}

    def rows(self, which: IntArray) -> Iterator[tuple[Part, IntArray]]:
        """Every task that is there with its rows; ``which`` (N,) holds numbers of tasks."""
        for part in self.parts:
            (rows,) = np.nonzero(which == part.number)
            if len(rows):
                yield part, rows

    def each(self, examples: Examples) -> Iterator[tuple[Part, IntArray, Examples]]:
        """Every task that is there with its rows, and those examples as it knows them."""
        for part, rows in self.rows(examples.prompt[:, 0] - 1):
            yield part, rows, part.alone(examples.select(rows))

    def together(
        self, which: IntArray, make: Callable[[Part, IntArray], Examples], level: Callable[[Task, IntArray], IntArray]
    ) -> Examples:
        """The examples that ``make`` has for the rows of each task, in the order of ``which``.

        Args:
            level: a task's own difficulties as those of the whole.
        """
        return rejoined([self._there(part, make(part, own), level) for part, own in self.rows(which)], which)

    def _there(self, part: Part, own: Examples, level: Callable[[Task, IntArray], IntArray]) -> Examples:
        count = len(own)
        groups = {"task": np.full(count, part.number, dtype=np.int64), "task_difficulty": own.difficulty}
        for other in self.parts:
            nowhere = np.full(count, -1, dtype=np.int64)
            for name in other.groups:
                groups[f"{other.name}/{name}"] = own.groups[name] if other is part else nowhere
        values = None
        if self.numeric:
            numbers = own.values or Values(*(np.ones(getattr(own, name).shape) for name in _TOKENS))
            values = numbers._replace(prompt=np.concatenate([np.ones((count, 1)), numbers.prompt], axis=1))
        opening = np.full((count, 1), part.number + 1, dtype=np.int64)
        return Examples(
            prompt=np.concatenate([opening, part.there(own.prompt)], axis=1),
            chain=part.there(own.chain),
            chain_step=own.chain_step,
            answer=part.there(own.answer),
            difficulty=level(part.task, own.difficulty),
            groups=groups,
            values=values,
        )


def mark(name: str) -> str:
    """What the prompts of a task begin with."""
    return f"<{name}>"


def filled(tokens: IntArray) -> int:
    """Columns that hold a token."""
    return int((tokens != 0).any(axis=0).sum())
