"""Tables of logits made of known waves, and the Gini coefficient by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from factorexe.probes.fourier import gini, waves


def grid(n):
    return torch.arange(n)[:, None], torch.arange(n)[None, :]


def sums(n):
    x, y = grid(n)
    return (x + y) % n


def cosines(n, frequency, sign=1):
    """(n, n, n) cos(2 pi k (x + sign y - c) / n)."""
    x, y = grid(n)
    return torch.cos(2 * math.pi * frequency * ((x + sign * y)[..., None] - torch.arange(n)).double() / n)


def everywhere(n):
    return torch.arange(n * n)


def test_gini_is_zero_for_equal_numbers_and_nearly_one_for_a_single_one():
    assert float(gini(torch.ones(5))) == pytest.approx(0)
    assert float(gini(torch.tensor([0.0, 8.0, 0.0, 0.0]))) == pytest.approx(0.75)
    assert float(gini(torch.tensor([1.0, 3.0]))) == pytest.approx(0.25)  # mean difference 1 over twice the mean 2
    assert float(gini(torch.zeros(3))) == 0


def test_gini_knows_neither_order_nor_unit():
    values = torch.rand(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert_close(gini(values), gini(100 * values.flip(0)))


def test_the_example_of_three_residues_has_nothing_but_its_waves():
    logits = 10.0 * F.one_hot(sums(3), 3)
    found = waves(logits, sums(3), everywhere(3), 1)
    assert float(found.excluded) == pytest.approx(math.log(3))
    assert float(found.restricted) == pytest.approx(math.log(1 + 2 * math.exp(-10)))
    assert float(found.share) == pytest.approx(1)


def test_the_key_frequencies_are_found_and_are_all_there_is():
    n = 11
    logits = 9 * cosines(n, 2) + 5 * cosines(n, 4)
    found = waves(logits, sums(n), everywhere(n), 2)
    assert found.frequencies.tolist() == [2, 4]
    assert float(found.share) == pytest.approx(1)
    assert float(found.excluded) == pytest.approx(math.log(n))
    assert float(found.restricted) == pytest.approx(float(F.cross_entropy(logits.flatten(0, 1), sums(n).flatten())))


def test_without_one_of_two_frequencies_the_other_is_left():
    n = 11
    strong, weak = 9 * cosines(n, 2), 5 * cosines(n, 4)
    found = waves(strong + weak, sums(n), everywhere(n), 1)
    answers = sums(n).flatten()
    assert float(found.excluded) == pytest.approx(float(F.cross_entropy(weak.flatten(0, 1), answers)), rel=1e-6)
    assert float(found.restricted) == pytest.approx(float(F.cross_entropy(strong.flatten(0, 1), answers)), rel=1e-6)
    assert float(found.share) == pytest.approx(81 / 106, rel=1e-6)


def test_waves_of_the_difference_are_not_kept_where_the_rule_is_a_sum():
    n = 7
    found = waves(4 * cosines(n, 3, sign=-1), sums(n), everywhere(n), n // 2)
    assert float(found.share) == pytest.approx(0, abs=1e-10)
    assert float(found.restricted) == pytest.approx(math.log(n))


def test_an_even_table_has_a_last_frequency_without_a_sine():
    n = 6
    found = waves(3 * cosines(n, 3), sums(n), everywhere(n), 1)
    assert found.frequencies.tolist() == [3]
    assert float(found.excluded) == pytest.approx(math.log(n))


def test_remembered_cells_survive_without_the_key_frequencies():
    n = 13
    pick = torch.randperm(n * n, generator=torch.Generator().manual_seed(0))[:60]
    answers = torch.randint(n, (n * n,), generator=torch.Generator().manual_seed(1))  # a table without a rule
    logits = torch.zeros(n * n, n)
    logits[pick, answers[pick]] = 20.0
    found = waves(logits.view(n, n, n), answers.view(n, n), pick, 2)
    assert float(found.excluded) < 0.1
    assert float(found.restricted) > 2  # log 13 = 2.56: the waves alone know next to nothing
    rule = waves(20.0 * F.one_hot(sums(n), n), sums(n), pick, 6)
    assert float(rule.gini) > 0.8 > 0.5 > float(found.gini)


def test_the_constant_is_kept_and_counts_as_no_wave():
    n = 5
    bias = torch.tensor([3.0, 0, 0, 0, 0])
    plain = waves(6 * cosines(n, 1), sums(n), everywhere(n), 1)
    shifted = waves(6 * cosines(n, 1) + bias, sums(n), everywhere(n), 1)
    assert_close(shifted.share, plain.share)
    assert_close(shifted.gini, plain.gini)
    expected = F.cross_entropy((6 * cosines(n, 1) + bias).flatten(0, 1), sums(n).flatten())
    assert float(shifted.restricted) == pytest.approx(float(expected), rel=1e-6)


def test_a_number_added_to_all_logits_of_a_cell_changes_nothing():
    n = 7
    logits = torch.randn(n, n, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    added = 50 * torch.randn(n, n, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert_close(waves(logits + added, sums(n), everywhere(n), 2), waves(logits, sums(n), everywhere(n), 2))


def test_the_excluded_loss_is_that_of_the_trained_cells_alone():
    n = 5
    logits = torch.randn(n, n, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one_by_one = [float(waves(logits, sums(n), torch.tensor([cell]), 1).excluded) for cell in (3, 8)]
    assert float(waves(logits, sums(n), torch.tensor([3, 8]), 1).excluded) == pytest.approx(sum(one_by_one) / 2)
    assert math.isnan(float(waves(logits, sums(n), torch.tensor([], dtype=torch.long), 1).excluded))
