"""Score a finished run's weights, as they were trained or with options changed that hold no weights.

    evaluate(run, ("val", "ood"))                                        the splits a run is judged by
    evaluate(reloaded(run, {"model.steps": 8}), ("test", "ood_test"))    deeper than in training

A changed task says how hard the problems are; which of them may be looked at is still for the run's own task to
say.  So no problem it trained on is in ``val`` or ``ood``, and none of its ``test`` problems is there either.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import lightning.pytorch as lightning
import numpy as np
import torch
from torch.utils.data import DataLoader

from factorexe.callbacks.samples import Samples
from factorexe.config import ConfigError, Parse, Resolved, flattened, resolve
from factorexe.data import EVALUATION_ROWS
from factorexe.layout import Batch
from factorexe.learner import Learner
from factorexe.run import Built, Run, build
from factorexe.rundir import RunError, read_checkpoint
from factorexe.scores import Score
from factorexe.tasks.base import Examples, IntArray, Values, joined
from factorexe.threads import threads
from factorexe.training import quiet, trainer_for
from factorexe.weights import model_weights, unfit

_CHANGEABLE = ("data.eval_size", "trainer.precision", "trainer.accelerator", "trainer.threads")
_CHANGE_NO_NUMBER = _CHANGEABLE[2:]


class Reloaded(NamedTuple):
    """A run's weights, ready to answer."""

    run: Run
    config: Any  # the run's, with the changes
    built: Built  # the model holds the weights
    checkpoint: str
    step: int  # of training, when the weights were saved
    changed: dict[str, tuple[Any, Any]]  # option -> as trained, now


def reloaded(
    run: Run,
    changes: Mapping[str, Any] | None = None,
    *,
    checkpoint: str = "best",
    said: dict[str, str] | None = None,
    parse: Parse | None = None,
    length: int = 0,
) -> Reloaded:
    """A run's weights in its model, with options of task and model changed.

    Args:
        changes: option path -> value.
        checkpoint: ``best`` or ``last``.
        said, parse: as in ``config.resolve``, for changes typed on a command line.
        length: positions that will be needed, where the task does not say.

    Raises:
        ConfigError: an option does not exist, or cannot be changed here.
        RunError: the weights do not fit a change; says which.
    """
    content = read_checkpoint(run.directory.checkpoint(checkpoint))
    resolved = resolve(changes, files=[run.directory.config], said=said, parse=parse)
    changed = _changed(run, resolved)
    built = _built(run, resolved.config, length)
    weights = model_weights(content)
    wrong = unfit(built.model, weights)
    trained_on = run.record.get("symbols") or build(run.config).layout.symbols
    if not wrong and list(built.layout.symbols) != list(trained_on):
        wrong = ["its tokens stand for other symbols"]
    if wrong:
        raise RunError(_refusal(run, changed, wrong, weights, length))
    built.model.load_state_dict(weights)
    if any(path.startswith("task.") for path in changed) and hasattr(built.data, "splits"):
        built.data.splits.home = run.config.task
    return Reloaded(run, resolved.config, built, checkpoint, int(content["global_step"]), changed)


def _changed(run: Run, resolved: Resolved) -> dict[str, tuple[Any, Any]]:
    """Every option that differs from the run's.

    Raises:
        ConfigError: one of them cannot be changed once a model is trained.
    """
    before, now = flattened(run.config), flattened(resolved.config)
    differing = [path for path in {**before, **now} if before.get(path) != now.get(path)]
    for path in sorted(differing, key=lambda path: not path.endswith(".name")):
        if path in ("task.name", "model.name") or not path.startswith(("task.", "model.", *_CHANGEABLE)):
            raise ConfigError(
                f"{path}: it was {before.get(path)!r} in training and cannot be {now.get(path)!r} now; options of task"
                f" and model that hold no weights can be changed, and {', '.join(_CHANGEABLE)}"
            )
    return {path: (before.get(path), now.get(path)) for path in differing if path not in _CHANGE_NO_NUMBER}


def _built(run: Run, config: Any, length: int) -> Built:
    """The parts of a run, for sequences as long as those of its training at least."""
    trained = build(run.config).layout.max_length
    return build(config, least_length=max(trained, length))


def _refusal(
    run: Run, changed: Mapping[str, tuple[Any, Any]], wrong: Sequence[str], weights: Mapping[str, Any], length: int
) -> str:
    """Which change it is that the weights cannot follow, as far as each alone shows it."""
    culprits = [path for path in changed if _misfits(run, path, changed[path][1], weights)] or list(changed)
    if not culprits:
        return f"{run.path}: its weights cannot take sequences of {length} tokens: {wrong[0]}"
    said = ", ".join(f"{path} {changed[path][1]} (it was {changed[path][0]})" for path in culprits)
    return f"{run.path}: its weights cannot be used with {said}: {wrong[0]}"


def _misfits(run: Run, path: str, value: Any, weights: Mapping[str, Any]) -> bool:
    try:
        alone = resolve({path: value}, files=[run.directory.config]).config
        built = _built(run, alone, 0)
    except (ConfigError, ValueError):
        return False
    return bool(unfit(built.model, weights)) or len(built.layout.symbols) != len(build(run.config).layout.symbols)


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
    learner = _learner(reloaded)
    with _as_in_training(reloaded, [samples]) as trainer:
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
        return [_loader(self.batches[split]) for split in self.evaluated]


def _loader(batches: list[Batch]) -> DataLoader[Any]:
    return DataLoader(cast("Any", batches), batch_size=None)


def _learner(reloaded: Reloaded) -> Learner:
    built, config = reloaded.built, reloaded.config
    return Learner(built.model, built.objective, config.optim, config.seed)


@contextlib.contextmanager
def _as_in_training(reloaded: Reloaded, callbacks: list[lightning.Callback]) -> Iterator[lightning.Trainer]:
    """A Trainer with the device, precision and threads of the run; random state is left as it was."""
    options = reloaded.config.trainer
    with quiet(), threads(options.threads), torch.random.fork_rng(devices=[]):
        yield trainer_for(options, callbacks=callbacks, logger=False, default_root_dir=reloaded.run.path)


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
    with _as_in_training(found, []) as trainer:
        written = trainer.predict(_learner(found), dataloaders=_loader(batches))
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
