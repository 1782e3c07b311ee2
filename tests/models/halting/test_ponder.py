"""PonderNet: the distribution, its divergence from the prior, and what each way of deploying makes of it."""

import math

import pytest
import torch
from by_hand import listening, logit, states_of, walk
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Categorical, kl_divergence
from torch.testing import assert_close

from factorexe.models.halting.base import Look
from factorexe.models.halting.ponder import Chances, PonderConfig

DEPLOYED = ["sample", "threshold", "most-likely", "expected"]
GATES = torch.tensor([0.1, 0.3, 0.05, 0.5, 0.2], dtype=torch.float64)  # of the last, which is not used, too


def ponder(**options):
    """A policy that reads its logit off the state, in double precision."""
    return listening(PonderConfig(**options).build(4, 3).double())


def distribution(gates):
    """Of halting at each step, one product after the other; the last step is certain."""
    going, made = 1.0, []
    for gate in [*gates[:-1], 1.0]:
        made.append(going * gate)
        going *= 1 - gate
    return made


def geometric(parameter, limit):
    """The prior, renormalised by what it sums to."""
    plain = [parameter * (1 - parameter) ** n for n in range(limit)]
    return [p / sum(plain) for p in plain]


def of_logits(logits, **options):
    """A walk in training over logits (N, ...)."""
    return walk(ponder(**options).train(), states_of(torch.as_tensor(logits, dtype=torch.float64)))


def test_two_steps_are_those_computed_by_hand_with_their_gradients():
    logits, losses = logit([0.3, 0.9]).requires_grad_(), torch.tensor([2.0, 5.0], dtype=torch.float64)
    states = logits[:, None] * torch.tensor([1.0, 0, 0, 0])
    walked = walk(ponder(weight=0.1, prior=0.2).train(), states)
    assert_close(walked.shares.tolist(), [0.3, 0.7])
    q = [1 / 1.8, 0.8 / 1.8]  # 0.2 and 0.2 * 0.8, renormalised
    assert_close(walked.penalty.item(), 0.1 * (0.3 * math.log(0.3 / q[0]) + 0.7 * math.log(0.7 / q[1])))
    (of_loss,) = torch.autograd.grad((walked.shares * losses).sum(), logits, retain_graph=True)
    assert_close(of_loss.tolist(), [0.3 * 0.7 * (2.0 - 5.0), 0.0])
    (of_penalty,) = torch.autograd.grad(walked.penalty, logits)
    assert_close(of_penalty.tolist(), [0.1 * 0.3 * 0.7 * (math.log(0.3 / q[0]) - math.log(0.7 / q[1])), 0.0])


@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=8), st.sampled_from([0.1, 0.5, 0.9]))
def test_shares_and_penalty_are_the_distribution_and_its_divergence(gates, prior):
    walked = of_logits(logit(gates), weight=1.0, prior=prior)
    p, q = distribution(gates), geometric(prior, len(gates))
    assert_close(walked.shares.tolist(), p, rtol=0, atol=1e-12)
    assert_close(walked.penalty.item(), sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)), rtol=0, atol=1e-9)


def test_the_divergence_is_that_of_p_from_the_prior_and_not_the_other_way():
    p = Categorical(torch.tensor(distribution(GATES), dtype=torch.float64))
    q = Categorical(torch.tensor(geometric(0.2, 5), dtype=torch.float64))
    made = of_logits(logit(GATES), weight=1.0, prior=0.2).penalty
    assert_close(made, kl_divergence(p, q))
    assert (made - kl_divergence(q, p)).abs() > 0.01


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_there_is_no_penalty_where_p_is_the_prior(limit):
    q = geometric(0.3, limit)
    gates = [q[n] / sum(q[n:]) for n in range(limit)]
    assert_close(of_logits(logit(gates), weight=1.0, prior=0.3).penalty.item(), 0.0, rtol=0, atol=1e-9)


