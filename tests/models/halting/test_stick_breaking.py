"""Stick-breaking: halves of halves, what is left to the last state, what it costs, where it stops."""

import pytest
import torch
from by_hand import listening, logit, states_of, walk
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from factorexe.models.halting.act import ACTConfig
from factorexe.models.halting.ponder import PonderConfig
from factorexe.models.halting.stick_breaking import StickBreakingConfig


def stick(**options):
    """A policy that reads its logit off the state, in double precision."""
    return listening(StickBreakingConfig(**options).build(4, 3).double())


def test_the_gate_begins_by_halving():
    policy = StickBreakingConfig(cost=1.0).build(4, 3).train()
    walked = walk(policy, torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0)))
    assert walked.shares[:, 0].tolist() == [0.5, 0.25, 0.25]
    assert walked.penalty.tolist() == [1.75] * 5
    walked.output.sum().backward()
    assert policy.gate.weight.grad.abs().max() > 0


def test_two_steps_and_their_gradients_are_those_computed_by_hand():
    logits = logit([0.3, 0.9]).requires_grad_()
    rest = torch.tensor([[0.0, 1, 2, 3], [0.0, 5, 5, 5]], dtype=torch.float64)
    walked = walk(stick(cost=0.1).train(), rest + logits[:, None] * torch.tensor([1.0, 0, 0, 0]))
    assert_close(walked.shares.tolist(), [0.3, 0.7])
    assert_close(walked.penalty.item(), 0.1 * (0.3 * 1 + 0.7 * 2))
    (of_penalty,) = torch.autograd.grad(walked.penalty, logits, retain_graph=True)
    assert_close(of_penalty.tolist(), [-0.1 * 0.3 * 0.7, 0.0])
    (of_output,) = torch.autograd.grad(walked.output[1], logits)
    assert_close(of_output.tolist(), [0.3 * 0.7 * (1 - 5), 0.0])


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=8), st.sampled_from([0.5, 0.9, 0.999]))
def test_a_token_is_treated_as_the_stick_is_broken(gates, threshold):
    for training in (True, False):
        left, shares = 1.0, []
        for step, gate in enumerate(gates):
            shares.append(left * gate)
            left *= 1 - gate
            if step == len(gates) - 1 or (not training and left < 1 - threshold):
                shares[-1] += left
                break
        walked = walk(stick(cost=1.0, threshold=threshold).train(training), states_of(logit(gates)))
        assert_close(walked.shares.tolist(), shares, rtol=0, atol=1e-12)
        assert_close(walked.penalty.item(), sum((n + 1) * share for n, share in enumerate(shares)), rtol=0, atol=1e-12)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=9))
def test_weights_sum_to_one_whatever_the_gate_says(logits):
    for training in (True, False):
        walked = walk(stick().train(training), states_of(torch.tensor(logits, dtype=torch.float64)))
        assert_close(walked.shares.sum().item(), 1.0)


def test_a_threshold_of_one_never_stops_early():
    states = states_of(torch.randn(6, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    policy = stick(threshold=1.0)
    assert torch.equal(walk(policy.eval(), states).output, walk(policy.train(), states).output)


def test_the_dial_spends_more_and_more():
    dial = StickBreakingConfig().dials()["threshold"]
    states = states_of(logit(torch.full((90,), 0.1)))
    steps = [walk(stick(threshold=value).eval(), states).steps.item() for value in dial]
    assert steps == sorted(set(steps))


def test_over_two_steps_act_pondernet_and_the_stick_weigh_alike():
    states = states_of(torch.randn(2, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1)
    others = (listening(config.build(4, 2).double()).train() for config in (ACTConfig(), PonderConfig()))
    for policy in others:
        assert_close(walk(policy, states).shares, walk(stick().train(), states).shares)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8))
def test_in_training_the_stick_is_broken_as_pondernet_distributes(logits):
    states = states_of(torch.tensor(logits, dtype=torch.float64))
    ponder = listening(PonderConfig().build(4, 3).double())
    assert_close(walk(stick().train(), states).shares, walk(ponder.train(), states).shares)


@pytest.mark.parametrize("size", [100.0, -100.0])
def test_extreme_logits_have_finite_gradients_in_single_precision(size):
    states = states_of(torch.full((4, 2), size)).requires_grad_()
    walked = walk(listening(StickBreakingConfig().build(4, 4)).train(), states)
    (walked.output.sum() + walked.penalty.sum()).backward()
    assert states.grad.isfinite().all()
