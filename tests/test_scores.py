"""Counting and intervals against published formulas."""

import math

import pytest
import torch

from factorexe.scores import Rate, SplitScore, Z, combined, wilson


def test_wilson_for_eight_of_ten():
    assert wilson(8, 10) == pytest.approx((0.490, 0.943), abs=5e-4)


@pytest.mark.parametrize("n", [1, 10, 1000])
def test_wilson_for_none_and_all_begins_at_the_edge_and_is_a_mirror_image(n):
    reach = Z**2 / (n + Z**2)  # the closed form at either edge
    assert wilson(0, n) == pytest.approx((0.0, reach), abs=1e-12)
    assert wilson(n, n) == pytest.approx((1 - reach, 1.0), abs=1e-12)


def test_wilson_of_half_is_symmetric_and_holds_the_rate():
    low, high = wilson(50, 100)
    assert low + high == pytest.approx(1)
    assert low < 0.5 < high


def rate(right, total):
    return Rate(right / total, wilson(right, total), total)


@pytest.mark.parametrize(("right", "total"), [(8, 10), (0, 7), (7, 7)])
def test_one_difficulty_alone_has_its_own_interval(right, total):
    mean, interval = combined([rate(right, total)])
    assert mean == right / total
    assert interval == pytest.approx(wilson(right, total), abs=1e-12)


def test_the_headline_is_the_mean_over_difficulties_not_over_problems():
    mean, _ = combined([rate(1, 1), rate(0, 99)])
    assert mean == 0.5


def test_two_equal_difficulties_have_an_interval_narrower_by_root_two():
    _, (low, high) = combined([rate(8, 10)] * 2)
    one_low, one_high = wilson(8, 10)
    assert 0.8 - low == pytest.approx((0.8 - one_low) / math.sqrt(2))
    assert high - 0.8 == pytest.approx((one_high - 0.8) / math.sqrt(2))


SOLVED = torch.tensor([1, 0, 1, 1, 0, 1, 0]).bool()
DIFFICULTY = torch.tensor([2, 2, 2, 4, 4, 4, 4])
SUMS = torch.tensor([[1.0, 2.0, 1.0, 10.0]] * 7, dtype=torch.float64)  # loss, tokens, right ones, compute


def scored(*cuts):
    metric = SplitScore(range(2, 5))
    start = 0
    for stop in (*cuts, 7):
        metric.update(SOLVED[start:stop], DIFFICULTY[start:stop], SUMS[start:stop].sum(dim=0))
        start = stop
    return metric.compute()


def test_a_score_by_hand():
    score = scored()
    assert {d: (found.rate, found.n) for d, found in score.by_difficulty.items()} == {2: (2 / 3, 3), 4: (0.5, 4)}
    assert score.solved == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert (score.n, score.loss, score.token_accuracy, score.compute) == (7, 0.5, 0.5, 10.0)


@pytest.mark.parametrize("cuts", [(1,), (3,), (2, 6), (1, 2, 3, 4, 5, 6)])
def test_uneven_batches_score_like_one(cuts):
    assert scored(*cuts) == scored()


def test_a_difficulty_without_problems_is_left_out():
    assert 3 not in scored().by_difficulty


def test_reset_forgets():
    metric = SplitScore(range(2, 5))
    metric.update(SOLVED, DIFFICULTY, SUMS.sum(dim=0))
    metric.reset()
    metric.update(SOLVED[:1], DIFFICULTY[:1], SUMS[0])
    assert (metric.compute().n, metric.compute().solved) == (1, 1.0)


def test_qualities_are_means_of_what_can_be_said():
    score = SplitScore(range(1, 2))
    score.update(torch.tensor([True, False]), torch.tensor([1, 1]), torch.ones(4))
    score.add_qualities({"bins": torch.tensor([2.0, math.nan]), "never": torch.tensor([math.nan, math.nan])})
    score.add_qualities({"bins": torch.tensor([3.0, 4.0])})
    assert score.compute().qualities == {"bins": 3.0}
    score.reset()
    score.update(torch.tensor([True]), torch.tensor([1]), torch.ones(4))
    assert score.compute().qualities == {}
