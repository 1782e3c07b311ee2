"""Runs with filters, controls and several optimizers go on as they began, whatever these remember."""

import pytest
from stops import StopAfter
from test_run import assert_same_run, config

import factorexe
from factorexe.callbacks.checkpoints import Stopped

# stopped within a window of gradients, and before the evaluation at which decay begins
RUNS = {
    "filters": {
        "filters": {"clip": {}, "grokfast-ema": {}, "grokfast-ma": {"window": 3}, "noise": {}, "orthograd": {}}
    },
    "decay that waits": {"controls": {"delayed-weight-decay": {"solved": 0.0}}, "optimizer.weight_decay": 5.0},
    "decay from a step on": {"controls": {"delayed-weight-decay": {"step": 7}}, "optimizer.weight_decay": 5.0},
    "clamp and muon": {"controls": {"weight-norm-clamp": {"exact": True}}, "optimizer": "muon"},
}


def run_of(name, runs, stop=None):
    options = {f"optim.{option}": value for option, value in RUNS[name].items()}
    return factorexe.fit({**config(), **options, "optim.warmup": 0}, preset="tiny", runs=runs, stop=stop)


@pytest.mark.parametrize("name", ["filters", *(pytest.param(name, marks=pytest.mark.slow) for name in list(RUNS)[1:])])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, name):
    with pytest.raises(Stopped):
        run_of(name, tmp_path / "parts", StopAfter(11))
    assert_same_run(run_of(name, tmp_path / "parts"), run_of(name, tmp_path / "whole"))
