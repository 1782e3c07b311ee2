"""Noise in proportion, drawn by number; a length that is bounded."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from factorexe.optim.filters.clip import ClipConfig
from factorexe.optim.filters.noise import NoiseConfig
from factorexe.optim.flat import Flat


def flat(width=2):
    return Flat(nn.Linear(width, 3).named_parameters())


def gradient(count, seed=0):
    return torch.randn(count, generator=torch.Generator().manual_seed(seed))


def test_noise_has_the_asked_share_of_the_gradients_size_and_no_direction():
    g = gradient(9000) * 0.02
    added = NoiseConfig(scale=0.5).build(flat(2999))(g) - g
    size = g.square().mean().sqrt()
    assert (added.std() / size).item() == pytest.approx(0.5, abs=0.02)  # five deviations of 1 / sqrt(2 * 9000)
    assert abs(added.mean() / size).item() < 0.03
    assert abs(torch.corrcoef(torch.stack([added, g]))[0, 1]).item() < 0.06


def test_noise_is_new_at_each_step_and_for_each_seed():
    made, other = NoiseConfig(seed=0).build(flat()), NoiseConfig(seed=1).build(flat())
    g = gradient(9)
    drawn = [made(g), made(g), other(g), other(g)]
    assert len({tuple(one.tolist()) for one in drawn}) == 4


def test_noise_draws_nothing_from_the_default_generator():
    made = NoiseConfig().build(flat())
    before = torch.get_rng_state()
    made(gradient(9))
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_goes_on_after_a_checkpoint_as_if_there_had_been_none():
    whole, first, second = (NoiseConfig(scale=1.0, seed=3).build(flat()) for _ in range(3))
    g = gradient(9)
    expected = [whole(g) for _ in range(5)]
    for _ in range(3):
        first(g)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second(g), expected[3])
    assert torch.equal(second(g), expected[4])


def test_noise_of_scale_0_and_noise_on_nothing_change_nothing():
    g = gradient(9)
    assert torch.equal(NoiseConfig(scale=0.0).build(flat())(g), g)
    assert not NoiseConfig(scale=5.0).build(flat())(torch.zeros(9)).any()


def test_three_four_is_clipped_to_a_fifth_of_itself():
    made = ClipConfig(norm=1.0).build(flat())
    g = torch.tensor([3.0, 4.0, *[0.0] * 7])
    assert_close(made(g), g / 5, rtol=1e-6, atol=0)
    assert made.stats["norm"].item() == 5
    assert g[0] == 3  # what was given is as it was


def test_what_is_short_enough_stays_bit_for_bit():
    g = gradient(9)
    assert torch.equal(ClipConfig(norm=2 * g.norm().item()).build(flat())(g), g)


def test_clipping_is_that_of_torch():
    layer = nn.Linear(2, 3)
    weights = Flat(layer.named_parameters())
    g = 10 * gradient(9)
    for parameter, piece in zip(weights.parameters, weights.pieces(g.clone()), strict=True):
        parameter.grad = piece
    torch.nn.utils.clip_grad_norm_(weights.parameters, 0.7)
    assert_close(ClipConfig(norm=0.7).build(weights)(g), weights.gradient(), rtol=1e-6, atol=0)


def test_nothing_clips_to_nothing():
    assert not ClipConfig().build(flat())(torch.zeros(9)).any()
