"""Shrinkage by the ratio of signal to noise."""

import pytest
import torch
from parts_by_hand import gradient, merged, noise, rule_of
from torch.testing import assert_close

from factorexe.optim.aggregators.gsnr import GSNRConfig


def test_two_parts_give_the_harmonic_mean_of_what_has_one_sign():
    rows = torch.tensor([[2.0, -1.0, -3.0, 0.0, 0.0], [6.0, 6.0, -3.0, 4.0, 0.0]])
    assert_close(gradient(GSNRConfig(), rows), torch.tensor([3.0, 0.0, -3.0, 0.0, 0.0]))
    first, second = noise(2, 300)
    harmonic = 2 * first * second / (first + second)
    assert_close(
        gradient(GSNRConfig(), torch.stack([first, second])),
        torch.where(first * second > 0, harmonic, 0.0),
        rtol=1e-4,
        atol=1e-6,
    )


@pytest.mark.parametrize("parts", [3, 8])
def test_the_formula_with_an_unbiased_variance(parts):
    rows = noise(parts, 100).double() + 0.5
    mean, variance = rows.mean(dim=0), rows.var(dim=0, correction=1)
    expected = mean * (1 - variance / (parts * mean**2)).clamp(min=0)
    found = merged(rule_of(GSNRConfig(), 100), rows)
    assert_close(found.gradient, expected.float(), rtol=1e-4, atol=1e-6)
    assert float(found.stats["kept"]) == pytest.approx(float((expected != 0).double().mean()))
    assert float(found.stats["length"]) == pytest.approx(float(expected.norm() / mean.norm()), rel=1e-4)


def test_the_variance_of_a_weighted_mean_is_unbiased():
    tokens = torch.tensor([1, 2, 5])
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(int(tokens.sum()), 200_000, generator=generator)  # a mean over 8 tokens has a variance of 1/8
    rows = torch.stack([part.mean(dim=0) for part in drawn.split(tokens.tolist())])
    mean = (tokens / 8) @ rows
    variance = (tokens[:, None] * (rows - mean) ** 2).sum(dim=0) / (2 * 8)
    assert variance.mean().item() == pytest.approx(1 / 8, rel=0.02)
    expected = mean * (1 - variance / mean**2).clamp(min=0)
    assert_close(gradient(GSNRConfig(), rows, tokens), expected, rtol=1e-3, atol=1e-5)


def test_parts_that_all_say_the_same_are_followed():
    row = noise(1, 40)
    assert_close(gradient(GSNRConfig(), row.repeat(5, 1), [1, 2, 3, 4, 5]), row[0])


def test_one_part_is_left_as_it_is():
    row = torch.tensor([[3.0, 0.0, -1e-20]])
    assert torch.equal(gradient(GSNRConfig(), row), row[0])


def test_parts_of_zeros_are_finite():
    rows = torch.zeros(3, 4)
    assert gradient(GSNRConfig(), rows).tolist() == [0.0] * 4
    rows[0] = torch.tensor([1.0, 1e-20, -1e-30, 0.0])
    assert torch.isfinite(gradient(GSNRConfig(), rows)).all()


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_a_large_mean_does_not_drown_the_variance(offset):
    rows = noise(6, 100) + offset
    expected = rows.double().mean(dim=0) ** 2 - rows.double().var(dim=0) / 6
    left = gradient(GSNRConfig(), rows).double() * rows.double().mean(dim=0)
    assert_close(left, expected.clamp(min=0), rtol=1e-5, atol=1e-5)


def test_the_order_of_parts_does_not_matter():
    rows, weights = noise(5, 100), torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    order = [3, 0, 4, 2, 1]
    found = gradient(GSNRConfig(), rows[order], weights[order])
    assert_close(found, gradient(GSNRConfig(), rows, weights), rtol=1e-3, atol=1e-5)
