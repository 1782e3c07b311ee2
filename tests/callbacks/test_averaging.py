"""A moving average of the weights is what is scored and kept; training and resuming do not notice."""

import pytest
import torch
from stops import StopAfter
from test_run import assert_same_run, config, fit, rows, weights
from torch import nn
from torch.testing import assert_close

import factorexe
from factorexe.callbacks.averaging import WeightAveraging
from factorexe.callbacks.checkpoints import Stopped
from factorexe.rundir import read_checkpoint
from factorexe.weights import model_weights

EMA = {"optim.averaging": "ema", "optim.averaging_decay": 0.5}


class Tied(nn.Module):
    """One weight with two names, a weight, and a buffer."""

    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        self.one = nn.Linear(1, 1, bias=False)
        self.other = nn.Linear(1, 1, bias=False)
        self.other.weight = self.one.weight
        self.own = nn.Parameter(torch.zeros(1))
        self.register_buffer("count", torch.zeros(1))


class At:
    """Stands for a Trainer."""

    def __init__(self, step=0):
        self.global_step = step


def seen(module, *numbers):
    """Averaging with decay one half over a weight that takes these values after steps 1, 2, ..."""
    averaging = WeightAveraging(0.5)
    averaging.on_train_start(At(), module)
    for step, number in enumerate(numbers, start=1):
        with torch.no_grad():
            module.one.weight.fill_(number)
            module.own.fill_(-number)
            module.count.fill_(step)
        averaging.on_train_batch_end(At(step), module, None, None, 0)
        averaging.on_train_batch_end(At(step), module, None, None, 1)  # accumulates alone: no step
    return averaging


def test_four_eight_nothing_is_four_six_three():
    for count, mean in ((1, 4.0), (2, 6.0), (3, 3.0)):
        module = Tied()
        averaging = seen(module, *(4.0, 8.0, 0.0)[:count])
        averaging.on_validation_epoch_start(None, module)
        assert (module.one.weight.item(), module.own.item(), module.count.item()) == (mean, -mean, count)
        averaging.on_validation_end(None, module)
        assert module.one.weight.item() == (4.0, 8.0, 0.0)[count - 1]


def test_a_checkpoint_holds_the_average_under_every_name_and_the_weights_beside_it():
    module = Tied()
    averaging = seen(module, 4.0, 8.0)
    checkpoint = {"state_dict": {name: value.clone() for name, value in module.state_dict().items()}}
    averaging.on_save_checkpoint(None, module, checkpoint)
    kept = {name: value.item() for name, value in checkpoint["state_dict"].items()}
    assert kept == {"one.weight": 6.0, "other.weight": 6.0, "own": -6.0, "count": 2.0}
    again, resumed = Tied(), WeightAveraging(0.5)
    again.load_state_dict(checkpoint["state_dict"])
    resumed.on_load_checkpoint(None, again, checkpoint)
    resumed.on_train_start(At(2), again)
    assert (again.one.weight.item(), again.own.item()) == (8.0, -8.0)
    resumed.on_train_batch_end(At(3), again, None, None, 0)
    resumed.on_validation_epoch_start(None, again)
    assert again.one.weight.item() == 7.0


def test_before_the_first_step_there_is_nothing_to_exchange():
    module = Tied()
    before = module.one.weight.item()
    averaging = WeightAveraging(0.5)
    averaging.on_validation_epoch_start(None, module)
    assert module.one.weight.item() == before
    checkpoint = {"state_dict": {}}
    averaging.on_save_checkpoint(None, module, checkpoint)
    assert checkpoint == {"state_dict": {}}


def trained(run):
    """The weights that training ended with."""
    content = read_checkpoint(run.directory.checkpoint("last"))
    return content.get("trained_state_dict", content["state_dict"])


@pytest.mark.slow
def test_training_itself_is_that_without_an_average(tmp_path):
    plain, averaged = fit(tmp_path / "plain"), fit(tmp_path / "ema", **EMA)
    mine, theirs = trained(averaged), trained(plain)
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    kept = weights(averaged)
    assert any(not torch.equal(kept[name], theirs[name]) for name in theirs)


@pytest.mark.slow
def test_a_decay_of_0_is_the_run_without_an_average(tmp_path):
    plain = fit(tmp_path / "plain")
    averaged = fit(tmp_path / "ema", **{**EMA, "optim.averaging_decay": 0.0})
    assert all(torch.equal(weights(averaged)[name], weight) for name, weight in weights(plain).items())
    assert [row["loss/val"] for row in rows(averaged)] == [row["loss/val"] for row in rows(plain)]


def test_what_is_scored_is_what_is_kept(tmp_path):
    run = fit(tmp_path, **EMA)
    again = factorexe.evaluate(factorexe.reloaded(run, checkpoint="last"), ("val",))
    assert again["loss"]["val"] == pytest.approx(run.result["loss"]["val"], rel=1e-6)
    kept = model_weights(read_checkpoint(run.directory.checkpoint("last")))
    for name, weight in run.model("last").state_dict().items():
        assert_close(weight, kept[name], rtol=0, atol=0)


@pytest.mark.parametrize("batches", [11, pytest.param(16, marks=pytest.mark.slow)])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, batches):
    options = {**config(), **EMA, "optim.filters": ["grokfast-ema"]}
    with pytest.raises(Stopped):
        factorexe.fit(options, preset="tiny", runs=tmp_path / "parts", stop=StopAfter(batches))
    parts = factorexe.fit(options, preset="tiny", runs=tmp_path / "parts")
    whole = factorexe.fit(options, preset="tiny", runs=tmp_path / "whole")
    assert_same_run(parts, whole)
    assert all(torch.equal(trained(parts)[name], weight) for name, weight in trained(whole).items())
