"""Losses of a token: numbers in the head, torch's own where they must coincide, and gradients at the edges."""

import math

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch.testing import assert_close

from factorexe.optim.losses.cross_entropy import CrossEntropyConfig
from factorexe.optim.losses.stablemax import StableMaxConfig

BOTH = [CrossEntropyConfig, StableMaxConfig]


def drawn(rows=40, vocabulary=11):
    draw = torch.Generator().manual_seed(0)
    return 3 * torch.randn(rows, vocabulary, generator=draw), torch.randint(vocabulary, (rows,), generator=draw)


def loss(config, logits, target, training=True):
    logits = torch.as_tensor(logits, dtype=torch.float32)
    return config.build().train(training)(logits[None], torch.tensor([target])).item()


def test_cross_entropy_is_torchs_own_bit_for_bit_and_so_is_its_gradient():
    ours, theirs = (drawn()[0].requires_grad_() for _ in range(2))
    targets = drawn()[1]
    mine = CrossEntropyConfig().build()(ours, targets)
    other = F.cross_entropy(theirs, targets, reduction="none")
    assert torch.equal(mine, other)
    mine.sum().backward()
    other.sum().backward()
    assert torch.equal(ours.grad, theirs.grad)


def test_stablemax_gives_four_two_and_one_sevenths():
    for target, probability in enumerate((4 / 7, 2 / 7, 1 / 7)):
        assert loss(StableMaxConfig(), [1.0, 0.0, -1.0], target) == pytest.approx(-math.log(probability))


def test_stablemax_is_the_quotient_of_the_paper():
    logits, targets = drawn()
    wide = logits.double()
    s = torch.where(wide < 0, 1 / (1 - wide), wide + 1)
    quotient = s.gather(1, targets[:, None])[:, 0] / s.sum(dim=1)
    assert_close(StableMaxConfig().build()(logits, targets), -quotient.log().float())


def test_even_logits_are_as_surprising_as_a_throw_of_dice_under_either():
    for config in BOTH:
        assert loss(config(), [2.5] * 6, 3) == pytest.approx(math.log(6))


def test_stablemax_has_the_slope_of_the_logarithm_everywhere_zero_and_one_included():
    logits = torch.tensor([[-3.0, -1.0, 0.0, 1.0, 3.0]], dtype=torch.float64, requires_grad=True)
    StableMaxConfig().build()(logits, torch.tensor([2])).sum().backward()
    s = torch.tensor([1 / 4, 1 / 2, 1.0, 2.0, 4.0], dtype=torch.float64)
    slope = 1 / (1 + logits.detach()[0].abs())
    right = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    assert_close(logits.grad[0], slope * (s / s.sum() - right))


@pytest.mark.parametrize("config", BOTH)
def test_a_temperature_divides_the_logits(config):
    assert loss(config(temperature=4.0), [8.0, 0.0], 0) == loss(config(), [2.0, 0.0], 0)
    assert loss(config(temperature=4.0), [8.0, 0.0], 0, training=False) == loss(config(), [2.0, 0.0], 0)


@pytest.mark.parametrize("config", BOTH)
def test_decoupling_costs_half_the_squared_logits_in_training_alone(config):
    price = config(spectral_decoupling=0.01)
    assert loss(price, [3.0, 4.0], 1) - loss(config(), [3.0, 4.0], 1) == pytest.approx(0.125, rel=1e-5)
    assert loss(price, [3.0, 4.0], 1, training=False) == loss(config(), [3.0, 4.0], 1)
    cooled = config(spectral_decoupling=0.01, temperature=2.0)  # the price is that of what the network says
    assert loss(cooled, [3.0, 4.0], 1) - loss(config(), [1.5, 2.0], 1) == pytest.approx(0.125, rel=1e-5)


@pytest.mark.parametrize("config", BOTH)
def test_smoothing_gives_its_share_to_the_mean_surprise_in_training_alone(config):
    surprises = [loss(config(), [1.0, 0.0, -1.0], target) for target in range(3)]
    by_hand = 0.7 * surprises[0] + 0.3 * sum(surprises) / 3
    assert loss(config(label_smoothing=0.3), [1.0, 0.0, -1.0], 0) == pytest.approx(by_hand)
    assert loss(config(label_smoothing=0.3), [1.0, 0.0, -1.0], 0, training=False) == surprises[0]


@pytest.mark.parametrize("config", BOTH)
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1, "spectral_decoupling": 0.01, "temperature": 0.5}])
def test_loss_and_gradient_are_finite_where_logits_are_huge(config, options):
    for size in (0.0, 1.0, 1e4):
        for target in (0, 1, 2):
            logits = torch.tensor([[size, -size, 0.0]], requires_grad=True)
            found = config(**options).build()(logits, torch.tensor([target]))
            found.sum().backward()
            assert found.isfinite().all()
            assert logits.grad.isfinite().all()


def test_where_cross_entropy_has_collapsed_stablemax_still_learns():
    gradients = {}
    for config in BOTH:
        logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
        found = config().build()(logits, torch.tensor([0]))
        found.sum().backward()
        gradients[config] = (found.item(), logits.grad.abs().max().item())
    assert gradients[CrossEntropyConfig] == (0.0, 0.0)
    assert gradients[StableMaxConfig][1] > 1e-3


@pytest.mark.parametrize("config", BOTH)
def test_no_supervised_token_is_no_loss(config):
    assert config().build()(torch.zeros(0, 5), torch.zeros(0, dtype=torch.long)).shape == (0,)


@pytest.mark.parametrize("config", BOTH)
def test_the_loss_has_the_precision_of_the_logits_and_is_double_for_double(config):
    logits, targets = drawn()
    assert config().build()(logits, targets).dtype == torch.float32
    assert config().build()(logits.double(), targets).dtype == torch.float64


@pytest.mark.parametrize("config", BOTH)
def test_under_autocast_nothing_is_lost(config):
    logits, targets = drawn()
    made = config(label_smoothing=0.1).build()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = made(logits, targets)
    assert torch.equal(found, made(logits, targets))


@pytest.mark.parametrize("option", [{"temperature": 0}, {"label_smoothing": 1}, {"spectral_decoupling": -1}])
def test_options_that_mean_nothing_are_refused_by_name(option):
    with pytest.raises(ValidationError, match=next(iter(option))):
        CrossEntropyConfig(**option)
