"""AND-mask: what is kept where signs agree, and what noise would let through."""

import pytest
import torch
from parts_by_hand import gradient, merged, noise, rule_of
from torch.testing import assert_close

from factorexe.optim import chance
from factorexe.optim.aggregators.sign_agreement import SignAgreementConfig

COLUMNS = torch.tensor([[2.0, 2.0, 0.0, 0.0], [4.0, -1.0, 4.0, 0.0], [6.0, 2.0, 5.0, 0.0]])


def plain(**options):
    return SignAgreementConfig(rescale=False, **options)


def test_only_what_all_agree_about_moves():
    found = merged(rule_of(plain(), 4), COLUMNS)
    assert found.gradient.tolist() == [4.0, 0.0, 0.0, 0.0]
    assert float(found.stats["kept"]) == pytest.approx(1 / 3)  # of the three with a gradient
    assert found.stats["chance"] == 0.25
    assert float(found.stats["over_chance"]) == pytest.approx(4 / 3)


def test_a_lower_threshold_lets_majorities_through():
    assert_close(gradient(plain(tau=0.3), COLUMNS), torch.tensor([4.0, 1.0, 3.0, 0.0]))
    assert_close(gradient(plain(tau=0.5), COLUMNS), torch.tensor([4.0, 0.0, 3.0, 0.0]))


@pytest.mark.parametrize("rescale", [False, True])
def test_no_threshold_is_the_mean_over_tokens(rescale):
    rows, weights = noise(4, 30), torch.tensor([1.0, 2.0, 3.0, 4.0])
    rows[:, 7] = 0
    assert_close(gradient(SignAgreementConfig(tau=0, rescale=rescale), rows, weights), weights @ rows / 10)


def test_parts_vote_alike_and_weigh_by_their_tokens():
    rows, weights = [[1.0, 1.0], [1.0, 5.0], [-1.0, 9.0]], [1, 1, 8]
    assert_close(gradient(plain(tau=1 / 3), rows, weights), torch.tensor([-0.6, 7.8]))
    assert_close(gradient(plain(tau=1), rows, weights), torch.tensor([0.0, 7.8]))


@pytest.mark.parametrize("options", [{}, {"magnitude": 1e-9}, {"tau": 0.5}, {"rescale": False}])
def test_one_part_is_left_as_it_is(options):
    assert gradient(SignAgreementConfig(**options), [[3.0, -0.5, 0.0]]).tolist() == [3.0, -0.5, 0.0]


def test_a_part_of_zeros_agrees_with_nobody_and_zeros_alone_are_no_agreement():
    found = merged(rule_of(SignAgreementConfig(), 2), [[1.0, 2.0], [0.0, 0.0]])
    assert found.gradient.tolist() == [0.0, 0.0]
    nothing = merged(rule_of(SignAgreementConfig(), 2), torch.zeros(2, 2))
    assert nothing.gradient.tolist() == [0.0, 0.0]
    assert float(nothing.stats["kept"]) == 0


def test_with_a_magnitude_two_parts_are_as_in_the_factorial_experiments():
    first, second = 0.1 * noise(2, 2000)
    agree = (first.sign() == second.sign()) & ((first - second).abs() < 0.1)
    assert 0 < agree.float().mean() < (first.sign() == second.sign()).float().mean()
    assert_close(gradient(plain(magnitude=0.1), torch.stack([first, second])), agree * (first + second) / 2)


def test_with_a_magnitude_more_parts_are_compared_in_pairs():
    rows = 0.1 * noise(3, 500) + 0.1
    pairs = ((0, 1), (0, 2), (1, 2))
    near = torch.stack([(rows[a] - rows[b]).abs() < 0.1 for a, b in pairs]).all(dim=0)
    same = torch.stack([rows[a].sign() == rows[b].sign() for a, b in pairs]).all(dim=0)
    assert_close(gradient(plain(magnitude=0.1), rows), rows.mean(dim=0) * (near & same))


def test_what_is_left_of_a_tensor_makes_up_for_what_is_not():
    rows = torch.tensor([[1.0, 1.0, 1.0, 0.0, 5.0, 5.0], [1.0, -1.0, -1.0, 0.0, 5.0, 5.0]])
    found = merged(rule_of(SignAgreementConfig(), 4, 2), rows)
    assert_close(found.gradient, torch.tensor([3.0, 0.0, 0.0, 0.0, 5.0, 5.0]))  # a third of what has a gradient


def test_a_tensor_of_which_nothing_is_left_stays_finite():
    found = merged(rule_of(SignAgreementConfig(), 1, 1), [[1.0, 2.0], [-1.0, 2.0]])
    assert found.gradient.tolist() == [0.0, 2.0]


@pytest.mark.parametrize(("parts", "tau"), [(2, 1.0), (4, 0.5), (4, 1.0), (8, 0.5), (8, 0.6)])
def test_as_much_of_noise_is_kept_as_chance_says(parts, tau):
    size = 40_000
    expected = chance.sign_agreement(parts, tau)
    stats = merged(rule_of(plain(tau=tau), size), noise(parts, size)).stats
    assert abs(float(stats["kept"]) - expected) < 4 * (expected * (1 - expected) / size) ** 0.5
    assert float(stats["over_chance"]) == pytest.approx(float(stats["kept"]) / expected)


def test_the_order_of_parts_does_not_matter():
    rows, weights = noise(5, 200), torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    config = SignAgreementConfig(tau=0.6, magnitude=3.0)
    order = [3, 0, 4, 2, 1]
    assert_close(gradient(config, rows[order], weights[order]), gradient(config, rows, weights))
