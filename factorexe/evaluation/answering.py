"""Answer problems that are typed, as the run's task writes them.

answers, found = predict(run, ["123*456"])
answers[0].answer                        "880650", with the digits in the order of the task
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from factorexe.config import ConfigError, Parse
from factorexe.data import EVALUATION_ROWS
from factorexe.evaluation.at_work import as_in_training, learner_of, loader_of
from factorexe.evaluation.reloading import Reloaded, reloaded
from factorexe.run import Run, build
from factorexe.tasks.base import Examples, IntArray, Values, joined


class Answer(NamedTuple):
    """What a model wrote after a typed prompt."""

    prompt: str
    chain: str
    answer: str  # "(none)" if it did not end, or has no answer mark
    right: bool | None  # None: the task does not work out typed problems
    right_answer: str | None
    difficulty: int | None
    compute: float  # block applications
    log_probability: float  # of everything that was written


def predict(
    run: Run,
    prompts: Sequence[str],
    changes: Mapping[str, Any] | None = None,
    *,
    checkpoint: str = "best",
    said: dict[str, str] | None = None,
    parse: Parse | None = None,
) -> tuple[list[Answer], Reloaded]:
    """What the run's model answers to problems written as the task writes them.

    Raises:
        ConfigError: a prompt is no problem of the task's, or as in ``reloaded``.
        RunError: a problem is longer than the weights can take, or as in ``reloaded``.
    """
    own = build(run.config).layout
    length = own.length_for(_typed(own, prompts)[0])
    found = reloaded(run, changes, checkpoint=checkpoint, said=said, parse=parse, length=length)
    layout = found.built.layout
    examples, solvable = _typed(layout, prompts)
    starts = range(0, len(examples), EVALUATION_ROWS)
    batches = [layout.prompts(examples.select(slice(start, start + EVALUATION_ROWS))) for start in starts]
    with as_in_training(found, []) as trainer:
        written = trainer.predict(learner_of(found), dataloaders=loader_of(batches))
    answers = [
        answer
        for batch, generated in zip(batches, written or [], strict=True)
        for answer in _answers(layout, batch.examples, generated, solvable)
    ]
    return answers, found


def _typed(layout: Any, prompts: Sequence[str]) -> tuple[Examples, bool]:
    """Prompts as examples, and whether the task could solve them.

    Raises:
        ConfigError: one line for each prompt that is no problem of the task's.
    """
    task = layout.task
    rows, wrong = [], []
    for prompt in prompts:
        try:
            row = task.parse(prompt)
            if not len(row):
                raise ValueError("it is empty")
            rows.append(_completed(task, prompt, row))
        except ValueError as error:
            wrong.append(f"prompt {prompt!r}: {error}")
    if wrong:
        raise ConfigError(*wrong)
    return joined(rows), task.completes


def _completed(task: Any, prompt: str, row: IntArray) -> Examples:
    """A typed prompt with its solution, or alone and taken to be as hard as the task gets."""
    numbers = task.parse_values(prompt)[None] if task.numeric else None
    if task.completes:
        return cast("Examples", task.complete(row[None]) if numbers is None else task.complete(row[None], numbers))
    hardest = (task.ood_difficulty or task.train_difficulty)[1]
    nothing, nowhere = np.zeros((1, 0), dtype=np.int64), np.zeros((1, 0))
    values = None if numbers is None else Values(numbers, nowhere, nowhere)
    return Examples(row[None], nothing, nothing, nothing, np.array([hardest]), values=values)


def _answers(layout: Any, examples: Examples, generated: Any, solvable: bool) -> Iterator[Answer]:
    task = layout.task
    answers, numbers = layout.answers(generated.tokens), layout.answer_values(generated.tokens, generated.values)
    given = (answers,) if numbers is None else (answers, numbers)
    right = task.solved(examples, *given) if solvable else None
    for row, (chain, said) in enumerate(layout.solutions(generated.tokens, generated.values)):
        prompt, _, answer = task.texts(examples, row)
        yield Answer(
            prompt,
            chain,
            said,
            None if right is None else bool(right[row]),
            answer if solvable else None,
            int(examples.difficulty[row]) if solvable else None,
            float(generated.compute[row]),
            float(generated.log_probability[row].sum()),
        )
