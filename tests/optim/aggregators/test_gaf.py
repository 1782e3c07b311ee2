"""Gradient agreement: the published loop, and forms that do not depend on the order."""

import itertools

import pytest
import torch
from parts_by_hand import gradient, merged, noise, rule_of
from torch.testing import assert_close

from factorexe.optim.aggregators.gaf import GAFConfig

FREE = ["mean", "max-neighbours"]  # of order
ALL = ["running", *FREE]


def published(gradients, threshold):
    """The loop of the paper's repository in other words: tensor by tensor, with cosines in double precision."""
    anchor, accepted = gradients[0], 0
    for candidate in gradients[1:]:
        dot = sum(float((a.double() * b.double()).sum()) for a, b in zip(anchor, candidate, strict=True))
        lengths = [sum(float(t.double().pow(2).sum()) for t in side) ** 0.5 for side in (anchor, candidate)]
        if 1 - dot / (lengths[0] * lengths[1]) <= threshold:
            anchor = [(a + b) / 2 for a, b in zip(anchor, candidate, strict=True)]
            accepted += 1
    return (torch.cat(list(anchor)) if accepted else None), accepted


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tau", [0.8, 0.97, 1.0, 1.03])
def test_running_is_the_published_loop_bit_for_bit(seed, tau):
    rows = noise(8, 60, seed)
    wanted, accepted = published([row.split([10, 50]) for row in rows], tau)
    found = merged(rule_of(GAFConfig(tau=tau), 10, 50), rows)
    assert found.stats["kept"] == ((accepted + 1) / 8 if accepted else 0)
    assert found.gradient is None if wanted is None else torch.equal(found.gradient, wanted)


def test_running_weighs_four_that_agree_an_eighth_an_eighth_a_quarter_and_a_half_whatever_their_sizes():
    rows = torch.eye(4) + 1
    shares = torch.tensor([1, 1, 2, 4]) / 8
    assert_close(gradient(GAFConfig(), rows, [9, 1, 1, 1]), shares @ rows)


def test_running_accepts_none_one_or_two_of_the_same_four_depending_on_their_order():
    four = [[-2.0, 0.0], [1.0, -1.0], [1.0, 2.0], [2.0, 0.0]]
    accepted = []
    for order in itertools.permutations(four):
        rows = torch.tensor(order)
        accepted.append(published([[row] for row in rows], 0.97)[1])
        found = merged(rule_of(GAFConfig(), 2), rows)
        assert found.stats["kept"] == ((accepted[-1] + 1) / 4 if accepted[-1] else 0)
    assert {count: accepted.count(count) for count in range(4)} == {0: 6, 1: 6, 2: 12, 3: 0}


@pytest.mark.parametrize("reference", FREE)
@pytest.mark.parametrize("seed", range(4))
def test_the_other_forms_do_not_depend_on_the_order(reference, seed):
    rows, weights = noise(5, 40, seed), torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0])
    rows[:3] += 0.7  # what three of them have in common
    rule = rule_of(GAFConfig(reference=reference, tau=0.8), 40)
    first = merged(rule, rows, weights)
    assert 0 < first.stats["kept"] < 1
    for order in list(itertools.permutations(range(5)))[::7]:
        again = merged(rule, rows[list(order)], weights[list(order)])
        assert again.stats["kept"] == first.stats["kept"]
        assert_close(again.gradient, first.gradient, rtol=0, atol=1e-6)


def test_the_other_forms_do_not_depend_on_the_order_of_equals_either():
    four = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]])  # a draw
    third = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.1]])  # the first two are closer
    for order in itertools.permutations(range(4)):
        assert merged(rule_of(GAFConfig(reference="max-neighbours"), 2), four[list(order)]).gradient is None
        assert_close(gradient(GAFConfig(reference="max-neighbours"), third[list(order)]), torch.tensor([1.0, 0.0]))


def test_two_of_three_point_one_way():
    rows = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    for reference in ALL:
        found = merged(rule_of(GAFConfig(reference=reference), 2), rows)
        assert found.gradient.tolist() == [1.0, 0.0]
        assert found.stats["kept"] == pytest.approx(2 / 3)
    told = {reference: merged(rule_of(GAFConfig(reference=reference), 2), rows).stats["cosine"] for reference in ALL}
    assert float(told["running"]) == pytest.approx((1 + 0) / 2)
    assert float(told["mean"]) == pytest.approx((0.5**0.5 + 0.5**0.5 + 0) / 3)
    assert float(told["max-neighbours"]) == pytest.approx(1 / 3)


