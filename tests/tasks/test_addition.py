"""Addition against sums done in the head and Python's integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorexe.tasks.addition import Addition
from factorexe.tasks.digits import GLYPHS


def problems(task, levels, count=20, seed=0):
    """Prompt, chain and answer of ``count`` problems per level, as text."""
    drawn = task.sample(np.repeat(levels, count), np.random.default_rng(seed))
    for row in range(len(drawn)):
        yield tuple(task.text(tokens[row]) for tokens in (drawn.prompt, drawn.chain, drawn.answer))


def number(text, task):
    """What a number written in the task's order is worth."""
    return int(text[::-1] if task.digit_order == "reversed" else text, task.base)


class Fixed(Addition):
    """Adds the operands it is told to."""

    def written(self, first, second):
        digits = [np.array([[GLYPHS.index(glyph) for glyph in reversed(text)]]) for text in (first, second)]
        answer = np.pad(digits[0] + digits[1], ((0, 0), (0, 1)))
        for place in range(answer.shape[1] - 1):
            answer[:, place + 1] += answer[:, place] // self.base
            answer[:, place] %= self.base
        chain = self._worked(digits[0] + digits[1], answer)
        return [self.text(tokens[0]) for tokens in (self._prompt(*digits), chain, self._written(answer))]


def test_carries_of_128_plus_367_are_written_column_by_column():
    assert Fixed().written("128", "367") == ["128+367", ">51>90>40", "5940"]
    assert Fixed(digit_order="plain").written("128", "367") == ["128+367", ">15>09>04", "0495"]


def test_99_plus_99_carries_to_the_end():
    assert Fixed().written("99", "99") == ["99+99", ">81>91", "891"]


def test_in_base_two_3_plus_1_is_100():
    assert Fixed(base=2).written("11", "01") == ["11+01", ">01>01", "001"]


@pytest.mark.parametrize("digits", [3, 40, 2000])
@pytest.mark.parametrize("order", ["reversed", "plain"])
def test_sums_are_those_of_integers(digits, order):
    task = Addition(digits=digits, digit_order=order)
    for prompt, _, answer in problems(task, [digits], count=4):
        first, second = prompt.split("+")
        assert len(first) == len(second) == digits
        assert _integer(answer[::-1] if order == "reversed" else answer) == _integer(first) + _integer(second)


@given(
    base=st.integers(2, 36),
    digits=st.integers(1, 12),
    order=st.sampled_from(["reversed", "plain"]),
    seed=st.integers(0, 99),
)
def test_every_base_and_order_is_exact(base, digits, order, seed):
    task = Addition(base=base, digits=digits, digit_order=order)
    for prompt, chain, answer in problems(task, [digits], count=3, seed=seed):
        first, second = prompt.split("+")
        assert number(answer, task) == int(first, base) + int(second, base)
        carry = 0
        columns = chain.split(">")[1:]
        for column, left, right in zip(columns, reversed(first), reversed(second), strict=True):
            carry += int(left, base) + int(right, base)
            assert number(column, task) == carry
            carry //= base


def test_numbers_have_exactly_the_digits_asked_for():
    for prompt, _, _ in problems(Addition(min_digits=1, digits=4), [1, 2, 3, 4], count=50):
        first, second = prompt.split("+")
        assert len(first) == len(second)
        assert len(first) == 1 or "0" not in (first[0], second[0])


def test_key_is_that_of_the_numbers():
    ten, two = Addition(digits=2), Addition(digits=4, base=2, digit_order="plain")
    assert _key(ten, "12+10") == _key(ten, "10+12") == _key(two, "1100+1010") == _key(two, "1010+1100")
    assert _key(ten, "12+10") != _key(ten, "12+11")


def test_min_digits_above_digits_is_refused_by_name():
    with pytest.raises(ValueError, match=r"min_digits \(4\) must not exceed digits \(3\)"):
        Addition(digits=3, min_digits=4)
    with pytest.raises(ValueError, match=r"ood_digits \(3\) must exceed digits \(3\)"):
        Addition(digits=3, ood_digits=3)


def _key(task, text):
    drawn = task.sample(np.array([1]), np.random.default_rng(0))
    return task.key(_with_prompt(drawn, task.parse(text)[None])).tolist()


def _with_prompt(drawn, prompt):
    import dataclasses

    return dataclasses.replace(drawn, prompt=prompt)


def _integer(text):
    """int(text) without Python's limit on the length of decimal text."""
    value = 0
    for start in range(0, len(text), 18):
        part = text[start : start + 18]
        value = value * 10 ** len(part) + int(part)
    return value


def test_a_typed_sum_may_have_numbers_of_different_lengths():
    task = Addition()
    found = task.complete(task.parse("999+1")[None])
    assert task.text(found.chain[0]) == ">01>01>01"  # 9+1 = 10, 9+0+1 = 10, 9+0+1 = 10
    assert task.text(found.answer[0]) == "0001"
    assert task.text(task.complete(task.parse("1+999")[None]).answer[0]) == "0001"


def test_places_of_column_sums_follow_their_column():
    task = Addition()
    text = "128+367"
    row = np.concatenate([task.parse(text), [13], task.parse(">51>90>40"), [14], task.parse("5940"), [15]])[None]
    assert len(task.symbols) == 13
    assert task.places(row, np.array([len(text) + 1]))[0].tolist() == [
        *(4, 3, 2, 0, 4, 3, 2, 1),  # 128+367, and the mark after it
        *(1, 2, 3, 2, 3, 4, 3, 4, 5),  # each column's sum: its digit in the column's place, the carry in the next
        *(1, 2, 3, 4, 5, 1),  # the answer between its marks
    ]
