"""Losses whose learning coefficient is known; many like directions at once keep the noise small."""

import math

import pytest
import torch

from factorexe.probes.learning_coefficient import Walk, learning_coefficient

COUNT = 1000
HOT = COUNT / math.log(COUNT)  # n beta
D = 2000


def estimate(loss, start=None, *, batches=1, **walk):
    start = torch.zeros(D) if start is None else start
    return learning_coefficient(loss, start, batches=batches, count=COUNT, walk=Walk(**{"chains": 1} | walk))


def bowl(curvature):
    return lambda weights, batch: curvature * weights.square().sum() / 2


def test_where_every_direction_curves_it_is_half_their_number():
    # the walk's own error is known: a step s widens its spread by 1 / (1 - s n beta h / 4)
    step = 0.2 / HOT
    found = estimate(bowl(1.0), step=step, localization=0.0, burn_in=100, draws=200)
    assert found.value == pytest.approx(D / 2 / (1 - 0.05), rel=0.03)


def test_it_is_the_same_however_strongly_the_directions_curve():
    values = [estimate(bowl(h), step=0.2 / (HOT * h), localization=0.0, burn_in=100, draws=100).value for h in (0.5, 8)]
    assert values[0] == pytest.approx(values[1], rel=1e-3)


def test_localization_hides_what_is_flat():
    h = 2.0
    localization = HOT * h  # a direction counts for 1/4 in place of 1/2
    step = 0.1 / (HOT * h)
    found = estimate(bowl(h), step=step, localization=localization, burn_in=100, draws=200)
    assert found.value == pytest.approx(D / 4 / (1 - step * 2 * HOT * h / 4), rel=0.03)


def test_the_walk_stays_below_a_step_of_four_over_the_curvature_and_flies_off_above():
    start = torch.zeros(50)
    near, beyond = (estimate(bowl(1.0), start, step=s / (HOT + 100)).value for s in (3.6, 4.4))
    assert near < 10 * 50 / 2 < 1e6 < beyond


def test_a_direction_along_which_nothing_changes_counts_for_nothing():
    def half(weights, batch):
        return weights[: D // 2].square().sum() / 2

    whole = estimate(bowl(1.0), step=0.2 / HOT, burn_in=100, draws=100).value
    assert estimate(half, step=0.2 / HOT, burn_in=100, draws=100).value == pytest.approx(whole / 2, rel=0.05)


def test_the_fourth_power_has_a_quarter_of_a_dimension():
    found = estimate(lambda w, _: w.pow(4).sum(), step=0.01 / HOT**0.5, localization=0.0, burn_in=1000, draws=1000)
    assert found.value / D == pytest.approx(0.25, rel=0.03)


def test_a_singular_loss_is_simpler_than_a_regular_one_of_as_many_directions():
    def product(weights, batch):  # (a b)^2: what one of the two loses the other may gain
        return (weights[::2] * weights[1::2]).square().sum()

    singular = estimate(product, step=2e-3, localization=5.0, burn_in=300, draws=300).value
    regular = estimate(bowl(2.0), step=2e-3 / 4, localization=5.0, burn_in=300, draws=300).value
    assert 0 < singular < 0.75 * regular


def test_differences_between_batches_cancel():
    offset = [5.0, -3.0, 100.0]

    def loss(weights, batch):
        return weights.square().sum() / 2 + offset[batch]

    walk = {"step": 0.2 / HOT, "burn_in": 20, "draws": 31}
    value = estimate(loss, batches=3, **walk).value
    assert value == pytest.approx(estimate(bowl(1.0), **walk).value, rel=1e-2)


def test_every_chain_has_noise_of_its_own_and_the_same_seed_gives_the_same_number():
    start = torch.zeros(50)
    twice = [estimate(bowl(1.0), start, chains=2, step=1e-4) for _ in range(2)]
    assert twice[0] == twice[1]
    assert twice[0].deviation > 0
    assert math.isnan(estimate(bowl(1.0), start, chains=1, step=1e-4).deviation)


def test_where_it_begins_and_the_random_state_are_left_alone():
    start = torch.linspace(-1, 1, 20)
    kept, random = start.clone(), torch.get_rng_state()
    with torch.no_grad():
        estimate(bowl(1.0), start, step=1e-4, draws=3)
    assert torch.equal(start, kept)
    assert not start.requires_grad
    assert torch.equal(random, torch.get_rng_state())
