"""Adaptive computation time: Graves' definition token by token, its gradient by hand, what it comes to when forced."""

import pytest
import torch
from by_hand import listening, logit, states_of, walk
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from factorexe.models.halting.act import ACTConfig


def act(**options):
    """A policy that reads its logit off the state, in double precision."""
    return listening(ACTConfig(**options).build(4, 3).double())


def graves(probabilities, limit, epsilon):
    """One token, in plain arithmetic: the weights, and N + R."""
    so_far = [sum(probabilities[: n + 1]) for n in range(limit)]
    last = next((n for n in range(limit) if so_far[n] >= 1 - epsilon), limit - 1)
    remainder = 1.0 - sum(probabilities[:last])
    return [*probabilities[:last], remainder], last + 1 + remainder


def test_two_steps_and_their_gradients_are_those_computed_by_hand():
    logits = logit([0.3, 0.9]).requires_grad_()
    first, second = (torch.tensor([0.0, *rest], dtype=torch.float64) for rest in ([1.0, 2, 3], [5.0, 5, 5]))
    states = torch.stack([first, second]) + logits[:, None] * torch.tensor([1.0, 0, 0, 0])
    walked = walk(act(cost=0.1), states)
    assert_close(walked.shares.tolist(), [0.3, 0.7])
    assert_close(walked.output[1:].tolist(), [0.3 * 1 + 0.7 * 5, 0.3 * 2 + 0.7 * 5, 0.3 * 3 + 0.7 * 5])
    assert_close(walked.penalty.item(), 0.1 * (2 + 0.7))
    (of_penalty,) = torch.autograd.grad(walked.penalty, logits, retain_graph=True)
    assert_close(of_penalty.tolist(), [-0.1 * 0.3 * 0.7, 0.0])  # d(N + R)/dh[1] = -1, and h' = h (1 - h)
    (of_output,) = torch.autograd.grad(walked.output[1], logits)
    assert_close(of_output.tolist(), [0.3 * 0.7 * (1 - 5), 0.0])


def test_the_step_after_which_nothing_is_left_takes_the_remainder():
    walked = walk(act(cost=1.0), states_of(logit([0.3, 0.5, 0.4, 0.6])))
    assert_close(walked.shares.tolist(), [0.3, 0.5, 0.2])
    assert walked.steps == 3
    assert_close(walked.penalty.item(), 3.2)


def test_a_token_that_halts_at_once_pays_for_one_step_and_a_remainder_of_one():
    walked = walk(act(cost=1.0), states_of(logit([0.995, 0.5])))
    assert (walked.shares.tolist(), walked.penalty.item()) == ([1.0], 2.0)


@given(
    st.lists(st.lists(st.floats(0.01, 0.99), min_size=6, max_size=6), min_size=1, max_size=5),
    st.integers(1, 6),
    st.sampled_from([0.01, 0.2, 0.6]),
)
def test_every_token_is_treated_as_graves_defines_it(rows, limit, epsilon):
    probabilities = torch.tensor(rows, dtype=torch.float64).T  # (N, M)
    limits = torch.full((len(rows),), limit)
    walked = walk(act(cost=1.0, epsilon=epsilon), states_of(logit(probabilities)), limit=limits)
    for token, row in enumerate(rows):
        weights, ponder = graves(logit(row).sigmoid().tolist(), limit, epsilon)
        assert_close(walked.shares[: len(weights), token].tolist(), weights, rtol=0, atol=1e-12)
        assert walked.steps[token] == len(weights)
        assert_close(walked.penalty[token].item(), ponder, rtol=0, atol=1e-12)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=9))
def test_weights_sum_to_one_whatever_the_gate_says(logits):
    for training in (True, False):
        policy = act().train(training)
        assert_close(walk(policy, states_of(torch.tensor(logits, dtype=torch.float64))).shares.sum().item(), 1.0)


@pytest.mark.parametrize(("bias", "steps"), [(1, 2), (0, 2), (-1, 4), (-2, 9), (-3, 21)])
def test_the_bias_alone_sets_how_many_steps_training_begins_with(bias, steps):
    states = torch.randn(30, 5, 4, generator=torch.Generator().manual_seed(0))
    assert walk(ACTConfig(bias=bias).build(4, 3), states).steps.tolist() == [steps] * 5


def test_a_gate_that_never_halts_leaves_the_last_state():
    states = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    walked = walk(ACTConfig(bias=-200.0).build(4, 5), states)
    assert torch.equal(walked.output, states[-1])
    assert walked.steps.tolist() == [5, 5, 5]


def test_weights_that_begin_at_zero_get_a_gradient():
    policy = ACTConfig().build(4, 3)
    walk(policy, torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))).output.sum().backward()
    assert policy.gate.linear.weight.grad.abs().min() > 0
    assert policy.gate.linear.bias.grad.abs() > 0


def test_more_epsilon_means_fewer_steps_and_weights_that_still_sum_to_one():
    dial = ACTConfig().dials()["epsilon"]
    states = states_of(logit(torch.full((40, 3), 0.07)))
    made = [walk(act(epsilon=epsilon), states) for epsilon in dial]
    steps = [walked.steps[0].item() for walked in made]
    assert steps == sorted(set(steps))  # the dial goes from the least compute to the most
    for walked in made:
        assert_close(walked.shares.sum(dim=0).tolist(), [1.0] * 3)


def test_training_halts_as_evaluation_does():
    states = states_of(logit(torch.rand(6, 20, generator=torch.Generator().manual_seed(0))))
    trained, tested = walk(act().train(), states), walk(act().eval(), states)
    assert torch.equal(trained.output, tested.output)
    assert act().training_halts


@pytest.mark.parametrize("size", [100.0, -100.0])
def test_extreme_logits_have_finite_gradients_in_single_precision(size):
    states = (states_of(torch.full((4, 2), size))).requires_grad_()
    walked = walk(listening(ACTConfig().build(4, 4)), states)
    (walked.output.sum() + walked.penalty.sum()).backward()
    assert states.grad.isfinite().all()


def test_the_gate_stays_in_single_precision_under_autocast():
    policy, states = listening(ACTConfig().build(4, 3)), states_of(torch.tensor([[-1.2345], [0.6789], [0.1]]))
    plain = walk(policy, states)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = walk(policy, states)
    assert torch.equal(plain.shares, mixed.shares)
    assert plain.shares.dtype == torch.float32


def test_tokens_in_any_arrangement_are_decided_alike():
    states = states_of(torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))
    whole, parts = walk(act(), states), walk(act(), states.flatten(1, 2)[:, order])
    assert torch.equal(whole.output.flatten(0, 1)[order], parts.output)
    assert torch.equal(whole.steps.flatten()[order], parts.steps)