def test_the_gate_begins_at_the_prior():
    states = torch.randn(60, 2, 4, generator=torch.Generator().manual_seed(0))
    walked = walk(PonderConfig(prior=0.2).build(4, 3).train(), states)
    assert_close(walked.shares[:3, 0].tolist(), [0.2, 0.16, 0.128])
    assert walked.penalty.max() < 1e-6


def test_every_token_has_the_prior_of_its_own_limit():
    logits, limit = logit([[0.4, 0.4], [0.5, 0.5], [0.6, 0.6]]), torch.tensor([2, 3])
    both = walk(ponder().train(), states_of(logits), limit=limit)
    for token in (0, 1):
        alone = of_logits(logits[: int(limit[token]), token])
        assert_close(both.penalty[token], alone.penalty)
        assert_close(both.shares[: int(limit[token]), token], alone.shares)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=9))
def test_shares_sum_to_one_whatever_the_gate_says(logits):
    assert_close(of_logits(logits).shares.sum().item(), 1.0)


@pytest.mark.parametrize("sizes", [[100.0], [-100.0], [-100.0, 100.0], [100.0, -100.0]])
def test_extreme_logits_have_finite_gradients_in_single_precision(sizes):
    states = states_of(torch.tensor(sizes * 4)).requires_grad_()
    walked = walk(listening(PonderConfig(weight=1.0).build(4, 4)).train(), states)
    assert_close(walked.shares.sum().item(), 1.0)
    (walked.penalty.sum() + (walked.shares * torch.arange(len(states))).sum()).backward()
    assert walked.penalty.isfinite().all()
    assert states.grad.isfinite().all()


def test_expected_keeps_every_state_with_its_probability_in_evaluation_as_in_training():
    policy = ponder(deploy="expected")
    states = states_of(logit(GATES))
    trained, tested = walk(policy.train(), states), walk(policy.eval(), states)
    assert policy.every_state
    assert torch.equal(trained.shares, tested.shares)
    assert torch.equal(trained.penalty, tested.penalty)
    assert tested.steps == len(GATES)
    assert_close(tested.output, (torch.tensor(distribution(GATES))[:, None] * states).sum(dim=0).double())


