"""The rule that asks held-out problems whether a step generalizes."""

import torch
from torch import nn
from torch.testing import assert_close

from factorexe.optim.aggregators.one_step import OneStepConfig
from factorexe.optim.flat import Flat
from factorexe.optim.measure import Part


def rule(**options):
    return OneStepConfig(**{"target": 0.5, "memory": 0.0} | options).build(Flat([("w", nn.Parameter(torch.zeros(2)))]))


def parts(*rows, tokens=None):
    weights = tokens or [1.0] * len(rows)
    return iter([Part(torch.tensor(row), torch.tensor(weight)) for row, weight in zip(rows, weights, strict=True)])


def test_a_step_that_generalizes_is_left_alone():
    # both parts (1, 0): what one is worth to the other is 1; the guide gradient (1, 0) gains as much
    merged = rule()(parts([1.0, 0.0], [1.0, 0.0]), torch.tensor([1.0, 0.0]))
    assert_close(merged.gradient, torch.tensor([1.0, 0.0]))
    assert merged.stats["ratio"] == 1.0
    assert merged.stats["turned"] == 0.0


def test_a_step_that_memorizes_is_turned_until_both_ends_meet():
    # g = (1, 0), what parts are worth to one another 1, the guide gains 0 of it: h = (0, 1) - (0.5, 0) = (-0.5, 1)
    # c = 0 - 0.5, d = (1, 0) + 0.5 / 1.25 * (-0.5, 1) = (0.8, 0.4); guide gains 0.4, half of the 0.8 that train gains
    merged = rule()(parts([1.0, 0.0], [1.0, 0.0]), torch.tensor([0.0, 1.0]))
    assert_close(merged.gradient, torch.tensor([0.8, 0.4]))
    assert merged.stats["ratio"] == 0.0
    assert merged.stats["turned"] == 1.0


def test_half_the_strength_goes_half_the_way():
    merged = rule(strength=0.5)(parts([1.0, 0.0], [1.0, 0.0]), torch.tensor([0.0, 1.0]))
    assert_close(merged.gradient, torch.tensor([0.9, 0.2]))
    untouched = rule(strength=0.0)(parts([1.0, 0.0], [1.0, 0.0]), torch.tensor([0.0, 1.0]))
    assert_close(untouched.gradient, torch.tensor([1.0, 0.0]))


def test_the_noise_of_a_batch_is_not_taken_for_memorizing():
    # parts (1, 3) and (1, -3) have (1, 0) in common and noise that would count 9 in <g_k, g_k>; across parts -8 is
    # what they are worth to one another, so that a guide that gains 1 gains enough
    merged = rule()(parts([1.0, 3.0], [1.0, -3.0]), torch.tensor([1.0, 0.0]))
    assert_close(merged.gradient, torch.tensor([1.0, 0.0]))
    assert_close(merged.stats["ratio"], torch.tensor(1.0 / -8.0))


def test_parts_count_by_their_tokens():
    # (1, 0) of three tokens, (0, 1) of one: mean (0.75, 0.25); across parts 0
    merged = rule()(parts([1.0, 0.0], [0.0, 1.0], tokens=[3.0, 1.0]), torch.tensor([1.0, 1.0]))
    assert_close(merged.gradient, torch.tensor([0.75, 0.25]))
    # across pairs of three parts, by tokens: (1, 0) x 2, (1, 1) x 1, (0, 1) x 1
    one = rule()
    one(parts([1.0, 0.0], [1.0, 1.0], [0.0, 1.0], tokens=[2.0, 1.0, 1.0]), torch.tensor([1.0, 0.0]))
    assert_close(one.fall, torch.tensor((2 * 1 * 1 + 2 * 1 * 0 + 1 * 1 * 1) * 2 / (16 - 4 - 1 - 1)))


def test_the_order_of_parts_does_not_count():
    rows = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).tolist()
    guide = torch.tensor([0.3, -1.0])
    forward, backward = rule()(parts(*rows), guide), rule()(parts(*rows[::-1]), guide)
    assert_close(forward.gradient, backward.gradient)


def test_the_running_means_come_back_from_a_checkpoint():
    one, guide = rule(memory=0.9), torch.tensor([0.0, 1.0])
    for _ in range(3):
        one(parts([1.0, 0.0], [1.0, 0.5]), guide)
    other = rule(memory=0.9)
    other.load_state_dict(one.state_dict())
    following = [each(parts([1.0, 0.0], [1.0, 0.5]), guide).gradient for each in (one, other)]
    assert torch.equal(*following)
