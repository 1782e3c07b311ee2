"""The control: kept by lot, the same lots after a resume."""

import pytest
import torch
from parts_by_hand import gradient, merged, noise, rule_of
from torch.testing import assert_close

from factorexe.optim.aggregators.random_mask import RandomMaskConfig


@pytest.mark.parametrize("unit", ["coordinate", "part"])
@pytest.mark.parametrize("rescale", [False, True])
def test_to_keep_everything_is_the_mean_over_tokens(unit, rescale):
    rows, weights = noise(4, 30), torch.tensor([1.0, 2.0, 3.0, 4.0])
    config = RandomMaskConfig(keep=1, unit=unit, rescale=rescale)
    assert_close(gradient(config, rows, weights), weights @ rows / 10)


@pytest.mark.parametrize("keep", [0.01, 0.3, 0.5])
def test_as_many_coordinates_survive_as_were_asked_for(keep):
    size = 40_000
    rows = noise(2, size)
    found = merged(rule_of(RandomMaskConfig(keep=keep, rescale=False), size), rows)
    kept = found.gradient != 0
    assert abs(float(kept.float().mean()) - keep) < 4 * (keep * (1 - keep) / size) ** 0.5
    assert float(found.stats["kept"]) == pytest.approx(float(kept.float().mean()))
    assert_close(found.gradient[kept], rows.mean(dim=0)[kept])


def test_what_is_kept_of_a_tensor_makes_up_for_what_is_not():
    rule = rule_of(RandomMaskConfig(keep=0.25), 1000, 3000)
    for piece in merged(rule, torch.ones(1, 4000)).gradient.split([1000, 3000]):
        assert_close(piece.mean(), torch.tensor(1.0))
        assert len(piece.unique()) == 2


def test_coordinates_without_a_gradient_are_not_counted():
    rows = torch.cat([torch.ones(1, 1000), torch.zeros(1, 9000)], dim=1)
    found = merged(rule_of(RandomMaskConfig(keep=0.5), 10_000), rows)
    assert 0.4 < float(found.stats["kept"]) < 0.6
    assert_close(found.gradient.sum(), torch.tensor(1000.0))


@pytest.mark.parametrize("rescale", [False, True])
def test_parts_are_kept_or_dropped_whole(rescale):
    rule = rule_of(RandomMaskConfig(keep=0.5, unit="part", rescale=rescale), 4)
    rows, weights = torch.eye(4), torch.tensor([1.0, 2.0, 3.0, 4.0])
    counts = []
    for _ in range(400):
        found = merged(rule, rows, weights)
        counts.append(found.stats["kept"] * 4)
        if found.gradient is None:
            assert counts[-1] == 0
            assert found.stats["skipped"] == 1
            continue
        kept = found.gradient != 0
        assert_close(found.gradient, weights * kept / ((weights * kept).sum() if rescale else 10))
    assert 1.7 < sum(counts) / 400 < 2.3  # 2 on average, with a standard error of 0.05
    assert counts.count(0) == pytest.approx(400 / 16, abs=20)


@pytest.mark.parametrize("unit", ["coordinate", "part"])
def test_each_batch_has_lots_of_its_own_which_depend_on_the_seed_alone(unit):
    def drawn(seed, steps, rule=None):
        rule = rule or rule_of(RandomMaskConfig(unit=unit, seed=seed), 20)
        rows = torch.stack([torch.arange(20) + 1.0 + 100 * part for part in range(20)])
        return [merged(rule, rows).gradient for _ in range(steps)]

    first = drawn(0, 4)
    torch.rand(5)  # whatever else is drawn
    again = drawn(0, 4)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({tuple(vector.tolist()) for vector in [*first, *drawn(1, 4)]}) == 8


@pytest.mark.parametrize("unit", ["coordinate", "part"])
def test_a_resumed_run_goes_on_with_the_lots_it_would_have_had(unit):
    rule = rule_of(RandomMaskConfig(unit=unit), 50)
    for _ in range(3):
        merged(rule, noise(4, 50))
    fresh = rule_of(RandomMaskConfig(unit=unit), 50)
    fresh.load_state_dict(rule.state_dict())
    for _ in range(3):
        assert torch.equal(merged(rule, noise(4, 50)).gradient, merged(fresh, noise(4, 50)).gradient)


def test_nobody_elses_draws_are_disturbed():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    gradient(RandomMaskConfig(), noise(2, 10))
    assert torch.equal(torch.rand(4), expected)
