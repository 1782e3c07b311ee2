"""How deep a batch is trained: what can be drawn, how often, and where one way of drawing is another."""

import math
from collections import Counter

import pytest
import torch
from pydantic import ValidationError

from factorexe.models.depth.base import Pass
from factorexe.models.depth.difficulty import DifficultyDepthConfig
from factorexe.models.depth.fixed import FixedDepthConfig
from factorexe.models.depth.poisson_lognormal import PoissonLognormalDepthConfig
from factorexe.models.depth.progressive import ProgressiveDepthConfig
from factorexe.models.depth.uniform import UniformDepthConfig

EVERY = [
    FixedDepthConfig(),
    UniformDepthConfig(),
    UniformDepthConfig(least=3, most=20),
    PoissonLognormalDepthConfig(),
    ProgressiveDepthConfig(),
    DifficultyDepthConfig(),
]


def drawn(depth, steps=8, count=200, seed=0):
    """The passes of ``count`` batches."""
    generator = torch.Generator().manual_seed(seed)
    return [depth.passes(steps, generator) for _ in range(count)]


@pytest.mark.parametrize("depth", EVERY, ids=repr)
def test_the_same_seed_gives_the_same_passes(depth):
    assert drawn(depth) == drawn(depth)
    varied = len(set(drawn(depth))) > 1
    assert varied == (drawn(depth) != drawn(depth, seed=1)) == isinstance(depth, tuple(map(type, EVERY[1:5])))


@pytest.mark.parametrize("steps", [1, 8])
@pytest.mark.parametrize("depth", EVERY, ids=repr)
def test_weights_sum_to_one_and_every_pass_ends_with_a_gradient(depth, steps):
    for passes in drawn(depth, steps):
        assert math.isclose(sum(each.weight for each in passes), 1.0)
        assert all(0 <= each.quiet < each.steps for each in passes)
        assert all(each.weight > 0 for each in passes)


@pytest.mark.parametrize("depth", EVERY, ids=repr)
def test_no_pass_is_deeper_than_the_deepest(depth):
    bound = depth.deepest(8)
    assert bound is None or max(each.steps for passes in drawn(depth, count=2000) for each in passes) <= bound


def test_uniform_draws_every_depth_of_its_range_equally_often():
    counts = Counter(passes[0].steps for passes in drawn(UniformDepthConfig(least=2, most=5), count=4000))
    assert sorted(counts) == [2, 3, 4, 5]
    assert all(abs(count - 1000) < 4 * math.sqrt(4000 * 0.25 * 0.75) for count in counts.values())
    assert {passes[0].steps for passes in drawn(UniformDepthConfig())} == set(range(1, 9))


def test_a_range_of_one_depth_is_fixed():
    assert drawn(UniformDepthConfig(least=8, most=8)) == drawn(FixedDepthConfig())
    assert drawn(UniformDepthConfig(least=3), steps=3) == drawn(FixedDepthConfig(), steps=3)


def moments(depth, count, steps=8):
    """Mean and variance of the steps of ``count`` batches, and the standard error of that mean."""
    found = torch.tensor([passes[0].steps for passes in drawn(depth, steps, count)], dtype=torch.float64)
    return found.mean().item(), found.var().item(), (found.var() / count).sqrt().item()


@pytest.mark.parametrize(("mean", "sigma"), [(8.0, 0.5), (3.0, 0.25), (20.0, 0.8)])
def test_mean_and_variance_of_a_log_normal_rate_are_those_of_the_formula(mean, sigma):
    # E = mean + 1; the variance of a Poisson number given its rate, on average, plus that of the rate
    found, variance, error = moments(PoissonLognormalDepthConfig(mean=mean, sigma=sigma, most=10_000), 20_000)
    assert abs(found - (mean + 1)) < 4 * error
    assert variance == pytest.approx(mean + mean**2 * math.expm1(sigma**2), rel=0.1)


def test_without_spread_the_rate_is_fixed_and_the_rest_poisson():
    depths = Counter(p[0].steps - 1 for p in drawn(PoissonLognormalDepthConfig(mean=2, sigma=1e-9), count=10_000))
    for events in range(5):
        share = math.exp(-2) * 2**events / math.factorial(events)
        assert abs(depths[events] - 10_000 * share) < 4 * math.sqrt(10_000 * share * (1 - share))


def test_the_rate_is_that_of_test_time_where_none_is_given():
    assert drawn(PoissonLognormalDepthConfig(), steps=6) == drawn(PoissonLognormalDepthConfig(mean=6), steps=99)


def test_a_cap_ends_deeper_draws_and_changes_no_other():
    free = [passes[0].steps for passes in drawn(PoissonLognormalDepthConfig(mean=8, most=1000))]
    capped = [passes[0].steps for passes in drawn(PoissonLognormalDepthConfig(mean=8, most=10))]
    assert capped == [min(each, 10) for each in free]
    assert max(free) > 10
    assert PoissonLognormalDepthConfig(mean=8).deepest(3) == 32
    assert PoissonLognormalDepthConfig(mean=8, most=10).deepest(3) == 10


