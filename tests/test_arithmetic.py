"""A number that was counted once may stand for another only where the two must be equal."""

from types import SimpleNamespace

import pytest
import torch

from factorexe import arithmetic
from factorexe.arithmetic import known_multiply_adds, multiply_adds
from factorexe.config import resolve
from factorexe.learner import Learner
from factorexe.models.universal_transformer import UniversalTransformer
from factorexe.registry import Registry
from factorexe.run import build


def parts(**options):
    """Options of the model, learner and data of a tiny run of parity, whose sequences are all equally long."""
    width = "model.inner.width" if options.get("model") == "pause-token" else "model.width"
    config = resolve({"task": "parity", width: 16, **options}, preset="tiny").config
    built = build(config)
    return config.model, Learner(built.model, built.objective, config.optim, config.seed), built.data


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch):
    monkeypatch.setattr(arithmetic, "_KNOWN", {})


@pytest.fixture
def counts(monkeypatch):
    """How often something was counted."""
    found = []
    monkeypatch.setattr(arithmetic, "multiply_adds", lambda *of: found.append(1) or multiply_adds(*of))
    return found


@pytest.mark.parametrize("model", Registry("models").names())
def test_a_model_that_promises_it_takes_the_same_arithmetic_on_other_problems_and_weights(model):
    _, one, data = parts(model=model)
    _, other, others = parts(model=model, seed=1)
    assert not torch.equal(data.batch("train", 0).tokens, others.batch("train", 0).tokens)
    if vars(type(one.model)).get("same_arithmetic"):
        assert multiply_adds(one, data) == multiply_adds(other, others)


def test_the_same_model_is_counted_once(counts):
    one, other = known_multiply_adds(*parts()), known_multiply_adds(*parts(seed=1))
    assert one == other
    assert len(counts) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"model.width": 32},
        {"model.steps": 5},
        {"model": "transformer"},
        {"data.batch_size": 8},
        {"task.length": 12},
        {"objective": "answer"},
    ],
    ids=str,
)
def test_whatever_changes_the_arithmetic_is_counted_anew(counts, changed):
    one, other = known_multiply_adds(*parts()), known_multiply_adds(*parts(**changed))
    assert len(counts) == 2
    assert one != other
    assert other == multiply_adds(*parts(**changed)[1:])


def test_fewer_supervised_tokens_are_counted_anew(counts):
    options, learner, data = parts()
    batch = data.batch("train", 0)
    known_multiply_adds(options, learner, data)
    batch.weights[0] = 0
    fewer = SimpleNamespace(batch=lambda split, index: batch)
    assert known_multiply_adds(options, learner, fewer) == multiply_adds(learner, fewer)
    assert len(counts) == 2


def test_a_model_that_does_not_say_so_itself_is_counted_every_time(counts):
    class Halting(UniversalTransformer):
        pass

    options, learner, data = parts()
    learner.model.__class__ = Halting
    for _ in range(2):
        known_multiply_adds(options, learner, data)
    assert len(counts) == 2


def test_an_objective_with_a_loss_of_its_own_is_counted_every_time(counts):
    options, learner, data = parts()

    class Own(type(learner.objective)):
        def loss(self, model, batch):
            return super().loss(model, batch)

    learner.objective.__class__ = Own
    for _ in range(2):
        known_multiply_adds(options, learner, data)
    assert len(counts) == 2
