"""Runs of models that draw depths, capacities and pauses, and remember what they have seen, go on as they began."""

import pytest
from stops import StopAfter
from test_run import assert_same_run, config

import factorexe
from factorexe.callbacks.checkpoints import Stopped

UNIVERSAL = {"model": "universal-transformer"}
MODELS = {
    "random depth": {**UNIVERSAL, "model.depth": "poisson-lognormal", "model.backprop": 2, "model.start_noise": 0.1},
    "two passes": {**UNIVERSAL, "model.depth": "progressive"},
    "told depth": {**UNIVERSAL, "model.depth": "difficulty", "objective": "answer-at-once"},
    "pondering": {**UNIVERSAL, "model.halting": {"name": "ponder", "others_see": "soft"}},
    "rows that halt": {**UNIVERSAL, "model.halting": {"name": "act", "halt": "sequence"}},
    "drawn supervision": {**UNIVERSAL, "model.halting": {"name": "deep-supervision", "supervised": 2}},
    "capacities": {"model": "cotformer", "model.halting": {"name": "mixture-of-repeats", "capacity": 0.5}},
    "random pauses": {"model": "pause-token", "model.random_pauses": 0.2},
}


def run_of(name, runs, stop=None):
    options = {option: value for option, value in config().items() if option != "model.dropout"}
    dropout = "model.inner.dropout" if name == "random pauses" else "model.dropout"
    return factorexe.fit({**options, dropout: 0.1, **MODELS[name]}, preset="tiny", runs=runs, stop=stop)


@pytest.mark.parametrize("name", MODELS)
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, name):
    with pytest.raises(Stopped):
        run_of(name, tmp_path / "parts", StopAfter(11))
    assert_same_run(run_of(name, tmp_path / "parts"), run_of(name, tmp_path / "whole"))
