"""Reversals against Python's own."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from factorexe.tasks.reverse import Reverse


def test_3141_backwards_is_1413():
    task = Reverse()
    found = task.complete(np.array([task.parse("3141"), [*task.parse("12"), 0, 0]]))
    assert [task.text(row) for row in found.answer] == ["1413", "21"]
    assert found.chain.shape == (2, 0)


@given(values=st.integers(2, 62), length=st.integers(1, 40), seed=st.integers(0, 99))
def test_answers_are_prompts_backwards(values, length, seed):
    task = Reverse(values=values, length=length)
    drawn = task.sample(np.array([length, 1, (length + 1) // 2]), np.random.default_rng(seed))
    for prompt, answer in zip(drawn.prompt, drawn.answer, strict=True):
        assert task.text(answer) == task.text(prompt)[::-1]


def test_places_couple_each_entry_with_its_reversal():
    task = Reverse()
    mark = len(task.symbols)
    row = [*task.parse("314"), mark, *task.parse("413"), mark + 1]
    assert task.places(np.array([row]), np.array([4]))[0].tolist() == [4, 3, 2, 1, 2, 3, 4, 1]
