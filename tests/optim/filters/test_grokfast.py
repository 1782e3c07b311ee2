"""Slow gradients count for more: numbers in the head, windows added up anew, a past that survives a checkpoint."""

from collections import deque

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from factorexe.optim.filters.grokfast_ema import GrokfastEMAConfig
from factorexe.optim.filters.grokfast_ma import GrokfastMAConfig
from factorexe.optim.flat import Flat

SIZE = 9  # of a matrix and a vector


def flat():
    return Flat(nn.Linear(2, 3).named_parameters())


def gradients(count, seed=0):
    return torch.randn(count, SIZE, generator=torch.Generator().manual_seed(seed))


def constant(number):
    return torch.full((SIZE,), number)


def test_the_mean_of_the_paper_in_numbers():
    used = GrokfastEMAConfig(memory=0.5, gain=2.0).build(flat())
    # m = 4, then (4 + 8) / 2 = 6, then (6 + 0) / 2 = 3
    assert [used(constant(g))[0].item() for g in (4.0, 8.0, 0.0)] == [4 + 8, 8 + 12, 0 + 6]


def test_the_window_of_the_paper_in_numbers():
    used = GrokfastMAConfig(window=2, gain=5.0).build(flat())
    assert [used(constant(g))[0].item() for g in (1.0, 3.0, 5.0, 7.0)] == [1, 3 + 10, 5 + 20, 7 + 30]


@pytest.mark.parametrize("number", [1.0, 0.1, -3e-5])
def test_a_constant_gradient_is_amplified_by_one_and_the_gain_for_ever(number):
    exponential = GrokfastEMAConfig(gain=2.0).build(flat())
    windowed = GrokfastMAConfig(window=7, gain=5.0).build(flat())
    g = constant(number)
    for step in range(1, 401):
        assert torch.equal(exponential(g), g + 2.0 * g)
        assert torch.equal(windowed(g), g + 5.0 * g if step >= 7 else g)


def test_a_gain_of_0_changes_nothing():
    for config in (GrokfastEMAConfig(gain=0.0), GrokfastMAConfig(window=3, gain=0.0)):
        used = config.build(flat())
        for g in gradients(8):
            assert torch.equal(used(g), g)


@pytest.mark.parametrize("window", [1, 2, 5, 8])
def test_the_window_is_that_of_adding_it_up_anew_at_each_step(window):
    used = GrokfastMAConfig(window=window, gain=5.0).build(flat())
    past = deque(maxlen=window)
    for g in gradients(4 * window + 3).double():
        past.append(g)
        expected = g + 5.0 * torch.stack(list(past)).mean(dim=0) if len(past) == window else g
        assert_close(used(g.float()), expected.float(), rtol=1e-6, atol=1e-6)


def test_a_window_forgets_large_gradients_without_a_trace():
    used = GrokfastMAConfig(window=4, gain=1.0).build(flat())
    for g in gradients(10) * 1e8:
        used(g)
    small = gradients(5, seed=1)
    last = [used(g) for g in small][-1]
    assert_close(last, small[-1] + small[1:].mean(dim=0), rtol=1e-6, atol=1e-7)  # a running sum would be off by 1


def test_a_memory_of_0_is_the_gradient_at_hand():
    used = GrokfastEMAConfig(memory=0.0, gain=2.0).build(flat())
    for g in gradients(4):
        assert torch.equal(used(g), g + 2.0 * g)


@pytest.mark.parametrize("config", [GrokfastEMAConfig(), GrokfastMAConfig(window=5)], ids=["ema", "ma"])
@pytest.mark.parametrize("at", [0, 3, 5, 7])
def test_the_past_survives_a_checkpoint_bit_for_bit(config, at):
    whole, first, second = (config.build(flat()) for _ in range(3))
    seen = gradients(14)
    expected = [whole(g) for g in seen]
    for g in seen[:at]:
        first(g)
    second.load_state_dict(first.state_dict())
    for g in seen[at : at + 2]:
        first(g)  # must not reach into the other's past
    for g, number in zip(seen[at:], expected[at:], strict=True):
        assert torch.equal(second(g), number)


@pytest.mark.parametrize("config", [GrokfastEMAConfig(), GrokfastMAConfig(window=2)], ids=["ema", "ma"])
def test_what_is_given_is_not_written_into_and_what_is_returned_may_be(config):
    used, other = config.build(flat()), config.build(flat())
    for g in gradients(6):
        given = g.clone()
        returned = used(given)
        assert torch.equal(given, g)
        assert torch.equal(returned, other(g.clone()))
        given.zero_()
        if returned is not given:
            returned.zero_()  # as clipping in place would
