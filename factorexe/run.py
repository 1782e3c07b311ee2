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
import platform
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from factorexe import __version__
from factorexe.config import ConfigError, Resolved, as_yaml, resolve, run_id
from factorexe.rundir import RunDirectory, RunError, read_checkpoint, read_json, write

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
        """Whether every step has been made and the result is written."""
        result = self.result
        return result is not None and result["steps"] >= self.max_steps

    def build(self) -> Built:
        """Layout, fresh model, objective and data of this run."""
        return build(self.config)

    def model(self, checkpoint: str = "best") -> Any:
        """The trained model, in evaluation mode."""
        content = read_checkpoint(self.directory.checkpoint(checkpoint))
        model = self.build().model
        prefix = "model."
        weights = {k.removeprefix(prefix): v for k, v in content["state_dict"].items() if k.startswith(prefix)}
        model.load_state_dict(weights)
        return model.eval()


def build(config: Any) -> Built:
    """Layout, freshly initialised model, objective and data.

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
        raise ConfigError(f"{task.name} tells no places; use --model.places false")
    if places and contents.keep_steps > 1:
        raise ConfigError("places need the whole chain: use --objective.keep_steps 1 or --model.places false")
    layout = LAYOUTS[config.model.layout](task, chain=contents.chain, keep_steps=contents.keep_steps, places=places)
    try:
        data = datamodule(task, layout, config.data, config.seed)
    except (SplitError, TypeError) as error:
        raise ConfigError(str(error)) from error
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)
        model = config.model.build(layout.vocabulary, layout.max_length)
        objective = config.objective.build(model, layout)
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
    identity = run_id(resolved.config, resolved.plugins)
    path = Path(runs) / _folder(resolved.config.task.name) / _folder(resolved.config.model.name) / identity
    run = Run(path, resolved)
    built = None
    if force or not run.directory.record.exists():
        built = build(resolved.config)
        _check(built.data, resolved.config, say)
    _refuse_missing_device(resolved.config.trainer.accelerator)
    _refuse_unwritable(Path(runs))
    if force:
        with run.directory.locked() if path.exists() else contextlib.nullcontext():
            aside = run.directory.set_aside()
        if aside:
            say(f"the earlier run was set aside: {aside}")
    with run.directory.locked():
        if not run.directory.record.exists():
            _create(run, identity, command)
        elif run.finished:
            say(f"this run is finished: {path} (--force starts it again and keeps the old one)")
            return run
        _fit(run, built or build(resolved.config), started, stop, say)
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
        _fit(run, run.build(), started, stop, say)
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


def _check(data: Any, config: Any, say: Say) -> None:
    """Refuse a family too small for its splits; say where one is smaller than was asked for."""
    from factorexe.splits import SplitError

    splits = getattr(data, "splits", None)
    if splits is None:
        if "val" not in data.evaluated:
            raise ConfigError(f"task: {type(data).__name__} has no val problems, without which a run cannot be judged")
        return
    try:
        splits.check()
    except SplitError as error:
        raise ConfigError(f"task: {error}") from error
    wanted = config.data.train_size
    found = len(splits.finite_train()) if wanted is not None else None
    if found is not None and found < wanted:
        say(f"{found} train problems instead of {wanted}: a difficulty holds fewer than its share; all it has are used")


def _refuse_missing_device(accelerator: str) -> None:
    """Find out before anything is written whether the device is there."""
    import torch

    there = {"gpu": torch.cuda.is_available() or torch.backends.mps.is_available()}
    there["mps"] = torch.backends.mps.is_available()
    if not there.get(accelerator, True):
        raise ConfigError(f"trainer.accelerator: no {accelerator} was found on this machine; use auto or cpu")


def _refuse_unwritable(runs: Path) -> None:
    """Find out before anything is written whether it can be."""
    import os

    place = runs.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise RunError(f"{runs}: runs cannot be written there ({place} is not a writable directory); use --runs DIR")


def _folder(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "unnamed"


def _create(run: Run, identity: str, command: Sequence[str]) -> None:

    from importlib.metadata import version

    import torch

    libraries = ("torch", "lightning", "torchmetrics", "numpy", "pydantic")
    record = {
        "id": identity,
        "command": list(command),
        "plugins": {where: list(plugin) for where, plugin in run.resolved.plugins.items()},
        "versions": {
            "factorexe": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in libraries},
        },
        "git": _git_revision(),
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "threads": torch.get_num_threads(),
        },
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    write(run.directory.config, as_yaml(run.config))
    write(run.directory.record, json.dumps(record, indent=2) + "\n")


def _git_revision() -> str | None:
    """The revision of the directory the command was typed in, with ``+`` where files differ from it."""
    try:
        ask = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        answer = subprocess.run(ask, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None


def _extend(run: Run, steps: int) -> None:
    if steps < run.max_steps:
        raise RunError(
            f"{run.path} was trained for {run.max_steps} steps; --trainer.max_steps must be more (got {steps})"
        )
    record = run.record
    record.setdefault("extended", []).append({"from": run.max_steps, "max_steps": steps})
    write(run.directory.record, json.dumps(record, indent=2) + "\n")


def _fit(run: Run, built: Built, started: float, stop: Any, say: Say) -> None:
    """Train to the end, from the latest usable checkpoint."""
    from factorexe.training import train

    train(run, built, started, stop, say)
