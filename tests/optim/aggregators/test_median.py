"""The median of each coordinate."""

import numpy as np
import pytest
import torch
from parts_by_hand import gradient, noise
from torch.testing import assert_close

from factorexe.optim.aggregators.median import MedianConfig


def test_of_three_parts_the_middle_one_counts():
    rows = [[1.0, 0.0, -5.0], [2.0, 0.0, 7.0], [9.0, 3.0, 6.0]]
    assert gradient(MedianConfig(), rows).tolist() == [2.0, 0.0, 6.0]


def test_of_four_parts_the_middle_two_are_averaged():
    assert gradient(MedianConfig(), [[9.0], [1.0], [4.0], [2.0]]).tolist() == [3.0]


@pytest.mark.parametrize("parts", range(1, 10))
def test_the_median_is_that_of_numpy(parts):
    rows = noise(parts, 50)
    assert_close(gradient(MedianConfig(), rows), torch.from_numpy(np.median(rows.numpy(), axis=0)))


def test_one_part_is_itself_and_two_are_their_mean():
    rows = noise(2, 20)
    assert torch.equal(gradient(MedianConfig(), rows[:1]), rows[0])
    assert_close(gradient(MedianConfig(), rows), rows.mean(dim=0))


def test_one_part_of_three_can_ask_for_anything_in_vain():
    rows = noise(3, 50)
    loud = rows.clone()
    loud[2] *= 1e6
    assert gradient(MedianConfig(), loud).abs().max() <= rows[:2].abs().max()


def test_neither_order_nor_size_matters():
    rows = noise(5, 50)
    assert torch.equal(gradient(MedianConfig(), rows[[4, 2, 0, 1, 3]], [1, 2, 3, 4, 5]), gradient(MedianConfig(), rows))
