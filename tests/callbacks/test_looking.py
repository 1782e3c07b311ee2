"""A look at a learner leaves no trace."""

import pytest
import torch
from torch import nn

from factorexe.callbacks.looking import looking


class Learner(nn.Module):
    """Two parts, one of which is in evaluation mode for good."""

    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        self.dropout, self.frozen = nn.Dropout(0.5), nn.Linear(2, 2).eval()


def test_mode_and_random_state_are_as_they_were():
    learner = Learner()
    before = torch.get_rng_state()
    with looking(learner):
        assert not any(module.training for module in learner.modules())
        assert not learner.frozen(torch.ones(2)).requires_grad
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    assert learner.training
    assert learner.dropout.training
    assert not learner.frozen.training


def test_mode_comes_back_after_an_error():
    learner = Learner()
    with pytest.raises(ZeroDivisionError), looking(learner):
        raise ZeroDivisionError
    assert learner.dropout.training


def test_arithmetic_is_in_single_precision_within_mixed_precision():
    learner, x = Learner(), torch.ones(2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert learner.frozen(x).dtype == torch.bfloat16
        with looking(learner):
            assert learner.frozen(x).dtype == torch.float32
        assert learner.frozen(x).dtype == torch.bfloat16
