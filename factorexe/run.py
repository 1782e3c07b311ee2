"""One run: create, fit, resume, evaluate, result.

A run is a directory whose name is a hash of everything that changes its numbers, so asking for the same run
again continues it, or prints what it found::

    run = factorexe.fit({"task": "multiplication", "trainer": {"max_steps": 500}})
    run.result["solved"]["val"]["final"]
    model = factorexe.load(run.path).model()
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from factorexe.config import ConfigError, Resolved, resolve, run_id, run_place
from factorexe.contents import Contents
from factorexe.preflight import (
    check_data,
    check_instruments,
    check_procedure,
    refuse_missing_compiler,
    refuse_missing_device,
    refuse_unwritable,
)
from factorexe.record import create
from factorexe.rundir import RunDirectory, RunError, read_checkpoint, read_json, write
from factorexe.threads import default_threads
from factorexe.weights import model_weights, take_over

Say = Callable[[str], None]


class Built(NamedTuple):
    """The working objects of a run."""

    layout: Any
    model: Any
    objective: Any
    data: Any


class Run:
    """A run's directory, description and outcome."""

    def __init__(self, path: Path, resolved: Resolved) -> None:
        self.directory, self.resolved = RunDirectory(path), resolved

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """Its directory."""
        return self.directory.path

    @property
    def config(self) -> Any:
        """Its resolved ``RunConfig``."""
        return self.resolved.config

    @property
    def record(self) -> dict[str, Any]:
        """What run.json holds."""
        return dict(read_json(self.directory.record))

    @property
    def max_steps(self) -> int:
        """Optimizer steps, with any extension."""
        extended = self.record.get("extended") or []
        return int(extended[-1]["max_steps"]) if extended else int(self.config.trainer.max_steps)

    @property
    def result(self) -> dict[str, Any] | None:
        """What result.json holds; None while the run is unfinished."""
        return dict(read_json(self.directory.result)) if self.directory.result.exists() else None

    @property
    def finished(self) -> bool:
        """Whether every step has been made, or the run has ended early, and the result is written."""
        result = self.result
        return result is not None and (result["steps"] >= self.max_steps or "ended" in result)

    def build(self) -> Built:
        """Layout, fresh model, objective and data of this run."""
        return build(self.config)

    def model(self, checkpoint: str = "best") -> Any:
        """The trained model, in evaluation mode."""
        content = read_checkpoint(self.directory.checkpoint(checkpoint))
        model = self.build().model
        model.load_state_dict(model_weights(content))
        return model.eval()


def build(config: Any, least_length: int = 0) -> Built:
    """Layout, freshly initialised model, objective and data.

    Args:
        least_length: positions that the model has to have room for, if more than the task needs.

    Raises:
        ConfigError: the parts do not fit together.
    """
    import torch

    from factorexe.data import datamodule
    from factorexe.layout import LAYOUTS
    from factorexe.splits import SplitError

    task = config.task
    contents = config.objective.contents()
    if contents.chain and not task.widths(task.train_difficulty[1]).chain:
        raise ConfigError(f"{task.name} has no chain to supervise; use --objective answer")
    places = config.model.reads_places
    if places and not task.tells_places:
        raise ConfigError(f"{task.name} tells no places with these options; use --model.places false")
    if places and contents.keep_steps > 1:
        raise ConfigError("places need the whole chain: use --objective.keep_steps 1 or --model.places false")
    layout = LAYOUTS[config.model.layout](task, chain=contents.chain, keep_steps=contents.keep_steps, places=places)
    try:
        data = datamodule(task, layout, config.data, config.seed, config.trainer.accumulate_grad_batches)
    except (SplitError, TypeError) as error:
        raise ConfigError(str(error)) from error
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)
        model = config.model.build(layout.vocabulary, max(layout.max_length, least_length))
        if task.numeric:
            model.add_number_head()
        try:
            objective = config.objective.build(model, layout)
        except ValueError as error:
            raise ConfigError(f"objective {config.objective.name}: {error}") from error
    if config.trainer.compile and not model.compiles:
        raise ConfigError(
            f"trainer.compile: {config.model.name} has no core that can be compiled with these options; leave it out"
        )
    return Built(layout, model, objective, data)