def test_progressive_loss_weighs_full_depth_and_going_on():
    for passes in drawn(ProgressiveDepthConfig(alpha=0.25)):
        assert passes[0] == Pass(8, 0, 0.75)
        assert passes[1].weight == 0.25
        assert passes[1].steps <= 8


def test_progressive_places_are_drawn_as_in_the_paper():
    # N = 2: n is 0 or 1; after 0, k is 1 or 2 with 1/4 each; after 1, k is 1
    counts = Counter((p[1].quiet, p[1].steps) for p in drawn(ProgressiveDepthConfig(), steps=2, count=4000))
    expected = {(0, 1): 0.25, (0, 2): 0.25, (1, 2): 0.5}
    assert counts.keys() == expected.keys()
    for pair, share in expected.items():
        assert abs(counts[pair] - 4000 * share) < 4 * math.sqrt(4000 * share * (1 - share))


@pytest.mark.parametrize("steps", [2, 8])
def test_progressive_passes_make_three_quarters_of_the_steps_on_average(steps):
    # E[n + k] = E[n] + (N - E[n] + 1) / 2 with E[n] = (N - 1) / 2
    pairs = [passes[1] for passes in drawn(ProgressiveDepthConfig(), steps, 8000)]
    assert sum(each.steps for each in pairs) / 8000 == pytest.approx((3 * steps + 1) / 4, rel=0.02)
    assert sum(each.steps - each.quiet for each in pairs) / 8000 == pytest.approx((steps + 3) / 4, rel=0.03)


def test_without_weight_on_going_on_depth_is_fixed_and_with_all_of_it_no_pass_need_be_full():
    assert drawn(ProgressiveDepthConfig(alpha=0)) == drawn(FixedDepthConfig())
    alone = drawn(ProgressiveDepthConfig(alpha=1))
    assert all(len(passes) == 1 for passes in alone)
    assert [passes[0][:2] for passes in alone] == [p[1][:2] for p in drawn(ProgressiveDepthConfig(alpha=0.5))]


def test_a_loop_of_one_step_has_one_place_to_go_on_from():
    assert drawn(ProgressiveDepthConfig(), steps=1, count=1) == [(Pass(1, 0, 0.5), Pass(1, 0, 0.5))]


def test_difficulty_tells_steps_and_counts_fractions_as_whole():
    difficulty = torch.tensor([1, 2, 3, 10])
    assert DifficultyDepthConfig().told(8, difficulty).tolist() == [1, 2, 3, 10]
    assert DifficultyDepthConfig(extra=1).told(8, difficulty).tolist() == [2, 3, 4, 11]
    assert DifficultyDepthConfig(per_difficulty=0.5).told(8, difficulty).tolist() == [1, 1, 2, 5]
    assert DifficultyDepthConfig(per_difficulty=1.5, extra=2).told(8, difficulty).tolist() == [4, 5, 7, 17]
    assert DifficultyDepthConfig().told(8, torch.tensor([0])).tolist() == [1]


def test_a_product_that_is_whole_is_not_rounded_up():
    depth = DifficultyDepthConfig(per_difficulty=0.1)
    assert depth.told(8, torch.arange(10, 1000, 10)).tolist() == list(range(1, 100))


def test_only_difficulty_tells():
    told = [depth for depth in EVERY if depth.told(8, torch.tensor([3])) is not None]
    assert told == [DifficultyDepthConfig()]
    assert drawn(DifficultyDepthConfig()) == drawn(FixedDepthConfig())


@pytest.mark.parametrize(
    ("depth", "options", "said"),
    [
        (UniformDepthConfig, {"least": 4, "most": 2}, r"least \(4\) must not be above most \(2\)"),
        (UniformDepthConfig, {"least": 0}, "least"),
        (PoissonLognormalDepthConfig, {"sigma": 0}, "sigma"),
        (PoissonLognormalDepthConfig, {"mean": 0}, "mean"),
        (PoissonLognormalDepthConfig, {"most": 0}, "most"),
        (ProgressiveDepthConfig, {"alpha": 1.5}, "alpha"),
        (DifficultyDepthConfig, {"per_difficulty": 0}, "per_difficulty"),
        (DifficultyDepthConfig, {"extra": -1}, "extra"),
    ],
)
def test_wrong_options_are_named(depth, options, said):
    with pytest.raises(ValidationError, match=said):
        depth(**options)


def test_a_model_of_fewer_steps_than_the_least_is_trained_with_the_least():
    assert drawn(UniformDepthConfig(least=4), steps=2) == drawn(UniformDepthConfig(least=4, most=4), steps=2)
