"""Every optimizer, loss, filter and control trains a run of two steps, named as on the command line."""

import math
import warnings

import pytest

import factorexe
from factorexe.registry import Registry


def fit(tmp_path, **optim):
    loss = optim.pop("loss", "cross-entropy")
    config = {
        "task": "addition",
        "model": {"name": "transformer", "layers": 1, "width": 16, "heads": 2},
        "objective": {"name": "answer", "loss": loss},
        "optim": optim,
        "data": {"batch_size": 4, "eval_size": 4},
        "trainer": {"max_steps": 2, "val_check_interval": 2, "logger": "none", "enable_progress_bar": False},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return factorexe.fit(config, runs=tmp_path, preset="tiny")


def trained(run):
    return run.result["steps"] == 2 and all(math.isfinite(loss) for loss in run.result["loss"].values())


@pytest.mark.parametrize("name", Registry("optimizers").names())
def test_every_optimizer_trains(name, tmp_path):
    assert trained(fit(tmp_path, optimizer=name))


@pytest.mark.parametrize("name", Registry("losses").names())
def test_every_loss_trains(name, tmp_path):
    assert trained(fit(tmp_path, loss=name))


def test_all_filters_and_controls_train_together(tmp_path):
    ours = [name for name in Registry("filters").names() if name != "clip"]
    assert trained(fit(tmp_path, filters=["clip", *ours], controls=Registry("controls").names()))
