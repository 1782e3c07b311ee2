"""Rules that listen to the gradient of held-out problems."""

import pytest
import torch
from parts_by_hand import gradient, merged, noise, rule_of
from torch.testing import assert_close

from factorexe.optim.aggregators.guide_project import GuideProjectConfig
from factorexe.optim.aggregators.guide_weight import GuideWeightConfig


def test_the_component_against_the_guide_is_taken_out():
    found = merged(rule_of(GuideProjectConfig(), 2), [[2.0, 1.0]], guide=[-1.0, 0.0])
    assert found.gradient.tolist() == [0.0, 1.0]
    assert float(found.stats["projected"]) == 1
    assert float(found.stats["cosine"]) == pytest.approx(-2 / 5**0.5)


def test_a_gradient_that_agrees_with_the_guide_is_the_mean_over_tokens():
    rows, weights = noise(3, 20), torch.tensor([1.0, 2.0, 3.0])
    mean = weights @ rows / 6
    found = merged(rule_of(GuideProjectConfig(), 20), rows, weights, guide=mean + 0.1)
    assert_close(found.gradient, mean)
    assert float(found.stats["projected"]) == 0


@pytest.mark.parametrize("seed", range(3))
def test_no_step_along_it_raises_the_loss_of_the_guide(seed):
    rows, guide = noise(3, 50, seed), noise(1, 50, seed + 100)[0]
    guide = guide if (rows.mean(dim=0) @ guide) < 0 else -guide
    projected = gradient(GuideProjectConfig(), rows, guide=guide)
    assert_close(projected @ guide, torch.tensor(0.0), rtol=0, atol=1e-5)
    nearest = rows.mean(dim=0) - projected  # what was taken out lies along the guide
    assert_close(nearest.abs() @ guide.abs(), nearest.norm() * guide.norm())


def test_each_tensor_can_be_asked_for_itself():
    row, guide = [[2.0, 1.0, 3.0, 4.0]], [-1.0, 0.0, 1.0, 1.0]
    found = merged(rule_of(GuideProjectConfig(per="tensor"), 2, 2), row, guide=guide)
    assert found.gradient.tolist() == [0.0, 1.0, 3.0, 4.0]
    assert float(found.stats["projected"]) == 0.5
    together = merged(rule_of(GuideProjectConfig(), 2, 2), row, guide=guide)
    assert together.gradient.tolist() == row[0]  # as a whole the two agree


@pytest.mark.parametrize("per", ["global", "tensor"])
def test_a_guide_of_zeros_changes_nothing(per):
    found = merged(rule_of(GuideProjectConfig(per=per), 1, 1), [[2.0, -1.0]], guide=[0.0, 0.0])
    assert found.gradient.tolist() == [2.0, -1.0]


@pytest.mark.parametrize("per", ["global", "tensor"])
def test_with_one_tensor_both_scopes_are_the_same(per):
    rows, guide = noise(3, 50), -noise(3, 50).mean(dim=0) + 0.1
    assert_close(
        gradient(GuideProjectConfig(per=per), rows, guide=guide), gradient(GuideProjectConfig(), rows, guide=guide)
    )


def test_parts_weigh_by_their_cosine_with_the_guide():
    rows = [[2.0, 0.0], [3.0, 4.0], [-1.0, 1.0]]
    found = merged(rule_of(GuideWeightConfig(), 2), rows, guide=[5.0, 0.0])
    assert_close(found.gradient, torch.tensor([2.375, 1.5]))
    assert found.stats["kept"] == pytest.approx(2 / 3)
    assert float(found.stats["cosine"]) == pytest.approx((1 + 0.6 - 0.5**0.5) / 3)
    assert_close(gradient(GuideWeightConfig(), rows, [1, 5, 1], [5.0, 0.0]), torch.tensor([11.0, 12.0]) / 4)


def test_parts_that_all_agree_as_much_are_averaged_over_tokens():
    rows, weights = torch.eye(4), torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert_close(gradient(GuideWeightConfig(), rows, weights, torch.ones(4)), weights / 10)


def test_where_no_part_agrees_with_the_guide_there_is_no_step_or_a_zero_or_the_mean():
    rows, weights, guide = [[1.0, 0.0], [0.0, 0.0]], [3, 1], [-1.0, 0.0]
    found = {
        reject: merged(rule_of(GuideWeightConfig(reject=reject), 2), rows, weights, guide)
        for reject in ("skip", "zero", "mean")
    }
    assert found["skip"].gradient is None
    assert found["zero"].gradient.tolist() == [0.0, 0.0]
    assert found["mean"].gradient.tolist() == [0.75, 0.0]
    assert all((each.stats["kept"], each.stats["skipped"]) == (0, 1) for each in found.values())


def test_one_part_that_agrees_is_left_as_it_is():
    assert_close(gradient(GuideWeightConfig(), [[3.0, 4.0]], guide=[0.1, 0.0]), torch.tensor([3.0, 4.0]))


def test_neither_the_order_of_parts_nor_the_size_of_the_guide_matters():
    rows, weights, guide = noise(5, 40), torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]), noise(1, 40, 9)[0]
    first, order = gradient(GuideWeightConfig(), rows, weights, guide), [3, 0, 4, 2, 1]
    assert_close(gradient(GuideWeightConfig(), rows[order], weights[order], 1e-3 * guide), first)
