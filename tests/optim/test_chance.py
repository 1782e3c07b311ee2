"""What pure noise would do: exact numbers, and noise itself."""

import itertools

import pytest
import torch

from factorexe.optim import chance


@pytest.mark.parametrize(
    ("parts", "shares"),
    [
        (2, (0.5, 0.5, 0.5, 0.5)),
        (4, (0.625, 0.125, 0.125, 0.125)),
        (8, (74 / 256, 18 / 256, 2 / 256, 2 / 256)),
        (16, (5034 / 65536, 1394 / 65536, 34 / 65536, 2 / 65536)),
    ],
)
def test_noise_agrees_as_often_as_coins_do(parts, shares):
    assert tuple(chance.sign_agreement(parts, tau) for tau in (0.5, 0.6, 0.8, 1.0)) == shares


@pytest.mark.parametrize("parts", [1, 2, 3, 5, 6, 20])
@pytest.mark.parametrize("tau", [0.0, 0.1, 0.55, 0.6, 0.7, 1.0])
def test_chance_is_the_share_of_all_ways_in_which_signs_can_fall(parts, tau):
    if parts > 6:
        assert chance.sign_agreement(20, 0.55) == chance.sign_agreement(20, 0.6) < chance.sign_agreement(20, 0.5)
        return
    ways = [abs(sum(signs)) / parts >= tau - 1e-9 for signs in itertools.product((-1, 1), repeat=parts)]
    assert chance.sign_agreement(parts, tau) == sum(ways) / len(ways)


def test_a_mean_of_signs_that_is_exactly_tau_is_enough():
    assert chance.least_sum(20, 0.55) == 11  # though 0.55 * 20 > 11 in floating point
    assert chance.least_sum(10, 0.7) == 7
    assert chance.least_sum(3, 0.0) == 0


def test_cosines_of_noise_are_off_by_one_over_the_root_of_the_size():
    rows = torch.randn(400, 1000, generator=torch.Generator().manual_seed(0))
    cosines = torch.nn.functional.cosine_similarity(rows[:200], rows[200:])
    assert cosines.std().item() == pytest.approx(chance.cosine_deviation(1000), rel=0.15)  # 3 standard errors
