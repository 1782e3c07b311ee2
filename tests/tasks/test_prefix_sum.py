"""Prefix sums against itertools."""

from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorexe.tasks.prefix_sum import PrefixSum
from factorexe.tasks.sequence import ENTRIES


@pytest.mark.parametrize(
    ("modulus", "prompt", "answer"), [(2, "10111", "11010"), (10, "9999", "9876"), (3, "2200", "2111")]
)
def test_sums_done_in_the_head(modulus, prompt, answer):
    task = PrefixSum(modulus=modulus)
    assert task.text(task.complete(task.parse(prompt)[None]).answer[0]) == answer


@given(modulus=st.integers(2, 62), length=st.integers(1, 60), seed=st.integers(0, 99))
def test_sums_are_those_of_integers(modulus, length, seed):
    task = PrefixSum(modulus=modulus, length=length)
    drawn = task.sample(np.array([1, length]), np.random.default_rng(seed))
    for prompt, answer in zip(drawn.prompt, drawn.answer, strict=True):
        numbers = [ENTRIES.index(entry) for entry in task.text(prompt)]
        assert task.text(answer) == "".join(ENTRIES[total % modulus] for total in accumulate(numbers))


def test_the_protocol_of_deep_thinking_trains_on_32_bits_and_looks_at_512():
    options = {
        path.removeprefix("task."): value
        for path, value in PrefixSum.presets["deep-thinking"].items()
        if path.startswith("task.")
    }
    task = PrefixSum(**options)
    assert list(task.difficulties("train")) == [32]
    assert list(task.difficulties("ood")) == [512]


def test_places_couple_each_entry_with_its_sum():
    task = PrefixSum()
    mark = len(task.symbols)
    row = [*task.parse("101"), mark, *task.parse("110"), mark + 1]
    assert task.places(np.array([row]), np.array([4]))[0].tolist() == [2, 3, 4, 1, 2, 3, 4, 1]
