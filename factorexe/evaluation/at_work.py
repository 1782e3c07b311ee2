"""A reloaded model as it stood in training: its learner, and a Trainer with the run's device, precision and threads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import lightning.pytorch as lightning
import torch
from torch.utils.data import DataLoader

from factorexe.evaluation.reloading import Reloaded
from factorexe.layout import Batch
from factorexe.learner import Learner
from factorexe.threads import threads
from factorexe.training import interruptible, quiet, trainer_for


def loader_of(batches: list[Batch]) -> DataLoader[Any]:
    """Batches as Lightning takes them."""
    return DataLoader(cast("Any", batches), batch_size=None)


def learner_of(reloaded: Reloaded) -> Learner:
    """The learner of its model."""
    built, config = reloaded.built, reloaded.config
    return Learner(built.model, built.objective, config.optim, config.seed)


@contextlib.contextmanager
def as_in_training(reloaded: Reloaded, callbacks: list[lightning.Callback]) -> Iterator[lightning.Trainer]:
    """A Trainer with the device, precision and threads of the run; random state is left as it was."""
    options = reloaded.config.trainer
    with quiet(), interruptible(), threads(options.threads), torch.random.fork_rng(devices=[]):
        yield trainer_for(options, callbacks=callbacks, logger=False, default_root_dir=reloaded.run.path)
