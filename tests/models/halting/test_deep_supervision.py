"""Deep supervision: which steps are scored, how they are drawn, and that evaluation knows nothing of it."""

import itertools

import pytest
import torch
from by_hand import walk
from torch.testing import assert_close

from factorexe.layout import Batch
from factorexe.models.halting.deep_supervision import DeepSupervisionConfig
from factorexe.models.halting.fixed import FixedConfig


def random_states(steps, tokens):
    return torch.randn(steps, tokens, 4, generator=torch.Generator().manual_seed(0))


def supervising(rows=0, **options):
    """A policy in training, and what it drew for ``rows``."""
    policy = DeepSupervisionConfig(**options).build(4, 3).train()
    batch = Batch(torch.zeros(rows, 2), torch.ones(rows), examples=None)
    return policy, policy.prepare(batch, torch.Generator().manual_seed(0))


def test_every_step_has_the_same_weight():
    walked = walk(supervising()[0], random_states(4, 3))
    assert walked.shares.tolist() == [[0.25] * 3] * 4


def test_a_token_with_a_limit_of_its_own_has_that_many_steps_to_share():
    walked = walk(supervising()[0], random_states(4, 2), limit=torch.tensor([2, 4]))
    assert walked.shares.T.tolist() == [[0.5, 0.5, 0, 0], [0.25] * 4]


@pytest.mark.parametrize(("steps", "supervised"), [(4, 1), (4, 2), (5, 3), (4, 4), (3, 5), (40, 7)])
def test_as_many_steps_as_asked_for_are_scored_with_the_last_among_them(steps, supervised):
    policy, drawn = supervising(200, supervised=supervised)
    shares = walk(policy, random_states(steps, 200), drawn=drawn).shares
    assert ((shares > 0).sum(dim=0) == min(supervised, steps)).all()
    assert (shares[-1] > 0).all()
    assert_close(shares.sum(dim=0), torch.ones(200))
    assert shares[shares > 0].unique().numel() == 1


def test_every_choice_of_steps_is_as_likely_as_any_other():
    tokens, policy = 10_000, supervising(supervised=3)[0]
    luck = (torch.arange(tokens, dtype=torch.float64) + 0.5) / tokens
    shares = walk(policy, random_states(6, tokens), drawn={"supervised": luck}).shares
    scored = [tuple(row.nonzero()[:, 0].tolist()) for row in (shares > 0).T]
    counts = {choice: scored.count(choice) for choice in set(scored)}
    assert set(counts) == {(*pair, 5) for pair in itertools.combinations(range(5), 2)}  # 10 of them
    assert max(counts.values()) - min(counts.values()) <= 2


def test_tokens_of_a_row_are_scored_at_the_same_steps():
    policy, drawn = supervising(8, supervised=2)
    states = torch.randn(6, 8, 3, 4, generator=torch.Generator().manual_seed(0))
    shares = walk(policy, states, drawn=drawn).shares
    assert (shares == shares[:, :, :1]).all()
    assert len({tuple(row) for row in shares[:, :, 0].T.tolist()}) > 1  # other rows at others
    expanded = {name: value[:, None].expand(8, 3) for name, value in drawn.items()}
    assert torch.equal(walk(policy, states, drawn=expanded).shares, shares)


def test_the_draw_is_a_function_of_the_generator():
    (_, first), (_, second) = (supervising(5, supervised=2) for _ in range(2))
    assert torch.equal(first["supervised"], second["supervised"])
    assert not supervising(5)[1]  # nothing is drawn where every step is scored


@pytest.mark.parametrize("supervised", [None, 1])
def test_one_step_is_fixed_depth(supervised):
    policy, drawn = supervising(3, supervised=supervised)
    walked = walk(policy, random_states(1, 3), drawn=drawn)
    assert torch.equal(walked.output, walk(FixedConfig().build(4, 1), random_states(1, 3)).output)


def test_evaluation_reads_the_last_state():
    policy = supervising(supervised=2, detach=True)[0].eval()
    limit = torch.tensor([2, 4, 3])
    walked, fixed = (walk(one, random_states(4, 3), limit=limit) for one in (policy, FixedConfig().build(4, 3)))
    assert torch.equal(walked.output, fixed.output)
    assert not policy.every_state
    assert not policy.detaches


def test_training_keeps_every_state_and_detaches_where_asked():
    assert supervising()[0].every_state
    assert not supervising()[0].detaches
    assert supervising(detach=True)[0].detaches
