"""The loss of a token is an option of every objective, and an objective applies it to what is supervised."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from factorexe.layout import SequenceLayout
from factorexe.models.transformer import TransformerConfig
from factorexe.models.universal_transformer import UniversalTransformerConfig
from factorexe.objectives.answer import AnswerConfig
from factorexe.objectives.answer_at_once import AnswerAtOnceConfig
from factorexe.objectives.chain import ChainConfig
from factorexe.tasks.addition import Addition

TASK = Addition(digits=2, base=4)


def real(objective, model=TransformerConfig):
    layout = SequenceLayout(TASK, chain=objective.contents().chain)
    torch.manual_seed(0)
    built = model(layers=1, width=16, heads=2).build(layout.vocabulary, layout.max_length)
    batch = layout.batch(TASK.sample(np.full(6, 2), np.random.default_rng(0)), layout.length([2]))
    return built, objective.build(built, layout), batch


def by_hand(model, objective, batch):
    """Cross-entropy of every position on its own, then those that are supervised."""
    logits = model.readout(objective.read(model, batch).states[0]).float()
    each = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="none")
    return (each * batch.weights.flatten()).sum()


@pytest.mark.parametrize("config", [AnswerConfig, AnswerAtOnceConfig, ChainConfig])
@pytest.mark.parametrize("training", [True, False])
def test_by_default_it_is_cross_entropy(config, training):
    model, objective, batch = real(config())
    objective.train(training)
    assert_close(objective.loss(model, batch).total, by_hand(model, objective, batch), rtol=1e-6, atol=0)


@pytest.mark.parametrize("config", [AnswerConfig, AnswerAtOnceConfig, ChainConfig])
def test_another_loss_is_used_where_it_is_named(config):
    model, objective, batch = real(config(loss="stablemax"))
    stable = objective.loss(model, batch).total
    assert abs(stable - by_hand(model, objective, batch)) > 0.1
    assert stable.dtype == torch.float32


def test_what_steers_training_follows_the_objectives_mode():
    model, objective, batch = real(AnswerConfig(loss={"name": "cross-entropy", "spectral_decoupling": 0.5}))
    dear, plain = objective.train().loss(model, batch).total, objective.eval().loss(model, batch).total
    logits = model.readout(objective.read(model, batch).states[0])
    price = (0.25 * logits.square().sum(dim=-1) * batch.weights).sum()
    assert_close(dear - plain, price, rtol=1e-4, atol=0)


def test_every_state_of_a_token_is_weighed_with_its_own_loss():
    states = UniversalTransformerConfig(layers=1, width=16, heads=2, steps=3, halting="deep-supervision")
    model, objective, batch = real(AnswerConfig(loss="stablemax"), lambda **_: states)
    output = objective.read(model, batch)
    total = torch.zeros(())
    for state, weight in zip(output.states, output.weight, strict=True):
        logits = model.readout(state).float()
        each = objective.token_loss(logits.flatten(0, 1), batch.targets.flatten()).view_as(weight)
        total = total + (weight * each * batch.weights).sum()
    total = total + (output.penalty * batch.weights).sum()
    assert len(output.states) == 3
    assert_close(objective.loss(model, batch).total, total, rtol=1e-5, atol=0)
