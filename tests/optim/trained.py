"""Small trainings under Lightning's Trainer, for tests of gradient procedures."""

import warnings

import lightning.pytorch as lightning
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment

from factorexe.config import resolve
from factorexe.learner import Learner
from factorexe.run import build

STEPS = 3


def configured(optim=None, model=None, **options):
    """A run of three steps of 12 additions of one or two digits, without dropout."""
    return resolve(
        {
            "task": {"name": "addition", "min_digits": 1, "digits": 2},
            "model": model or {"name": "transformer", "dropout": 0.0},
            "optim": {"warmup": 0, "optimizer": {"lr": 0.01, "eps": 1e-3}, **(optim or {})},
            "data": {"batch_size": 12, "eval_size": 8},
            "trainer": {"max_steps": STEPS},
            **options,
        },
        preset="tiny",
    ).config


def learned(config, callbacks=(), change=None, **options):
    """The learner after its steps; ``change`` may look at it before."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        built = build(config)
        learner = Learner(built.model, built.objective, config.optim, config.seed)
        if change is not None:
            change(learner)
        lightning.Trainer(
            **{"limit_val_batches": 0, "max_steps": STEPS, "max_epochs": -1, "accelerator": "cpu", "devices": 1}
            | {"plugins": [LightningEnvironment()], "callbacks": list(callbacks), "logger": False}
            | {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
            | {"num_sanity_val_steps": 0, "inference_mode": False}
            | options
        ).fit(learner, datamodule=built.data)
    return learner


def weights(learner):
    """All parameters, end to end."""
    return torch.cat([parameter.detach().flatten() for parameter in learner.model.parameters()])
