"""Spectra whose entropy can be done in the head."""

import math

import pytest
import torch
from torch.testing import assert_close

from factorexe.probes.spectral import ranks, spread


def corners(*scales):
    """States at plus and minus each axis of length ``scale``: their covariance is diagonal."""
    axes = torch.diag(torch.tensor(scales))
    return torch.cat([axes, -axes])


def test_states_spread_evenly_over_two_of_four_directions_have_effective_rank_two():
    found = spread(corners(3.0, 3.0, 0.0, 0.0))
    assert float(found.effective_rank) == pytest.approx(2)
    assert float(found.entropy) == pytest.approx(0.5)  # log 2 / log 4


def test_states_spread_evenly_over_every_direction_have_entropy_one():
    found = spread(corners(1.0, 1.0, 1.0))
    assert (float(found.entropy), float(found.effective_rank)) == pytest.approx((1, 3))


def test_entropy_is_that_of_the_variances_not_of_the_lengths():
    found = spread(corners(3.0**0.5, 1.0))  # variances 3 : 1
    assert float(found.effective_rank) == pytest.approx(math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25)))


def test_moving_turning_and_scaling_all_states_changes_nothing():
    states = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 7)
    turn = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1))).Q
    assert_close(spread(7 + 0.1 * states @ turn), spread(states), rtol=1e-4, atol=1e-4)


def test_states_that_are_all_alike_have_one_direction_at_most():
    found = spread(torch.ones(5, 3))
    assert (float(found.entropy), float(found.effective_rank)) == (0.0, 1.0)


def test_ranks_of_a_matrix_by_hand():
    found = ranks([torch.diag(torch.tensor([2.0, 2.0, 0.0]))])
    assert (float(found.effective), float(found.stable)) == pytest.approx((2, 2))
    found = ranks([torch.diag(torch.tensor([3.0, 1.0]))])  # shares 3/4 and 1/4; (9 + 1) / 9
    assert float(found.effective) == pytest.approx(4 / 3**0.75)
    assert float(found.stable) == pytest.approx(10 / 9)


def test_ranks_of_several_matrices_are_their_means():
    found = ranks([torch.eye(4), torch.ones(2, 5)])
    assert (float(found.effective), float(found.stable)) == pytest.approx((2.5, 2.5))


def test_a_matrix_of_zeros_has_rank_one_and_not_nan():
    found = ranks([torch.zeros(2, 3)])
    assert (float(found.effective), float(found.stable)) == (1.0, 1.0)
