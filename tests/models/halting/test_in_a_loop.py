"""Policies at work in a universal transformer: limits where halting is fixed depth, what is trained, what it costs."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from factorexe.layout import SequenceLayout
from factorexe.models.universal_transformer import UniversalTransformerConfig
from factorexe.objectives.base import Objective
from factorexe.optim.losses.cross_entropy import CrossEntropyConfig
from factorexe.tasks.addition import Addition

STEPS = 4
LAYOUT = SequenceLayout(Addition(min_digits=1, digits=2), chain=False)
BATCH = LAYOUT.batch(LAYOUT.task.sample(np.array([1, 2, 2, 1, 2, 2]), np.random.default_rng(0)), 9)
REAL = BATCH.tokens != 0


def build(halting="fixed", **options):
    torch.manual_seed(0)
    small = {"width": 16, "heads": 2, "layers": 1, "coda": 1, "steps": STEPS, **options}
    return UniversalTransformerConfig(**small, halting=halting).build(LAYOUT.vocabulary, LAYOUT.max_length)


def like(model, source):
    """The model with the weights of ``source``, its own where that has none."""
    model.load_state_dict(source.state_dict(), strict=False)
    return model


def read(model, batch=BATCH):
    return model(batch.tokens, prompt_length=batch.prompt_length, **({"extra": batch.extra} if batch.extra else {}))


def loss(model, batch=BATCH):
    made = Objective(LAYOUT, CrossEntropyConfig().build()).train(model.training).loss(model, batch)
    return made.total / made.weight


@pytest.mark.parametrize("halt", ["token", "sequence"])
@pytest.mark.parametrize("training", [True, False])
def test_act_that_never_halts_is_fixed_depth_at_the_price_of_every_step_and_a_remainder_of_one(training, halt):
    fixed = build().train(training)
    forced = like(build({"name": "act", "bias": -200.0, "cost": 0.1, "halt": halt}), fixed).train(training)
    mine, theirs = read(forced), read(fixed)
    assert_close(mine.states[:, REAL], theirs.states[:, REAL], rtol=0, atol=1e-6)
    assert torch.equal(mine.compute, theirs.compute)
    assert_close(loss(forced), loss(fixed) + 0.1 * (STEPS + 1))


@pytest.mark.parametrize(
    "halting",
    [
        {"name": "confidence", "rule": "stable", "patience": STEPS},  # which takes a step more than there are
        {"name": "ponder", "deploy": "threshold", "threshold": 1.0, "prior": 1e-9},
    ],
)
@torch.no_grad()
def test_what_never_settles_is_fixed_depth_in_evaluation(halting):
    fixed = build().eval()
    never = like(build(halting), fixed).eval()
    assert_close(read(never).states[:, REAL], read(fixed).states[:, REAL], rtol=0, atol=1e-6)


@pytest.mark.parametrize("rule", ["stable", "certain"])
def test_confidence_is_trained_as_fixed_depth(rule):
    fixed = build().train()
    confident = like(build({"name": "confidence", "rule": rule}), fixed).train()
    assert torch.equal(loss(confident), loss(fixed))


@pytest.mark.parametrize("halting", ["act", "ponder", "stick-breaking"])
@pytest.mark.parametrize("halt", ["token", "sequence"])
def test_the_loss_reaches_the_gate_and_everything_else(halting, halt):
    model = build({"name": halting, "halt": halt}).train()
    loss(model).backward()
    missed = {
        name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()
    }
    assert missed <= {"policy.hidden.weight", "policy.hidden.bias"}  # behind weights that begin at zero


@pytest.mark.parametrize("deploy", ["sample", "expected"])
def test_pondernet_is_trained_on_the_loss_of_every_depth_weighted_by_its_probability(deploy):
    ponder = build({"name": "ponder", "prior": 0.3, "deploy": deploy}).train()
    output = read(ponder)
    assert output.states.shape[0] == STEPS
    assert_close(output.weight[:, 0, 0].tolist(), [0.3, 0.21, 0.147, 0.343])  # the gate begins at the prior
    fixed = like(build(), ponder).train()
    at_depth = []
    for steps in range(1, STEPS + 1):
        fixed.config = fixed.config.model_copy(update={"steps": steps})
        at_depth.append(loss(fixed))
    expected = sum(p * one for p, one in zip((0.3, 0.21, 0.147, 0.343), at_depth, strict=True))
    divergence = loss(ponder) - expected  # from the renormalised prior
    p, q = torch.tensor([0.3, 0.21, 0.147, 0.343]), torch.tensor([0.3, 0.21, 0.147, 0.1029]) / (1 - 0.7**4)
    assert_close(divergence, 0.01 * (p * (p / q).log()).sum(), rtol=0, atol=1e-5)


def test_deep_supervision_scores_every_depth_alike_or_the_steps_it_drew():
    deep, fixed = build("deep-supervision").train(), build().train()
    like(deep, fixed)
    at_depth = []
    for steps in range(1, STEPS + 1):
        fixed.config = fixed.config.model_copy(update={"steps": steps})
        at_depth.append(loss(fixed))
    assert_close(loss(deep), sum(at_depth) / STEPS, rtol=0, atol=1e-5)
    drawing = build({"name": "deep-supervision", "supervised": 2}).train()
    batch = drawing.prepare(BATCH, 0, torch.Generator().manual_seed(0))
    weight = read(drawing, batch).weight
    assert ((weight == 0.5).sum(dim=0) == 2).all()
    assert (weight[-1] == 0.5).all()
    assert torch.equal(drawing.eval()(BATCH.tokens).states, like(build().eval(), drawing)(BATCH.tokens).states)


def test_detached_steps_pass_no_gradient_to_those_before():
    for detach in (False, True):
        halting = {"name": "deep-supervision", "detach": detach}
        model = build(halting, injection="none", coda=0).train()  # the input is seen by the first step alone
        (gradient,) = torch.autograd.grad(read(model).states[-1].square().sum(), model.embedding.weight)
        assert bool(gradient.any()) is not detach


@pytest.mark.parametrize("halting", ["act", "ponder", "stick-breaking", "confidence", "deep-supervision"])
def test_policies_train_under_autocast(halting):
    model = build(halting).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = loss(model)
    made.backward()
    assert made.isfinite()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())
