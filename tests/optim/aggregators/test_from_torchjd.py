"""Rules of TorchJD by name: the same numbers as there, and one line for what is wrong."""

import importlib.util
import sys

import pytest
import torch
from parts_by_hand import gradient, merged, noise, rule_of
from torch.testing import assert_close

from factorexe.optim.aggregators.from_torchjd import TorchJDConfig, known

needs_torchjd = pytest.mark.skipif(importlib.util.find_spec("torchjd") is None, reason="the extra torchjd is missing")
needs_solver = pytest.mark.skipif(importlib.util.find_spec("quadprog") is None, reason="the extra torchjd is missing")


def torchjd_with(rule, **arguments):
    return TorchJDConfig(rule=rule, arguments=arguments)


@needs_torchjd
def test_a_trimmed_mean_leaves_out_the_extremes():
    rows = [[1.0, 9.0], [2.0, 1.0], [4.0, 3.0], [90.0, 2.0]]
    assert_close(gradient(torchjd_with("TrimmedMean", trim_number=1), rows), torch.tensor([3.0, 2.5]))


@needs_solver
def test_upgrad_is_the_default_and_conflicts_with_no_part():
    rows = torch.tensor([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])
    found = gradient(TorchJDConfig(), rows)
    assert_close(found, torch.tensor([0.2929, 1.9004, 1.9004]), rtol=0, atol=1e-4)  # as in TorchJD's documentation
    assert (rows @ found >= 0).all()


@needs_torchjd
def test_its_mean_is_the_mean_over_tokens():
    rows, weights = noise(4, 30), torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert_close(gradient(torchjd_with("Mean"), rows, weights), weights @ rows / 10)


@needs_torchjd
def test_parts_of_one_size_are_given_as_they_are():
    from torchjd.aggregation import MGDA

    rows = noise(4, 30)
    assert_close(gradient(torchjd_with("MGDA"), rows, [3, 3, 3, 3]), MGDA()(rows))


@needs_torchjd
def test_rules_that_draw_by_lot_disturb_nobody_and_go_on_after_a_resume():
    rule = rule_of(torchjd_with("Random"), 30)
    state = torch.get_rng_state()
    first, second = (merged(rule, noise(4, 30)).gradient for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, second)
    fresh = rule_of(torchjd_with("Random"), 30)
    fresh.load_state_dict(rule.state_dict())
    assert torch.equal(merged(fresh, noise(4, 30)).gradient, merged(rule, noise(4, 30)).gradient)


@needs_torchjd
@pytest.mark.parametrize(
    ("rule", "arguments"),
    [
        *(
            (rule, {})
            for rule in ("AlignedMTL", "ConFIG", "GradDrop", "IMTLG", "Mean", "MGDA", "PCGrad", "Random", "Sum")
        ),
        ("Krum", {"n_byzantine": 1}),
        ("TrimmedMean", {"trim_number": 1}),
    ],
)
def test_rules_that_need_nothing_else_make_one_finite_gradient(rule, arguments):
    assert rule in known()
    found = gradient(torchjd_with(rule, **arguments), noise(4, 10))
    assert found.shape == (10,)
    assert torch.isfinite(found).all()


@needs_torchjd
@pytest.mark.skipif(importlib.util.find_spec("cvxpy") is not None, reason="what CAGrad needs is there")
def test_a_rule_that_misses_something_says_what():
    with pytest.raises(ValueError, match=r"CAGrad cannot be made: .*cvxpy.* pip install"):
        rule_of(torchjd_with("CAGrad", c=0.5), 3)


@needs_torchjd
@pytest.mark.parametrize(
    "rule", ["GradVac", "NashMTL", "Constant", "WeightedAggregator", "UPGradWeighting", "Stateful"]
)
def test_what_remembers_or_needs_more_than_numbers_is_not_offered(rule):
    with pytest.raises(ValueError, match=f"TorchJD has no rule '{rule}'"):
        rule_of(torchjd_with(rule), 3)


@needs_torchjd
@pytest.mark.parametrize(
    ("config", "part"),
    [
        (torchjd_with("upgrad"), "no rule 'upgrad'; did you mean UPGrad"),
        (torchjd_with("nonsense"), "known: AlignedMTL, "),
        (torchjd_with("Krum"), "missing a required argument: 'n_byzantine'; it takes n_byzantine, n_selected"),
        (torchjd_with("PCGrad", c=1), "'c'; it takes nothing"),
        (torchjd_with("TrimmedMean", trim_number=-1), "TrimmedMean cannot be made: trim_number must be non-negative"),
    ],
)
def test_a_mistake_is_told_in_one_line(config, part):
    with pytest.raises(ValueError, match=r"TorchJD") as caught:
        rule_of(config, 3)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchjd.aggregation", None)
    with pytest.raises(ValueError, match=r'TorchJD is not installed: pip install "factorexe\[torchjd\]"'):
        rule_of(TorchJDConfig(), 3)
