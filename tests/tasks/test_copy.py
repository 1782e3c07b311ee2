"""Copies, and what all tasks on one sequence share: lengths, keys, entries, places."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorexe.tasks.copy import Copy
from factorexe.tasks.parity import Parity
from factorexe.tasks.prefix_sum import PrefixSum
from factorexe.tasks.reverse import Reverse
from factorexe.tasks.sort import Sort

SEQUENCES = [Copy, Parity, PrefixSum, Reverse, Sort]


def drawn(task, levels, count=20, seed=0):
    """Prompt, chain and answer of ``count`` problems per level, as text."""
    examples = task.sample(np.repeat(levels, count), np.random.default_rng(seed))
    for row in range(len(examples)):
        yield tuple(task.text(tokens[row]) for tokens in (examples.prompt, examples.chain, examples.answer))


def key(task, prompt):
    return task.key(task.complete(task.parse(prompt)[None])).tolist()


@given(values=st.integers(2, 62), length=st.integers(1, 40), distinct=st.booleans(), seed=st.integers(0, 99))
def test_the_answer_is_the_prompt(values, length, distinct, seed):
    task = Copy(values=62 if distinct else values, length=length, ood_length=length + 1, distinct=distinct)
    for prompt, chain, answer in drawn(task, [1, length], count=3, seed=seed):
        assert answer == prompt
        assert not chain
        assert not distinct or len(set(prompt)) == len(prompt)


def test_every_entry_is_drawn_and_none_more_often():
    for task in (Copy(values=3), Copy(values=16, length=8, distinct=True), Reverse(values=3), Sort(values=3)):
        level = task.length
        prompt = task.sample(np.full(2000, level), np.random.default_rng(0)).prompt
        counts = np.bincount(prompt.ravel(), minlength=task.values + 1)[1:]
        share = counts * task.values / counts.sum()
        assert len(counts) == task.values
        assert abs(share - 1).max() < 0.1


def test_entries_that_repeat_do():
    assert any(len(set(prompt)) < len(prompt) for prompt, _, _ in drawn(Copy(values=62), [16], count=20))


def test_too_few_values_for_distinct_entries_are_refused():
    with pytest.raises(ValueError, match=r"as many values as the longest sequence has \(32, got values 10\)"):
        Copy(distinct=True)
    Copy(distinct=True, values=32)


@pytest.mark.parametrize("cls", SEQUENCES)
def test_lengths_out_of_order_are_refused_by_name(cls):
    with pytest.raises(ValueError, match=r"min_length \(5\) must not exceed length \(4\)"):
        cls(length=4, min_length=5)
    with pytest.raises(ValueError, match=r"ood_length \(4\) must exceed length \(4\)"):
        cls(length=4, ood_length=4)
    with pytest.raises(ValueError, match=r"ood_min_length \(3\) must exceed length \(4\)"):
        cls(length=4, ood_min_length=3)
    with pytest.raises(ValueError, match=r"ood_min_length \(9\) must not exceed ood_length \(8\)"):
        cls(length=4, ood_min_length=9, ood_length=8)


@pytest.mark.parametrize("cls", SEQUENCES)
def test_lengths_of_the_splits(cls):
    assert (cls(length=4).train_difficulty, cls(length=4).ood_difficulty) == ((1, 4), (5, 8))
    far = cls(length=4, min_length=3, ood_min_length=20)
    assert (far.train_difficulty, far.ood_difficulty) == ((3, 4), (20, 20))
    assert cls(length=1, ood_length=9).ood_difficulty == (2, 9)


@pytest.mark.parametrize("cls", SEQUENCES)
def test_an_empty_prompt_is_refused(cls):
    with pytest.raises(ValueError, match="expected a sequence such as 01"):
        cls().complete(np.zeros((1, 3), dtype=np.int64))


@pytest.mark.parametrize("cls", SEQUENCES)
def test_typed_prompts_may_be_longer_than_any_other(cls):
    found = cls(length=2).complete(np.ones((1, 50), dtype=np.int64))
    assert found.difficulty.tolist() == [50]
    assert set(found.answer[0].tolist()) == {1}


@pytest.mark.parametrize("cls", [Copy, Reverse, PrefixSum, Parity])
def test_keys_tell_sequences_apart_whatever_the_lengths_of_a_task(cls):
    short, long = cls(length=4), cls(length=300)
    assert key(short, "011") == key(long, "011")
    texts = ["0", "00", "1", "10", "01", "011", "0110"]
    assert len({str(key(short, text)) for text in texts}) == len(texts)


def test_keys_do_not_depend_on_the_alphabet():
    assert key(Copy(values=2), "0110") == key(Copy(values=62), "0110")


@given(base=st.integers(2, 62), seed=st.integers(0, 99))
def test_keys_are_exact_for_nine_entries(base, seed):
    task = Copy(values=base, length=9)
    examples = task.sample(np.full(300, 9), np.random.default_rng(seed))
    prompts, keys = ({tuple(row) for row in rows.tolist()} for rows in (examples.prompt, task.key(examples)))
    assert len(prompts) == len(keys)


def test_right_entries_are_counted_at_their_places():
    task = Copy()
    example = task.complete(task.parse("3141")[None])
    for answer, share in [("3141", 1.0), ("3111", 0.75), ("31", 0.5), ("0314", 0.0), ("31415", 1.0), ("", 0.0)]:
        assert task.qualities(example, task.parse(answer)[None])["right_entries"].tolist() == [share]
        assert task.solved(example, task.parse(answer)[None]).tolist() == [answer == "3141"]


def test_right_entries_leave_padding_out():
    task = Copy()
    examples = task.complete(np.array([task.parse("3141"), [*task.parse("31"), 0, 0]]))
    answer = np.array([[*task.parse("31"), 0, 0], [*task.parse("31"), 0, 0]])
    assert task.qualities(examples, answer)["right_entries"].tolist() == [0.5, 1.0]


def test_places_couple_each_entry_with_its_copy():
    task = Copy()
    mark = len(task.symbols)
    row = [*task.parse("3141"), mark, *task.parse("3141"), mark + 1]
    assert task.places(np.array([[*row, 0]]), np.array([5]))[0].tolist() == [2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 0]
    runaway = [*task.parse("31"), mark, *task.parse("3131")]
    assert task.places(np.array([runaway]), np.array([3]))[0].tolist() == [2, 3, 1, 2, 3, 3, 3]
