"""When the probe looks, what it finds in models that are known, and that it leaves nothing changed."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from stops import StopAfter
from torch import nn

import factorexe
from factorexe.callbacks.checkpoints import Stopped
from factorexe.callbacks.looks import fixed
from factorexe.callbacks.residue_table import ResidueTable
from factorexe.config import resolve
from factorexe.instruments import DeepProbeConfig
from factorexe.metrics import read_rows
from factorexe.run import build

ALL = ("spectral", "fourier", "hessian", "learning-coefficient")
SMALL = {"problems": 16, "draws": 3, "burn_in": 1, "iterations": 3}


class Standin(nn.Module):
    """What the probe sees of a learner."""

    device = torch.device("cpu")

    def __init__(self, built):
        super().__init__()
        self.model, self.objective = built.model, built.objective


def made(seed=0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = build(resolve({"task": "modular", **options}, preset="tiny").config)
    return Standin(built), built.data


def probe_of(data, step=1000, max_steps=10_000, **options):
    probe = DeepProbeConfig(**(SMALL | options)).build(None)
    trainer = SimpleNamespace(global_step=step, max_steps=max_steps, datamodule=data)
    probe.on_fit_start(trainer, None)
    return probe, trainer


def looked(learner, data, **options):
    probe, trainer = probe_of(data, **options)
    probe.on_validation_end(trainer, learner)
    return probe


def evaluated(probe, trainer, learner, steps):
    """At which of these evaluations it looked."""
    found = []
    for trainer.global_step in steps:
        probe.on_validation_end(trainer, learner)
        if probe.numbers():
            found.append(trainer.global_step)
    return found


@pytest.mark.parametrize(
    ("every", "evaluations", "looks"),
    [
        (1000, range(300, 3301, 300), [1200, 2100, 3000]),
        (1000, range(500, 3001, 500), [1000, 2000, 3000]),
        (100, range(300, 1201, 300), [300, 600, 900, 1200]),  # more often than there are evaluations
    ],
)
def test_it_looks_at_the_first_evaluation_after_each_multiple(every, evaluations, looks):
    learner, data = made()
    probe, trainer = probe_of(data, every=every, probes=("spectral",))
    assert evaluated(probe, trainer, learner, evaluations) == looks


def test_it_looks_at_the_last_evaluation_and_keeps_its_cadence_if_the_run_goes_on():
    learner, data = made()
    probe, trainer = probe_of(data, every=1000, max_steps=500, probes=("spectral",))
    assert evaluated(probe, trainer, learner, [250, 500]) == [500]
    trainer.max_steps = 1500
    assert evaluated(probe, trainer, learner, [750, 1000, 1250, 1500]) == [1000, 1500]


def test_every_number_has_a_tag_and_is_finite():
    learner, data = made()
    found = looked(learner, data, probes=ALL).numbers()
    assert set(found) == {
        *("repr/spectral_entropy", "repr/effective_rank", "weight/effective_rank", "weight/stable_rank"),
        *("fourier/gini", "fourier/top_share", "fourier/excluded_loss", "fourier/restricted_loss"),
        *("sharpness/largest_eigenvalue", "llc/estimate", "llc/deviation"),
    }
    assert all(math.isfinite(number) for number in found.values())


def test_what_is_not_finite_is_left_out():
    learner, data = made()
    found = looked(learner, data, probes=("learning-coefficient",), chains=1).numbers()
    assert set(found) == {"llc/estimate"}  # one chain has no deviation


@pytest.mark.parametrize("model", ["transformer", "universal-transformer", "cotformer", "pause-token"])
def test_weights_modes_gradients_and_random_state_are_as_before(model):
    learner, data = made(model={"name": model})
    learner.train()
    learner.model.eval()
    next(learner.parameters()).grad = torch.ones_like(next(learner.parameters()))
    modes = [module.training for module in learner.modules()]
    before, random = copy.deepcopy(learner.state_dict()), torch.get_rng_state()
    looked(learner, data, probes=ALL)
    assert [module.training for module in learner.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.state_dict().items())
    first, *others = learner.parameters()
    assert torch.equal(first.grad, torch.ones_like(first))
    assert all(parameter.grad is None and parameter.requires_grad for parameter in others)


def test_the_same_weights_give_the_same_numbers_whatever_was_drawn_before():
    learner, data = made(model={"name": "universal-transformer", "dropout": 0.5})
    first = looked(learner.train(), data, probes=ALL).numbers()
    torch.rand(7)
    assert looked(learner.eval(), data, probes=ALL).numbers() == first


def test_a_restored_probe_goes_on_as_if_nothing_had_happened():
    learner, data = made()
    whole, trainer = probe_of(data, every=100, probes=("spectral",))
    evaluated(whole, trainer, learner, [100, 150])
    fresh, other = probe_of(data, every=100, probes=("spectral",))
    fresh.load_state_dict(copy.deepcopy(whole.state_dict()))
    steps = [150, 250, 300]  # the evaluation at which it was saved comes again
    assert evaluated(whole, trainer, learner, steps) == evaluated(fresh, other, learner, steps) == [250, 300]
    assert whole.rows == fresh.rows
    assert whole.result() == fresh.result()


def test_an_evaluation_that_comes_again_has_its_numbers_again_and_no_second_row():
    learner, data = made()
    probe, trainer = probe_of(data, every=100, probes=("spectral",))
    probe.on_validation_end(trainer, learner)
    first = probe.numbers()
    probe.on_validation_end(trainer, learner)
    assert probe.numbers() == first != {}
    assert len(probe.rows) == 1


# -- the table of a modular task


class Rule(nn.Module):
    """An objective and a model in one: states are logits, 9 at the right residue of trained and other cells alike."""

    def __init__(self, layout, task):
        super().__init__()
        self.layout, self.task = layout, task

    def read(self, model, batch):
        right = batch.examples.answer[:, 0]
        states = 9.0 * F.one_hot(torch.from_numpy(right), self.layout.vocabulary)
        states = states[None, :, None].expand(1, -1, batch.tokens.shape[1], -1)
        return SimpleNamespace(states=states, weight=torch.ones(states.shape[:3]))

    def readout(self, states):
        return states


@pytest.mark.parametrize("operation", ["add", "subtract", "multiply", "divide"])
def test_a_model_that_has_the_rule_has_no_other_waves(operation):
    learner, data = made(task={"name": "modular", "operation": operation})
    learner.model = learner.objective = Rule(data.layout, data.task)
    n = 13 if operation in ("add", "subtract") else 12
    found = looked(learner, data, probes=("fourier",), frequencies=n // 2).numbers()
    assert found["fourier/top_share"] == pytest.approx(1, abs=1e-6)
    classes = 13  # with 0, which no product of the table is
    assert found["fourier/restricted_loss"] == pytest.approx(math.log(1 + (classes - 1) * math.exp(-9)), rel=1e-4)
    assert found["fourier/excluded_loss"] == pytest.approx(math.log(n), rel=0.05)


def test_logits_of_the_table_are_those_of_the_problems_one_by_one():
    learner, data = made(task={"name": "modular", "operation": "divide"})
    learner.eval()
    table = ResidueTable.of(data.task, data.layout)
    with torch.no_grad():
        logits = table.logits(learner).flatten(0, 1)
        batch = data.evaluation_batches("val")[0]
        cells = table.cells(batch.examples)
        generated = learner.objective.decode(learner.model, batch).tokens[:, 0]
    rows = torch.from_numpy(batch.examples.prompt[:, 0] != 1)  # 0 / b has no logarithm
    assert len(cells) == rows.sum() > 0
    inside = (generated[rows] >= 1) & (generated[rows] <= 13)
    assert torch.equal(logits[cells].argmax(dim=1)[inside] + 1, generated[rows][inside])
    assert torch.equal(table.answers.flatten()[cells] + 1, torch.from_numpy(batch.examples.answer[:, 0])[rows])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"task": {"name": "modular", "operation": "cubic"}}, "cubic modulo 13 has no coordinates"),
        ({"task": {"name": "modular", "operation": "multiply", "modulus": 12}}, "multiply modulo 12 has no"),
        (
            {"task": {"name": "modular", "operands": 3, "min_operands": 3}, "data": {"train_fraction": 0.5}},
            "no problem of two operands",
        ),
        ({"objective": {"name": "chain", "keep_steps": 2}}, "objective.keep_steps 1"),
    ],
)
def test_a_modular_task_without_waves_is_told_why_in_one_line(options, reason, capsys):
    learner, data = made(**options)
    probe = looked(learner, data, probes=("fourier", "spectral"))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("deep-probe: fourier is idle: ")
    assert reason in line
    assert reason in probe.result()["idle"]["fourier"]
    assert not any(tag.startswith("fourier/") for tag in probe.numbers())


def test_other_tasks_have_no_fourier_numbers_and_nothing_is_said(capsys):
    with torch.random.fork_rng(devices=[]):
        built = build(resolve({"task": "addition"}, preset="tiny").config)
    found = looked(Standin(built), built.data)
    assert capsys.readouterr().err == ""
    assert "no table of modular arithmetic" in found.idle["fourier"]
    assert {tag.partition("/")[0] for tag in found.numbers()} == {"repr", "weight", "sharpness"}


def test_fixed_problems_are_no_more_than_asked_for_and_of_every_difficulty():
    with torch.random.fork_rng(devices=[]):
        built = build(resolve({"task": {"name": "addition", "min_digits": 1}}, preset="tiny").config)
    batches = fixed(built.data, "val", 20, torch.device("cpu"))
    levels = [level for batch in batches for level in batch.examples.difficulty.tolist()]
    assert len(levels) == 20
    assert set(levels) == set(built.data.splits.evaluation("val").difficulty.tolist())
    assert fixed(built.data, "canary", 30, torch.device("cpu")) == []


# -- in a run


def fit(runs, stop=None, instruments=None):
    watched = {"deep-probe": SMALL | {"every": 3, "probes": list(ALL)}}
    return factorexe.fit(
        {
            "task": "modular",
            "model": {"name": "universal-transformer", "dropout": 0.2},
            "data": {"batch_size": 8, "eval_size": 8},
            "trainer": {"max_steps": 7, "val_check_interval": 2, "threads": 1, "enable_progress_bar": False},
            "instruments": watched if instruments is None else instruments,
        },
        preset="tiny",
        runs=runs,
        stop=stop,
        say=lambda line: None,
    )


def told(run):
    """Everything but times."""
    return [{k: x for k, x in row.items() if k != "wall_time_s"} for row in read_rows(run.directory.metrics)]


def test_rows_hold_the_numbers_and_a_resumed_run_has_the_same_ones(tmp_path):
    whole = fit(tmp_path / "whole")
    with pytest.raises(Stopped):
        fit(tmp_path / "parts", stop=StopAfter(5))
    parts = fit(tmp_path / "parts")
    assert told(parts) == told(whole)
    assert parts.result["deep_probe"] == whole.result["deep_probe"]
    looks = [row["step"] for row in told(whole) if "llc/estimate" in row]
    assert looks == [row["step"] for row in whole.result["deep_probe"]["rows"]] == [4, 6, 7]


def test_a_run_that_is_looked_at_trains_as_one_that_is_not(tmp_path):
    watched, plain = told(fit(tmp_path / "watched")), told(fit(tmp_path / "plain", instruments={}))
    assert [{name: row[name] for name in bare} for row, bare in zip(watched, plain, strict=True)] == plain
