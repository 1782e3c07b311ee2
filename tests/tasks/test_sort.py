"""Insertion sort against Python's own sort."""

from bisect import insort

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorexe.tasks.sequence import ENTRIES
from factorexe.tasks.sort import Sort


def solved(task, *prompts):
    width = max(map(len, prompts))
    rows = np.array([[*task.parse(prompt), *[0] * (width - len(prompt))] for prompt in prompts])
    return task.complete(rows)


def test_3142_is_sorted_one_number_after_the_other():
    task = Sort()
    found = solved(task, "3142", "20")
    assert [task.text(row) for row in found.chain] == [">3>13>134>1234", ">2>02"]
    assert [task.text(row) for row in found.answer] == ["1234", "02"]
    assert found.chain_step[0].tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3]


@given(values=st.integers(2, 62), length=st.integers(1, 12), seed=st.integers(0, 99))
def test_every_step_is_an_insertion(values, length, seed):
    task = Sort(values=values, length=length)
    drawn = task.sample(np.array([length, 1, length]), np.random.default_rng(seed))
    for row in range(len(drawn)):
        prompt, chain, answer = (task.text(tokens[row]) for tokens in (drawn.prompt, drawn.chain, drawn.answer))
        assert [ENTRIES.index(entry) for entry in answer] == sorted(ENTRIES.index(entry) for entry in prompt)
        read, steps = [], []
        for entry in prompt:
            insort(read, ENTRIES.index(entry))
            steps.append("".join(ENTRIES[number] for number in read))
        assert chain == "".join(f">{step}" for step in steps)
        assert task.widths(len(prompt)) == (len(prompt), len(chain), len(answer))


def test_the_order_of_the_numbers_makes_no_other_problem():
    task = Sort()
    one, same, other = task.key(solved(task, "312", "231", "311")).tolist()
    assert one == same != other


def test_a_mark_among_the_numbers_is_refused():
    with pytest.raises(ValueError, match="expected numbers alone, such as 3142"):
        solved(Sort(), "3>1")
