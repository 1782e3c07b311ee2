"""Sharpness-aware minimization against loops written by hand."""

import math

import pytest
import torch
from torch.testing import assert_close
from trained import STEPS, configured, learned, weights

from factorexe.optim.flat import Flat
from factorexe.optim.measures.sam import adaptive, straight
from factorexe.run import build


def test_the_way_uphill_is_rho_long():
    # g = (0.6, 0.8) has norm 1
    assert_close(straight(0.5)(torch.tensor([0.6, 0.8]), torch.tensor([3.0, 4.0])), torch.tensor([0.3, 0.4]))
    assert_close(straight(0.5)(torch.zeros(2), torch.ones(2)), torch.zeros(2))


def test_the_adaptive_way_is_rho_long_in_units_of_the_weights():
    # |w| g = (3, 4) of norm 5; w^2 g = (3 * 3, 2 * 4), times 1 / 5
    way = adaptive(1.0)(torch.tensor([1.0, 2.0]), torch.tensor([3.0, -2.0]))
    assert_close(way, torch.tensor([9 / 5, 8 / 5]))
    assert_close((way / torch.tensor([3.0, 2.0])).norm(), torch.tensor(1.0))
    assert adaptive(1.0)(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0]))[0] == 0.0


def by_hand(config, ascent, accumulate, parts=1):
    """AdamW on gradients uphill; each part of a micro-batch goes uphill alone."""
    built = build(config)
    flat = Flat(built.model.named_parameters())
    optimizer = config.optim.optimizer.build(built.model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / STEPS)) / 2)

    def gradient(batch):
        torch.manual_seed(0)  # dropout, where there is any, is the same at both points
        loss = built.objective.loss(built.model, batch)
        return flat.vector(torch.autograd.grad(loss.total / loss.weight, flat.parameters)), loss.weight

    for step in range(STEPS):
        total = torch.zeros(flat.size)
        for micro in range(accumulate):
            batch = built.data.batch("train", step * accumulate + micro)
            weight = batch.weights.sum()
            for rows in torch.arange(len(batch)).tensor_split(parts):
                part = batch.select(rows)
                here, tokens = gradient(part)
                before = flat.weights()
                flat.put(before + ascent(here, before))
                there, _ = gradient(part)
                flat.put(before)
                total += there * tokens / weight / accumulate
        for parameter, piece in zip(flat.parameters, flat.pieces(total), strict=True):
            parameter.grad = piece
        optimizer.step()
        schedule.step()
    return torch.cat([parameter.detach().flatten() for parameter in built.model.parameters()])


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(("name", "ascent"), [("sam", straight(0.5)), ("asam", adaptive(0.5))])
def test_training_equals_a_loop_written_by_hand(name, ascent, accumulate):
    config = configured({"measure": {"name": name, "rho": 0.5}})
    learner = learned(config, accumulate_grad_batches=accumulate)
    assert_close(weights(learner), by_hand(config, ascent, accumulate), rtol=0, atol=1e-5)
    plain = learned(configured(), accumulate_grad_batches=accumulate)
    assert (weights(learner) - weights(plain)).abs().max() > 1e-3  # it is another gradient


def test_each_part_may_go_uphill_alone():
    config = configured({"measure": {"name": "microbatch", "parts": 3, "inner": {"name": "sam", "rho": 0.5}}})
    assert_close(weights(learned(config)), by_hand(config, straight(0.5), 1, parts=3), rtol=0, atol=1e-5)


def test_parts_may_go_uphill_together():
    inner = {"name": "microbatch", "parts": 3}
    config = configured({"measure": {"name": "sam", "rho": 0.5, "inner": inner}})
    assert_close(weights(learned(config)), by_hand(config, straight(0.5), 1), rtol=0, atol=1e-5)


def test_no_way_uphill_is_plain_training():
    nowhere = learned(configured({"measure": {"name": "sam", "rho": 0.0}}))
    assert torch.equal(weights(nowhere), weights(learned(configured())))


def test_both_passes_see_the_same_dropout():
    model = {"name": "transformer", "dropout": 0.5}
    nowhere = configured({"measure": {"name": "sam", "rho": 0.0}}, model=model)
    assert torch.equal(weights(learned(nowhere)), weights(learned(configured(model=model))))


def test_the_pass_uphill_runs_in_the_precision_of_training():
    nowhere = configured({"measure": {"name": "sam", "rho": 0.0}})
    assert torch.equal(
        weights(learned(nowhere, precision="bf16-mixed")), weights(learned(configured(), precision="bf16-mixed"))
    )