def test_the_part_with_most_neighbours_is_kept_with_them():
    chain = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [-1.0, -1.0]])  # the second agrees with first and third
    found = merged(rule_of(GAFConfig(reference="max-neighbours"), 2), chain, [1, 2, 1, 9])
    assert_close(found.gradient, torch.tensor([3.0, 3.0]) / 4)
    assert found.stats["kept"] == 3 / 4


def test_a_part_is_not_taken_to_agree_with_itself():
    rows = torch.eye(3)  # each has a cosine of 0.58 with the mean of all, 0 with that of the others
    assert merged(rule_of(GAFConfig(reference="mean", tau=0.5), 3), rows).gradient is None


@pytest.mark.parametrize("seed", range(5))
def test_with_two_parts_of_one_size_all_forms_are_the_same(seed):
    rows = noise(2, 30, seed)
    running, mean, neighbours = (merged(rule_of(GAFConfig(reference=each), 30), rows) for each in ALL)
    for other in (mean, neighbours):
        assert (other.gradient is None) == (running.gradient is None)
        assert other.stats["kept"] == running.stats["kept"]
        assert_close(torch.as_tensor(other.stats["cosine"]), running.stats["cosine"])
        if running.gradient is not None:
            assert_close(other.gradient, running.gradient)


@pytest.mark.parametrize("reference", FREE)
def test_a_distance_of_two_is_the_mean_over_tokens(reference):
    rows, weights = torch.cat([noise(4, 20), torch.zeros(1, 20)]), torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    assert_close(gradient(GAFConfig(reference=reference, tau=2), rows, weights), weights @ rows / 15)


@pytest.mark.parametrize("reference", ALL)
def test_one_part_is_left_as_it_is(reference):
    found = merged(rule_of(GAFConfig(reference=reference), 3), [[1.0, 0.0, -2.0]])
    assert found.gradient.tolist() == [1.0, 0.0, -2.0]
    assert found.stats == {"kept": 1.0, "cosine": 1.0, "skipped": 0.0}


@pytest.mark.parametrize("reference", ALL)
def test_a_part_of_zeros_agrees_with_nothing(reference):
    found = merged(rule_of(GAFConfig(reference=reference, tau=1.9), 2), [[1.0, 0.0], [0.0, 0.0], [2.0, 0.0]])
    assert found.gradient.tolist() == [1.5, 0.0]
    nothing = merged(rule_of(GAFConfig(reference=reference, tau=1.9), 2), torch.zeros(3, 2))
    assert nothing.gradient is None
    assert float(nothing.stats["cosine"]) == -1


@pytest.mark.parametrize("reference", ALL)
def test_where_nothing_agrees_there_is_no_step_or_a_zero_or_the_mean(reference):
    rows, weights = [[1.0, 0.0], [-1.0, 0.0]], [3, 1]
    found = {
        reject: merged(rule_of(GAFConfig(reference=reference, reject=reject), 2), rows, weights)
        for reject in ("skip", "zero", "mean")
    }
    assert found["skip"].gradient is None
    assert found["zero"].gradient.tolist() == [0.0, 0.0]
    assert found["mean"].gradient.tolist() == [0.5, 0.0]
    for each in found.values():
        assert (each.stats["kept"], each.stats["skipped"]) == (0, 1)


def test_the_threshold_in_deviations_of_chance_is_that_cosine():
    rows = torch.zeros(2, 10_000)
    rows[0, 0], rows[1, 0], rows[1, 1] = 1.0, 0.03, (1 - 0.03**2) ** 0.5  # a cosine of 0.03: 3 deviations
    assert gradient(GAFConfig(deviations=2.9, tau=0), rows) is not None
    assert gradient(GAFConfig(deviations=3.1, tau=2), rows) is None


def test_coordinates_that_nothing_uses_change_nothing():
    rows = noise(4, 20)
    wider = torch.cat([rows, torch.zeros(4, 7)], dim=1)
    for reference in ALL:
        config = GAFConfig(reference=reference, reject="mean")
        assert_close(gradient(config, wider), torch.cat([gradient(config, rows), torch.zeros(7)]))


@pytest.mark.parametrize("reference", ALL)
@pytest.mark.parametrize("scale", [1e-12, 1e6])
def test_agreement_does_not_depend_on_how_large_gradients_are(reference, scale):
    rows, config = noise(4, 50), GAFConfig(reference=reference, reject="mean")
    assert_close(gradient(config, rows * scale) / scale, gradient(config, rows))
