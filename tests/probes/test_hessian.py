"""The largest eigenvalue against Hessians that are known in full."""

import pytest
import torch
from torch import nn

from factorexe.probes.hessian import largest_eigenvalue


def quadratic(*curvatures):
    """A loss whose Hessian is diagonal, and where it is asked for."""
    at = [torch.full((len(curvatures),), 0.3, requires_grad=True)]
    return lambda: (torch.tensor(curvatures) * at[0].square()).sum() / 2, at


def test_of_a_diagonal_hessian_it_is_the_largest_entry():
    assert largest_eigenvalue(*quadratic(1.0, 5.0, 2.0)) == pytest.approx(5, rel=1e-5)


def test_a_negative_eigenvalue_of_greater_size_is_passed_over():
    assert largest_eigenvalue(*quadratic(1.0, -30.0, 0.5)) == pytest.approx(1, rel=1e-5)


def test_of_negative_eigenvalues_it_is_the_one_nearest_to_zero():
    assert largest_eigenvalue(*quadratic(-4.0, -1.0)) == pytest.approx(-1, rel=1e-5)


def test_the_loss_a_b_has_eigenvalues_one_and_minus_one():
    at = torch.tensor([2.0, 3.0], requires_grad=True)
    assert largest_eigenvalue(lambda: at[0] * at[1], [at]) == pytest.approx(1, rel=1e-5)


def test_a_loss_that_does_not_curve_has_zero():
    at = torch.ones(3, requires_grad=True)
    assert largest_eigenvalue(lambda: 2 * at.sum(), [at]) == 0.0


def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
        inputs, targets = torch.randn(20, 4, dtype=torch.float64), torch.randint(3, (20,))
    return model, lambda: nn.functional.cross_entropy(3 * model(inputs), targets)


def exact(model, loss):
    """All eigenvalues, from the matrix written out."""
    parameters = list(model.parameters())
    slopes = torch.autograd.grad(loss(), parameters, create_graph=True)
    rows = [
        torch.cat([part.reshape(-1) for part in torch.autograd.grad(one, parameters, retain_graph=True)])
        for one in torch.cat([slope.reshape(-1) for slope in slopes])
    ]
    return torch.linalg.eigvalsh(torch.stack(rows))


def test_of_a_small_network_it_is_that_of_the_matrix_written_out():
    model, loss = network()
    found = largest_eigenvalue(loss, list(model.parameters()), iterations=43)
    assert found == pytest.approx(float(exact(model, loss)[-1]), rel=1e-9)


def test_fewer_products_never_find_more():
    model, loss = network()
    parameters = list(model.parameters())
    found = [largest_eigenvalue(loss, parameters, iterations=k) for k in (1, 2, 5, 10, 20)]
    assert found == sorted(found)
    assert found[-1] <= float(exact(model, loss)[-1]) * (1 + 1e-9)
    assert found[-1] == pytest.approx(float(exact(model, loss)[-1]), rel=1e-3)


def test_parameters_that_the_loss_does_not_use_change_nothing():
    loss, at = quadratic(3.0, 1.0)
    assert largest_eigenvalue(loss, [torch.ones(2, requires_grad=True), *at]) == pytest.approx(3, rel=1e-5)


def test_it_works_where_gradients_are_off_and_leaves_none_behind():
    model, loss = network()
    before = torch.get_rng_state()
    with torch.no_grad():
        largest_eigenvalue(loss, list(model.parameters()))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(before, torch.get_rng_state())
