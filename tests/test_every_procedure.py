"""Every piece of a gradient procedure trains, stops, and goes on as if it had not stopped; every instrument watches."""

import pytest
import torch
from stops import StopAfter

import factorexe
from factorexe.callbacks.checkpoints import Stopped
from factorexe.config import ConfigError
from factorexe.registry import Registry
from factorexe.rundir import read_checkpoint

TASKS = {
    "modular": {"task": {"name": "modular", "operation": "multiply", "pairs": "unordered", "modulus": 13}},
    "multiplication": {"task": {"name": "multiplication", "digits": 2}},
    "factorial": {"task": {"name": "factorial", "held_out": "hash", "largest": 40, "modulus": 97}},
}
PARTS = {"name": "microbatch", "parts": 3}
GUIDED = {"name": "guide", "inner": PARTS}
GROUPS = ("measures", "aggregators", "filters", "controls", "losses", "optimizers", "instruments")
PIECES = [(group, name) for group in GROUPS for name in Registry(group).names()]


def procedure(group, name):
    """Options that put one piece to work."""
    if group == "instruments":
        return {"instruments": {name: {}}, "optim": {"measure": PARTS}, "data.corrupt": 0.2}
    if group == "losses":
        return {"objective": {"name": "answer", "loss": name}}
    field = {"measures": "measure", "aggregators": "aggregate"}.get(group, group.removesuffix("s"))
    if group in ("filters", "controls"):
        return {"optim": {group: [name]}}
    if name == "torchjd":  # its default needs a solver of quadratic programs
        name = {"name": name, "rule": "PCGrad"}
    optim = {field: name}
    if group == "aggregators":
        optim["measure"] = GUIDED
    return {"optim": optim}


def run_of(group, name, task, runs, stop=None):
    options = {
        **TASKS[task],
        "model": {"name": "transformer", "dropout": 0.1},
        "trainer.max_steps": 6,
        "trainer.val_check_interval": 3,
        "trainer.accumulate_grad_batches": 2,
        "trainer.log_every_n_steps": 2,
        "trainer.enable_progress_bar": False,
        "trainer.logger": "none",
        "data.batch_size": 8,
        "data.eval_size": 8,
        "objective": "answer",
        **procedure(group, name),
    }
    if task == "factorial":
        options.pop("data.corrupt", None)
    return factorexe.fit(options, preset="tiny", runs=runs, stop=stop)


def state(run):
    return read_checkpoint(run.directory.checkpoint("last"))["state_dict"]


def skip_what_is_not_there(group, name, task):
    if name == "torchjd":
        pytest.importorskip("torchjd")
    if name == "augment" and task == "factorial":
        pytest.skip("factorial has no other form of a problem")


@pytest.mark.slow
@pytest.mark.parametrize("task", ["multiplication", "factorial"])
@pytest.mark.parametrize(("group", "name"), PIECES, ids=[f"{group}-{name}" for group, name in PIECES])
def test_it_trains(group, name, task, tmp_path):
    skip_what_is_not_there(group, name, task)
    assert run_of(group, name, task, tmp_path).result["steps"] == 6


@pytest.mark.slow
@pytest.mark.parametrize(("group", "name"), PIECES, ids=[f"{group}-{name}" for group, name in PIECES])
def test_a_resumed_run_is_the_uninterrupted_one(group, name, tmp_path):
    skip_what_is_not_there(group, name, "modular")
    whole = run_of(group, name, "modular", tmp_path / "whole")
    with pytest.raises(Stopped):
        run_of(group, name, "modular", tmp_path / "parts", StopAfter(7))
    parts = run_of(group, name, "modular", tmp_path / "parts")
    before, after = state(whole), state(parts)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    for kind in ("steps", "solved", "loss", "events"):
        assert whole.result[kind] == parts.result[kind]


REFUSED = {
    "guide-project without guide": (
        {"optim.aggregate": "guide-project"},
        "optim.aggregate guide-project needs the gradient of held-out problems: use --optim.measure guide",
    ),
    "gaf of one gradient": (
        {"optim.aggregate": "gaf"},
        "optim.aggregate gaf compares the gradients of 2 parts or more, and optim.measure plain asks for 1: use"
        " --optim.measure microbatch, with as many parts",
    ),
    "the median of two": (
        {"optim.measure": {"name": "microbatch", "parts": 2}, "optim.aggregate": "median"},
        "median compares the gradients of 3 parts or more, and optim.measure microbatch asks for 2",
    ),
    "an instrument twice": (
        {"instruments": {"a": {"name": "weight-and-logit"}, "b": {"name": "weight-and-logit"}}},
        "instruments: weight-and-logit is chosen twice, as a and as b",
    ),
    "no guide split": (
        {"task": "factorial", "optim.measure": "guide"},
        "optim.measure guide: this task keeps no problems for guide",
    ),
    "an unknown group": (
        {"optim.measure": {"name": "microbatch", "split": "colour"}},
        "optim.measure microbatch: split: this task has no group 'colour'; use one of random, stratified, difficulty",
    ),
    "no variants": ({"task": "c-vpr", "optim.measure": "augment"}, "optim.measure augment: this task offers no"),
    "a filter twice": ({"optim.filters": "clip,clip"}, "optim.filters: clip stands there twice"),
    "a filter that is not there": ({"optim.filters": "grokfast"}, "grokfast-ema"),
    "an argument it does not know": ({"optim.optimizer": {"name": "adam", "betta1": 0.9}}, "beta1"),
    "a precision that is not offered": ({"trainer.precision": "16-mixed"}, "bf16-mixed"),
    "no parts": ({"optim.measure": {"name": "microbatch", "parts": 0}}, "optim.measure.parts"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_work_is_refused_in_a_line_before_a_run_begins(what, tmp_path):
    options, message = REFUSED[what]
    with pytest.raises(ConfigError) as refusal:
        factorexe.fit({"task": "addition", **options}, preset="tiny", runs=tmp_path / "runs")
    assert message in str(refusal.value)
    assert len(refusal.value.messages) == 1
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "runs").exists()


def test_parts_that_do_not_divide_the_batch_are_taken_unequal(tmp_path):
    run = run_of("measures", "microbatch", "modular", tmp_path)  # 8 parts of batches of 8, then 5 of 8
    assert run.finished
    options = {"optim.measure": {"name": "microbatch", "parts": 5}}
    assert factorexe.fit({"task": "addition", "trainer.max_steps": 2, **options}, preset="tiny", runs=tmp_path).finished
