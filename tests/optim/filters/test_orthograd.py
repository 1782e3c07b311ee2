"""What lies along the weights is taken out, tensor by tensor, and the length given back."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from factorexe.optim.filters.orthograd import OrthogradConfig
from factorexe.optim.flat import Flat


class Weights(nn.Module):
    def __init__(self, **tensors):
        super().__init__()
        for name, tensor in tensors.items():
            setattr(self, name, nn.Parameter(torch.as_tensor(tensor, dtype=torch.float32)))


def used(gradient, vectors=False, **tensors):
    flat = Flat(Weights(**tensors).named_parameters())
    made = OrthogradConfig(vectors=vectors).build(flat)
    return made(torch.as_tensor(gradient, dtype=torch.float32)), made.stats


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_three_four_beside_one_zero_becomes_zero_five():
    edited, stats = used([3.0, 4.0], w=[[1.0, 0.0]])
    assert_close(edited, torch.tensor([0.0, 5.0]))
    assert stats["along"].item() == pytest.approx(0.6)


def test_each_tensor_is_projected_on_its_own_and_keeps_its_length():
    a, b = random(4, 5), random(6, 2, seed=1)
    gradient = random(32, seed=2)
    edited, _ = used(gradient, a=a, b=b)
    for weight, before, after in ((a, gradient[:20], edited[:20]), (b, gradient[20:], edited[20:])):
        assert abs(torch.dot(weight.flatten(), after).item()) < 1e-5
        assert_close(after.norm(), before.norm())
        # in the plane of weight and gradient: what is added is a multiple of both
        assert torch.linalg.matrix_rank(torch.stack([weight.flatten(), before, after]), rtol=1e-5) == 2


def test_a_gradient_that_is_orthogonal_already_stays():
    edited, stats = used([0.0, 2.0, -1.0], w=[[3.0, 0.0, 0.0]])
    assert edited.tolist() == [0.0, 2.0, -1.0]
    assert stats["along"] == 0


def test_weights_of_0_leave_the_gradient_as_it_is():
    gradient = random(6)
    assert_close(used(gradient, w=torch.zeros(2, 3))[0], gradient)


@pytest.mark.parametrize("weight", [0.3, -1.7, 1e-3, 123.4])
def test_the_gradient_of_a_single_number_is_0_and_not_rounding_blown_up(weight):
    for number in random(50).tolist():
        assert used([number], w=[[weight]])[0].item() == 0


@pytest.mark.parametrize("size", [2, 64, 16384])
def test_a_gradient_along_the_weights_leaves_nothing_however_large_the_tensor(size):
    for seed in range(10):
        weight = random(1, size, seed=seed)
        assert not used((0.3 + seed) * weight.flatten(), w=weight)[0].any()


def test_a_gradient_of_0_stays_0():
    assert used(torch.zeros(4), w=random(2, 2))[0].tolist() == [0.0] * 4


def test_vectors_are_left_alone_unless_asked_for():
    gradient = torch.tensor([3.0, 4.0, 3.0, 4.0])
    tensors = {"w": [[1.0, 0.0]], "b": [1.0, 0.0]}
    assert_close(used(gradient, **tensors)[0], torch.tensor([0.0, 5.0, 3.0, 4.0]))
    assert_close(used(gradient, vectors=True, **tensors)[0], torch.tensor([0.0, 5.0, 0.0, 5.0]))


def test_without_matrices_nothing_is_done():
    gradient = random(3)
    assert torch.equal(used(gradient, b=[1.0, 2.0, 3.0])[0], gradient)


def test_a_small_step_keeps_the_length_of_the_weights():
    flat = Flat(Weights(w=random(8, 8)).named_parameters())
    made = OrthogradConfig().build(flat)
    before = flat.weights()
    flat.put(before - 1e-3 * made(before + 0.1 * random(64, seed=1)))  # most of the gradient lies along the weights
    assert flat.weights().norm() >= before.norm()
    assert_close(flat.weights().norm(), before.norm(), rtol=1e-5, atol=0)
