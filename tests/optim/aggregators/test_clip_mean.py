"""The mean of parts that are each clipped."""

import pytest
import torch
from parts_by_hand import gradient, merged, noise, rule_of
from torch.testing import assert_close

from factorexe.optim.aggregators.clip_mean import ClipMeanConfig


def test_each_part_is_clipped_before_the_mean():
    found = merged(rule_of(ClipMeanConfig(), 2), [[3.0, 4.0], [0.0, 0.5]])
    assert_close(found.gradient, torch.tensor([0.3, 0.65]))
    assert float(found.stats["clipped"]) == 0.5
    assert float(found.stats["norm"]) == (5 + 0.5) / 2


def test_parts_weigh_by_their_tokens():
    assert_close(gradient(ClipMeanConfig(), [[3.0, 4.0], [0.0, 0.5]], [1, 3]), torch.tensor([0.15, 0.575]))


def test_a_large_norm_is_the_mean_over_tokens():
    rows, weights = noise(4, 30), torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert_close(gradient(ClipMeanConfig(norm=1e6), rows, weights), weights @ rows / 10)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_the_result_is_never_longer_than_the_norm(scale):
    assert gradient(ClipMeanConfig(norm=0.5), scale * (noise(8, 30) + 1)).norm() <= 0.5 + 1e-6


def test_a_part_of_zeros_stays_zeros():
    assert_close(gradient(ClipMeanConfig(), [[0.0, 0.0], [0.5, 0.0]]), torch.tensor([0.25, 0.0]))
    assert gradient(ClipMeanConfig(), torch.zeros(2, 2)).tolist() == [0.0, 0.0]


def test_one_part_within_the_norm_is_left_as_it_is():
    row = torch.tensor([[0.6, -0.7]])
    assert torch.equal(gradient(ClipMeanConfig(), row), row[0])
