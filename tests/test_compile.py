"""A compiled core: the same numbers, one compilation, and a run that is resumed as it would have gone on."""

import shutil

import pytest
import torch
from stops import StopAfter
from torch._dynamo.utils import counters

import factorexe
from factorexe.callbacks.checkpoints import Stopped
from factorexe.config import ConfigError, resolve
from factorexe.models.base import Model
from factorexe.models.transformer import Transformer
from factorexe.registry import Registry
from factorexe.run import build
from factorexe.rundir import read_checkpoint

OPTIONS = {
    "task": "addition",
    "model": "universal-transformer",
    "model.dropout": 0.1,
    "model.step_embedding": "sinusoidal",
    "objective": "chain",
    "data.eval_size": 10,
    "trainer.compile": True,
    "trainer.max_steps": 8,
    "trainer.val_check_interval": 3,
    "trainer.enable_progress_bar": False,
}
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="compiling on a CPU takes g++")


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("model", Registry("models").names())
def test_loss_and_gradients_are_those_of_the_core_as_written(model):
    built = build(resolve({"task": "addition", "model": model, "objective": "chain"}, preset="tiny").config)
    built = built._replace(model=built.model.train())
    for part in built.model.modules():
        if hasattr(part, "rate"):
            part.rate = 0.0  # the two draw different dropout
        if hasattr(part, "dropout"):
            part.dropout = 0.0
    found = []
    for _ in range(2):
        loss = built.objective.loss(built.model, built.data.batch("train", 0))
        found.append((loss.total, torch.autograd.grad(loss.total, list(built.model.parameters()))))
        built.model.compile_core()
    (plain, gradients), (compiled, others) = found
    torch.testing.assert_close(compiled, plain, rtol=1e-5, atol=1e-5)
    for one, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@needs_compiler
def test_one_compilation_serves_a_run_and_a_resumed_run_is_the_undisturbed_one(tmp_path):
    torch.compiler.reset()
    counters.clear()
    whole = factorexe.fit(OPTIONS, preset="tiny", runs=tmp_path / "whole")
    assert counters["stats"]["unique_graphs"] == 1  # evaluations of other shapes, and decoding, compiled nothing
    with pytest.raises(Stopped):
        factorexe.fit(OPTIONS, preset="tiny", runs=tmp_path / "cut", stop=StopAfter(4))
    cut = factorexe.fit(OPTIONS, preset="tiny", runs=tmp_path / "cut")
    one, other = (read_checkpoint(run.directory.checkpoint("last"))["state_dict"] for run in (whole, cut))
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    plain = factorexe.fit({**OPTIONS, "trainer.compile": False}, preset="tiny", runs=tmp_path / "plain")
    assert plain.path.name != whole.path.name
    assert whole.result["train_multiply_adds"] == plain.result["train_multiply_adds"]


def test_without_a_compiler_a_run_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    def absent():
        raise RuntimeError("none")

    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", absent)
    with pytest.raises(ConfigError, match=r"trainer\.compile needs a C\+\+ compiler such as g\+\+"):
        factorexe.fit(OPTIONS, preset="tiny", runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_model_without_a_core_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Transformer, "compile_core", Model.compile_core)
    with pytest.raises(ConfigError, match=r"trainer\.compile: transformer has no core that can be compiled"):
        factorexe.fit({"task": "addition", "model": "transformer", "trainer.compile": True}, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
