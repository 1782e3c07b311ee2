"""A batch that is rejected: a gradient of zeros is not the same as no gradient."""

import pytest
import torch

from factorexe.optim.aggregators.rejection import rejected


@pytest.mark.parametrize(("how", "moved"), [("zero", 0.0091), ("skip", 0.0)])
def test_zeros_let_momentum_move_weights_and_nothing_does_not(how, moved):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([weight], lr=0.01, weight_decay=0)
    for _ in range(20):
        weight.grad = torch.ones(1)
        optimizer.step()
    before = weight.item()
    weight.grad = rejected(how, torch.ones(1))
    optimizer.step()
    assert before - weight.item() == pytest.approx(moved, abs=5e-5)
