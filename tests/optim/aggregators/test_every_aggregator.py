"""What holds of every rule, whichever way it is given gradients."""

import pytest
import torch
from parts_by_hand import flat_of, noise

from factorexe.optim.measure import OneOf, Part, stacked, together
from factorexe.registry import Registry

RULES = Registry("aggregators")


def rule(name, flat):
    options = {"rule": "PCGrad"} if name == "torchjd" else {}  # its default needs a solver of quadratic programs
    return RULES.get(name).cls(**options).build(flat)


def parts_of(whole, flat, weights=(1.0, 2, 3, 4, 5)):
    return [OneOf(whole, number, weight, flat) for number, weight in enumerate(torch.tensor(weights))]


@pytest.mark.parametrize("name", RULES.names())
def test_gradients_that_are_all_there_are_parts_like_any_others_and_are_not_written_into(name):
    flat = flat_of(3, 2, 4)
    whole = [noise(5, 3), None, noise(5, 4, seed=2)]  # nothing depends on the second
    guide, before = noise(1, 9, seed=1)[0], [each if each is None else each.clone() for each in whole]
    there = parts_of(whole, flat)
    apart = [Part(part.gradient.clone(), part.weight) for part in parts_of(before, flat)]
    found, expected = (rule(name, flat)(iter(given), guide).vector(flat) for given in (there, apart))
    torch.testing.assert_close(found, expected)
    assert all(each is None or torch.equal(each, then) for each, then in zip(whole, before, strict=True))


def test_they_are_known_to_be_all_there_only_if_all_are_given_in_order():
    flat = flat_of(3)
    one, other = [noise(2, 3)], [noise(2, 3, seed=1)]
    first, second = parts_of(one, flat, (1.0, 1)), parts_of(other, flat, (1.0, 1))
    assert together(first) is one
    assert torch.equal(stacked(first, flat)[0], one[0])
    for given in ([*first, *second], first[:1], first[::-1], [first[0], second[1]], [Part(one[0][0], first[0].weight)]):
        assert together(given) is None
        expected = torch.stack([part.gradient for part in given])
        assert torch.equal(stacked(given, flat)[0], expected)
        torch.testing.assert_close(rule("mean", flat)(iter(given), None).vector(flat), expected.mean(dim=0))
