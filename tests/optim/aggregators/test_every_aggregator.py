"""What holds of every rule, whichever way it is given gradients."""

import pytest
import torch
from parts_by_hand import flat_of, noise

from factorexe.optim.measure import Part, Row, stacked
from factorexe.registry import Registry

RULES = Registry("aggregators")


def rule(name, flat):
    options = {"rule": "PCGrad"} if name == "torchjd" else {}  # its default needs a solver of quadratic programs
    return RULES.get(name).cls(**options).build(flat)


@pytest.mark.parametrize("name", RULES.names())
def test_rows_of_one_matrix_are_parts_like_any_others_and_are_not_written_into(name):
    flat, matrix = flat_of(3, 4), noise(5, 7)
    weights, guide = torch.tensor([1.0, 2, 3, 4, 5]), noise(1, 7, seed=1)[0]
    rows = [Row(matrix, number, weight, (True, True)) for number, weight in enumerate(weights)]
    parts = [Part(row, weight) for row, weight in zip(matrix.clone(), weights, strict=True)]
    before = matrix.clone()
    found, expected = (rule(name, flat)(iter(given), guide).vector(flat) for given in (rows, parts))
    torch.testing.assert_close(found, expected)
    assert torch.equal(matrix, before)


def test_rows_of_one_matrix_are_not_copied_and_those_of_two_are():
    one, other = noise(2, 3), noise(2, 3, seed=1)
    first, second = ([Row(matrix, number, torch.ones(()), (True,)) for number in range(2)] for matrix in (one, other))
    assert stacked(first)[0] is one
    assert torch.equal(stacked([*first, *second])[0], torch.cat([one, other]))
    assert torch.equal(stacked([first[0]])[0], one[:1])
    assert torch.equal(stacked(first[::-1])[0], one.flip(0))
    assert torch.equal(stacked([first[0], second[1]])[0], torch.stack([one[0], other[1]]))
