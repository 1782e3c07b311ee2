"""What is found out before anything of a run is written: problems enough, the device, a compiler, a place to write.

Everything here raises; nothing here changes anything.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from factorexe.config import ConfigError
from factorexe.micro_step import MicroStep
from factorexe.optim.flat import Flat
from factorexe.rundir import RunError
from factorexe.splits import SplitError

Say = Callable[[str], None]


def check_data(data: Any, config: Any, say: Say) -> None:
    """Refuse a family too small for its splits; say where one is smaller than was asked for."""
    splits = getattr(data, "splits", None)
    if splits is None:
        if "val" not in data.evaluated:
            raise ConfigError(f"task: {type(data).__name__} has no val problems, without which a run cannot be judged")
        return
    try:
        splits.check()
    except SplitError as error:
        raise ConfigError(f"task: {error}") from error
    try:
        config.data.curriculum.build(splits.levels)
    except ValueError as error:
        raise ConfigError(f"data.curriculum: {error}") from error
    wanted = config.data.train_size
    found = len(splits.finite_train()) if wanted is not None else None
    if found is not None and found < wanted:
        say(f"{found} train problems instead of {wanted}: a difficulty holds fewer than its share; all it has are used")


def check_procedure(built: Any, config: Any) -> None:
    """Refuse a gradient procedure whose parts do not fit together, or that this task's problems cannot serve.

    Raises:
        ConfigError: one line.
    """
    flat = Flat(built.model.named_parameters())
    optim, seed = config.optim, config.seed
    measure, name = optim.measure.build(), optim.aggregate.name
    try:
        aggregator = optim.aggregate.build(flat)
    except ValueError as error:
        raise ConfigError(f"optim.aggregate {name}: {error}") from None
    if aggregator.guided and not measure.guides:
        raise ConfigError(
            f"optim.aggregate {name} needs the gradient of held-out problems: use --optim.measure guide"
            f" --optim.measure.inner {optim.measure.name}"
        )
    if aggregator.least > measure.gradients:
        raise ConfigError(
            f"optim.aggregate {name} compares the gradients of {aggregator.least} parts or more, and optim.measure"
            f" {optim.measure.name} asks for {measure.gradients}: use --optim.measure microbatch, with as many parts"
        )
    with torch.random.fork_rng(devices=[]):
        batch = built.data.batch("train", 0)
        step = MicroStep(flat, built.model, built.objective, built.data, seed=seed)
        try:
            optim.measure.check(step, batch)
        except ValueError as error:
            raise ConfigError(f"optim.measure {optim.measure.name}: {error}") from None


def check_instruments(config: Any) -> None:
    """Refuse an instrument that is chosen twice: its curves have one name.

    Raises:
        ConfigError: one line.
    """
    keys: dict[str, str] = {}
    for key, options in dict(config.instruments).items():
        if options.name in keys:
            raise ConfigError(
                f"instruments: {options.name} is chosen twice, as {keys[options.name]} and as {key}, and its curves"
                " have one name: choose it once"
            )
        keys[options.name] = key


def refuse_missing_device(accelerator: str) -> None:
    """Whether the device is there."""
    there = {"gpu": torch.cuda.is_available() or torch.backends.mps.is_available()}
    there["mps"] = torch.backends.mps.is_available()
    if not there.get(accelerator, True):
        raise ConfigError(f"trainer.accelerator: no {accelerator} was found on this machine; use auto or cpu")


def refuse_unwritable(runs: Path) -> None:
    """Whether runs can be written."""
    place = runs.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise RunError(f"{runs}: runs cannot be written there ({place} is not a writable directory); use --runs DIR")


def refuse_missing_compiler() -> None:
    """Whether a core can be compiled: on a CPU that takes a C++ compiler."""
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            get_cpp_compiler()
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"trainer.compile needs a C++ compiler such as g++, and none was found: {reason}") from None