def fit(
    config: Mapping[str, Any] | Resolved,
    *,
    runs: str | Path = "runs",
    force: bool = False,
    preset: str | None = None,
    stop: Any = None,
    say: Say | None = None,
    command: Sequence[str] = (),
) -> Run:
    """Train, or go on training, the run that ``config`` describes.

    Args:
        config: nested options with the plug-ins' names, or what ``factorexe.resolve`` returned.
        runs: where runs are kept.
        force: set a run that exists aside and start again.
        stop: a ``callbacks.checkpoints.Stop``; training ends with ``Stopped`` once it is requested.
        say: takes each line of progress worth a user's attention; nothing is printed by default.
        command: the command line, for run.json.

    Raises:
        ConfigError: the description is wrong; nothing has been written.
        RunError: the directory cannot be used.
    """
    started = time.perf_counter()
    resolved = config if isinstance(config, Resolved) else resolve(config, preset=preset)
    say = say or (lambda line: None)
    contents = Contents().of(resolved.config)
    identity = run_id(resolved.config, resolved.plugins, contents)
    path = Path(runs) / run_place(resolved.config, identity)
    run = Run(path, resolved)
    built = None
    if force or not run.directory.record.exists():
        built = _fresh(resolved.config, say)
        check_data(built.data, resolved.config, say)
        check_procedure(built, resolved.config)
        check_instruments(resolved.config)
    _refuse_lacking(resolved.config)
    refuse_unwritable(Path(runs))
    if force:
        with run.directory.locked() if path.exists() else contextlib.nullcontext():
            aside = run.directory.set_aside()
        if aside:
            say(f"the earlier run was set aside: {aside}")
    with run.directory.locked():
        if not run.directory.record.exists():
            run.resolved = _with_threads(resolved, resolved.config.trainer.threads or default_threads())
            symbols = built.layout.symbols if built else ()
            create(run.directory, run.config, resolved.plugins, symbols, contents, command)
        elif run.finished:
            say(f"this run is finished: {path} (--force starts it again and keeps the old one)")
            return run
        else:
            run.resolved = _with_threads(resolved, _threads_of(run, say))
        _fit(run, built, started, stop, say)
    return run


def resume(
    path: str | Path,
    *,
    said: dict[str, str] | None = None,
    trainer: Mapping[str, Any] | None = None,
    stop: Any = None,
    say: Say | None = None,
) -> Run:
    """Go on with the run in ``path``; ``trainer={"max_steps": N}`` extends it.

    Raises:
        RunError: there is no such run, or its checkpoints are all damaged.
    """
    started = time.perf_counter()
    say = say or (lambda line: None)
    run = load(path, said=said)
    with run.directory.locked():
        steps = (trainer or {}).get("max_steps")
        if steps is not None and steps != run.max_steps:
            _extend(run, int(steps))
        if run.finished:
            say(f"this run is finished: {path} (--trainer.max_steps N extends it)")
            return run
        if run.directory.checkpoints.exists() and not any(
            run.directory.checkpoint(name).exists() for name in ("last", "previous")
        ):
            raise RunError(f"{path} has no checkpoint to resume from; retype its command with --force to start again")
        _refuse_lacking(run.config)
        _fit(run, None, started, stop, say)
    return run


def load(path: str | Path, *, said: dict[str, str] | None = None) -> Run:
    """The run in a directory.

    Args:
        said: plug-ins named by a class path, which have to be named again: ``{"task": "./file.py:Mine"}``.

    Raises:
        RunError: not a run, or its plug-ins cannot be had any more.
    """
    directory = RunDirectory(path)
    if not directory.config.exists():
        raise RunError(f"{path} is not a run: it has no config.yaml")
    record = read_json(directory.record)
    try:
        resolved = resolve(files=[directory.config], said=dict(said or {}))
    except ConfigError as error:
        raise RunError(f"{path}: its config.yaml cannot be used here: {'; '.join(error.messages)}") from None
    for where, (name, origin) in resolved.plugins.items():
        before = record.get("plugins", {}).get(where, [name, origin])
        if list(before) != [name, origin]:
            raise RunError(
                f"{path}: {where} was {' from '.join(before)} and is {name} from {origin} now; start a new run"
            )
    return Run(Path(path), resolved)


def _extend(run: Run, steps: int) -> None:
    if steps < run.max_steps:
        raise RunError(
            f"{run.path} was trained for {run.max_steps} steps; --trainer.max_steps must be more (got {steps})"
        )
    record = run.record
    record.setdefault("extended", []).append({"from": run.max_steps, "max_steps": steps})
    write(run.directory.record, json.dumps(record, indent=2) + "\n")


def _fit(run: Run, built: Built | None, started: float, stop: Any, say: Say) -> None:
    """Train to the end, from the latest usable checkpoint."""
    from factorexe.training import train

    begun = any(run.directory.checkpoint(name).exists() for name in ("last", "previous"))
    built = built or (run.build() if begun else _fresh(run.config, say))
    train(run, built, started, stop, say)


def _fresh(config: Any, say: Say) -> Built:
    """What a run begins with: weights drawn for it, or those of another run."""
    built = build(config)
    if config.init_from is not None:
        try:
            taken = take_over(built.model, built.layout.symbols, config.init_from)
        except RunError as error:
            raise ConfigError(f"init_from: {error}") from None
        new = f", new are {' '.join(taken.new)}" if taken.new else ""
        say(f"begins with the weights of {config.init_from}: {len(taken.known)} symbols are known to it{new}")
    return built


def _with_threads(resolved: Resolved, count: int) -> Resolved:
    """The number of threads settled, so that it stays with the run."""
    trainer = resolved.config.trainer.model_copy(update={"threads": count})
    return resolved._replace(config=resolved.config.model_copy(update={"trainer": trainer}))


def _threads_of(run: Run, say: Say) -> int:
    """The number of threads that a run was begun with: sums over another number round differently."""
    count, asked = int(run.record["machine"]["threads"]), run.config.trainer.threads
    if asked not in (None, count):
        say(f"this run goes on with {count} threads, as it was begun (asked for: {asked})")
    return count


def _refuse_lacking(config: Any) -> None:
    """Refuse a run that this machine lacks a device or a compiler for."""
    refuse_missing_device(config.trainer.accelerator)
    if config.trainer.compile:
        refuse_missing_compiler()