@pytest.mark.parametrize("deploy", ["sample", "threshold", "most-likely"])
def test_other_deployments_keep_every_state_in_training_alone_and_take_one_without_penalty(deploy):
    policy = ponder(deploy=deploy)
    assert policy.train().every_state
    assert not policy.eval().every_state
    states = states_of(torch.randn(5, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    walked = walk(policy, states, luck=torch.rand(30, generator=torch.Generator().manual_seed(1)))
    assert not walked.penalty.any()
    assert (walked.output == states).all(dim=-1).any(dim=0).all()
    trained = walk(policy.train(), states)
    assert torch.equal(trained.shares, walk(ponder(deploy="expected"), states).shares)


def test_samples_fall_as_the_distribution_says():
    tokens = 20_000
    luck = torch.rand(tokens, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    states = states_of(logit(GATES)[:, None].expand(5, tokens))
    steps = walk(ponder(deploy="sample").eval(), states, luck=luck).steps
    counts = torch.bincount(steps, minlength=6)[1:].double()
    expected = tokens * torch.tensor(distribution(GATES))
    assert ((counts - expected) ** 2 / expected).sum() < 18.47  # chi-square with 4 degrees of freedom: once in 1000


def test_luck_spread_evenly_is_divided_exactly():
    luck = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    states = states_of(logit(GATES)[:, None].expand(5, 1000))
    steps = walk(ponder(deploy="sample").eval(), states, luck=luck).steps
    counts = torch.bincount(steps, minlength=6)[1:]
    assert (counts - 1000 * torch.tensor(distribution(GATES))).abs().max() <= 1
    assert torch.equal(steps, steps.sort().values)  # more luck, more steps


def test_a_sampled_token_halts_with_the_gate_of_the_step_given_that_it_got_there():
    luck = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    states = states_of(logit([0.5, 0.5, 0.5])[:, None].expand(3, 1000))
    steps = walk(ponder(deploy="sample").eval(), states, luck=luck).steps
    assert torch.bincount(steps)[1:].tolist() == [500, 250, 250]  # sampling by p[n] instead would give 500, 125, 375


@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=8))
def test_most_likely_takes_the_largest_probability_and_stops_when_none_can_beat_it(gates):
    p, states = distribution(gates), states_of(logit(gates))
    if sorted(p)[-1] - max([*sorted(p)[:-1], 0.0]) < 1e-9:
        return  # a tie up to rounding
    walked = walk(ponder(deploy="most-likely").eval(), states)
    assert torch.equal(walked.output, states[p.index(max(p))])
    sure = [n for n in range(len(p)) if max(p[: n + 1]) >= 1 - sum(p[: n + 1]) - 1e-12]
    assert walked.steps <= sure[0] + 1
    assert walked.steps >= p.index(max(p)) + 1


def test_most_likely_by_hand_comes_back_to_an_earlier_state():
    states = states_of(
        logit([0.3, 0.2, 0.2, 0.5, 0.5])
    )  # p = 0.3, 0.14, 0.112, 0.224, 0.224; left 0.7, 0.56, 0.448, 0.224
    walked = walk(ponder(deploy="most-likely").eval(), states)
    assert torch.equal(walked.output, states[0])
    assert walked.steps == 4  # there 0.224 is left, less than 0.3


def test_most_likely_of_equals_is_the_first():
    states = states_of(logit([0.5, 0.9]))
    walked = walk(ponder(deploy="most-likely").eval(), states)
    assert torch.equal(walked.output, states[0])
    assert walked.steps == 1


def test_a_later_step_has_to_be_more_likely_to_be_taken():
    policy, log = ponder(deploy="most-likely"), torch.tensor([0.25, 0.5, 0.26]).log()
    look = Look(2, torch.zeros(4), torch.tensor(9), {"log_best": log[0]}, None, None)
    for here, taken in ((log[0], False), (log[2], True)):
        take, halted, _ = policy.choose(look, Chances(here, log[1], torch.tensor(False)))
        assert (take.item(), halted.item()) == (taken, False)


@pytest.mark.parametrize(("threshold", "steps"), [(0.05, 1), (0.3, 2), (0.38, 3), (0.41, 4), (0.71, 5), (1.0, 5)])
def test_a_threshold_is_reached_where_the_probabilities_add_up_to_it(threshold, steps):
    states = states_of(logit(GATES))  # cumulated 0.1, 0.37, 0.4015, 0.70075, 1
    walked = walk(ponder(deploy="threshold", threshold=threshold).eval(), states)
    assert walked.steps == steps
    assert torch.equal(walked.output, states[steps - 1])


def test_the_dial_spends_more_and_more_where_a_threshold_decides():
    dial = PonderConfig(deploy="threshold").dials()["threshold"]
    states = states_of(logit(torch.full((60,), 0.1)))
    steps = [walk(ponder(deploy="threshold", threshold=value).eval(), states).steps.item() for value in dial]
    assert steps == sorted(set(steps))
    assert not PonderConfig(deploy="sample").dials()


@pytest.mark.parametrize("deploy", DEPLOYED)
def test_tokens_in_any_arrangement_are_decided_alike(deploy):
    states = states_of(torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    luck, order = (
        torch.rand(3, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64),
        torch.randperm(12, generator=torch.Generator().manual_seed(3)),
    )
    policy = ponder(deploy=deploy).eval()
    whole = walk(policy, states, luck=luck)
    parts = walk(policy, states.flatten(1, 2)[:, order], luck=luck.flatten()[order])
    assert torch.equal(whole.output.flatten(0, 1)[order], parts.output)
    assert torch.equal(whole.steps.flatten()[order], parts.steps)


def test_the_gate_stays_in_single_precision_under_autocast():
    policy, states = (
        listening(PonderConfig().build(4, 3)).train(),
        states_of(torch.tensor([[-1.2345], [0.6789], [0.1]])),
    )
    plain = walk(policy, states)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = walk(policy, states)
    assert torch.equal(plain.shares, mixed.shares)
    assert torch.equal(plain.penalty, mixed.penalty)
