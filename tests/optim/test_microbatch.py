"""How a batch is shared out, and what parts it is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from factorexe.optim.measures.microbatch import MicrobatchConfig, divided


class Examples(SimpleNamespace):
    def __len__(self):
        return len(self.difficulty)


def of(difficulty, **groups):
    return Examples(difficulty=np.array(difficulty), groups={name: np.array(key) for name, key in groups.items()})


def lists(parts):
    return [part.tolist() for part in parts]


def test_parts_are_as_equal_as_can_be():
    assert lists(divided(of([1] * 5), 2, "random")) == [[0, 1, 2], [3, 4]]


def test_more_parts_than_problems_are_as_many_as_problems():
    assert lists(divided(of([1, 1]), 8, "random")) == [[0], [1]]


def test_stratified_parts_have_as_many_of_each_difficulty():
    assert lists(divided(of([3, 2, 3, 2, 3, 2]), 3, "stratified")) == [[0, 1], [2, 3], [4, 5]]


def test_difficulties_are_never_torn_apart():
    assert lists(divided(of([4, 2, 3, 2, 4, 3]), 3, "difficulty")) == [[1, 3], [2, 5], [0, 4]]
    assert lists(divided(of([4, 2, 3, 2, 4, 3]), 8, "difficulty")) == [[1, 3], [2, 5], [0, 4]]
    assert lists(divided(of([1, 2, 3, 4]), 2, "difficulty")) == [[0, 1], [2, 3]]  # neighbours share


def test_a_group_may_be_any_key():
    assert lists(divided(of([1, 1, 1], colour=[7, 5, 7]), 2, "colour")) == [[1], [0, 2]]


@given(some.lists(some.integers(1, 9), min_size=1, max_size=40), some.integers(1, 12))
def test_every_problem_is_in_exactly_one_part(difficulty, parts):
    for split in ("random", "stratified", "difficulty"):
        found = divided(of(difficulty), parts, split)
        assert sorted(np.concatenate(found).tolist()) == list(range(len(difficulty)))
        assert all(len(part) for part in found)
        assert len(found) <= parts
        levels = [set(np.array(difficulty)[part]) for part in found]
        assert split != "difficulty" or sum(map(len, levels)) == len(set(difficulty))


def test_an_unknown_group_is_told():
    batch = SimpleNamespace(examples=of([1], colour=[1]))
    with pytest.raises(ValueError, match="no group 'size'; use one of random, stratified, difficulty, colour"):
        MicrobatchConfig(split="size").check(None, batch)
