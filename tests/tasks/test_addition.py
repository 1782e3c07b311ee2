"""Addition against sums done in the head and Python's integers."""

import re

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


def worked(task, prompt):
    """How the task writes one sum: prompt, chain and answer."""
    return list(task.texts(task.complete(task.parse(prompt)[None]), 0))


def test_carries_of_128_plus_367_are_written_column_by_column():
    assert worked(Addition(), "128+367") == ["128+367", ">51>90>40", "5940"]
    assert worked(Addition(digit_order="plain"), "128+367") == ["128+367", ">15>09>04", "0495"]


def test_99_plus_99_carries_to_the_end():
    assert worked(Addition(), "99+99") == ["99+99", ">81>91", "891"]


def test_in_base_two_3_plus_1_is_100():
    assert worked(Addition(base=2), "11+01") == ["11+01", ">01>01", "001"]


# -- the four levels of Lee et al. (2023), on their example


@pytest.mark.parametrize(
    ("preset", "objective", "chain", "answer"),
    [
        ("plain", "answer", ">15>9>4", "495"),
        ("reverse", "answer", ">51>9>4", "594"),
        ("simplified", "chain", ">15>9>4", "495"),
        (
            "detailed",
            "chain",
            "[1,2,8]+[3,6,7],A=[],C=0,8+7+0=15,A>5,C>1;"
            "[1,2]+[3,6],A=[5],C=1,2+6+1=9,A>9,C>0;"
            "[1]+[3],A=[9,5],C=0,1+3+0=4,A>4,C>0;"
            "[]+[],A=[4,9,5],C=0.",
            "495",
        ),
    ],
)
def test_each_level_writes_128_plus_367_in_its_way(preset, objective, chain, answer):
    run = Addition.presets[preset]
    assert run["objective"] == objective
    task = Addition(**{path.removeprefix("task."): option for path, option in run.items() if path.startswith("task.")})
    assert worked(task, "128+367") == ["128+367", chain, answer]


def test_a_detailed_scratchpad_follows_the_order_and_the_padding_of_digits():
    task = Addition(scratchpad="detailed")
    assert worked(task, "47+6") == [
        "47+6",
        "[4,7]+[6],A=[],C=0,7+6+0=31,A>3,C>1;[4]+[],A=[3],C=1,4+0+1=50,A>5,C>0;[]+[],A=[3,5],C=0.",
        "350",
    ]
    assert task.complete(task.parse("1+1")[None]).chain_step[0].tolist() == [0] * 34 + [1] * 16


def test_without_padding_no_number_has_a_zero_in_front():
    assert worked(Addition(padding="none"), "500+500") == ["500+500", ">0>0>01", "0001"]  # 1000 reversed
    assert worked(Addition(padding="none", digit_order="plain"), "5+004") == ["5+004", ">9>0>0", "9"]
    assert worked(Addition(padding="none"), "0+0") == ["0+0", ">0", "0"]


def test_operands_are_padded_to_equal_length():
    assert worked(Addition(padding="all"), "7+123") == ["007+123", ">01>30>10", "0310"]
    assert worked(Addition(padding="all"), "0007+12") == ["07+12", ">90>10", "910"]


# -- index hints


def test_hints_are_equal_for_equal_significance_and_rise_from_ones():
    task = Addition(index_hints=True)
    assert len(task.symbols) == len(Addition().symbols) + 10  # twice the five digits of a sum of four
    assert worked(task, "D1C2B8+D3C6B7") == ["D1C2B8+D3C6B7", ">B5C1>C9D0>D4E0", "B5C9D4E0"]
    plain = Addition(index_hints=True, digit_order="plain", padding="none")
    assert worked(plain, "B4A2+B3A9") == ["B4A2+B3A9", ">B1A1>B8", "B8A1"]


def test_every_problem_starts_from_a_hint_of_its_own_and_training_sees_all_that_ood_uses():
    task = Addition(index_hints=True)
    drawn = task.sample(np.full(2000, 3), np.random.default_rng(0))
    hints = {letter for row in range(2000) for letter in task.text(drawn.prompt[row]) if letter.isalpha()}
    starts = {task.text(row)[-2] for row in drawn.prompt}
    assert starts == set("ABCDEFG")  # four digits of a sum, the last hint being J
    assert hints == set("ABCDEFGHI")
    answers = {letter for row in range(2000) for letter in task.text(drawn.answer[row]) if letter.isalpha()}
    assert answers == set("ABCDEFGHIJ")


def test_the_key_ignores_hints_padding_and_order_of_operands():
    hinted, padded = Addition(index_hints=True), Addition(padding="all")
    one = hinted.complete(hinted.parse("B1A2+A5")[None])
    other = hinted.complete(hinted.parse("D5+E1D2")[None])
    third = padded.complete(padded.parse("12+5")[None])
    assert hinted.key(one).tolist() == hinted.key(other).tolist() == padded.key(third).tolist()


def test_many_hints_are_words():
    task = Addition(index_hints=True, hint_symbols=30)
    assert worked(task, "h8 4 h7 2 + h8 3 h7 9")[2] == "h7 1 h8 8 h9 0"


@pytest.mark.parametrize("text", ["12+34", "B1A2+C3B4", "A1B2+B3A4", "BA1+BA2", "B1A2+B34"])
def test_a_typed_problem_has_hints_as_a_drawn_one_has(text):
    task = Addition(index_hints=True)
    with pytest.raises(ValueError, match=r"expected (hints as in|two numbers such as) B1A0\+B1A1"):
        task.complete(task.parse(text)[None])


def test_a_typed_problem_needs_hints_enough():
    task = Addition(index_hints=True)
    with pytest.raises(ValueError, match=r"'J1\+J2' needs 2 hints from its first on; there are 10"):
        task.complete(task.parse("J1+J2")[None])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hint_symbols": 9}, "hint_symbols has no effect without index_hints"),
        ({"index_hints": True, "hint_symbols": 4}, r"hint_symbols \(4\) must be at least 5"),
        ({"index_hints": True, "scratchpad": "detailed"}, "index_hints go with scratchpad"),
    ],
)
def test_hints_that_cannot_be_written_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        Addition(**options)


# -- against Python's integers


@pytest.mark.parametrize("digits", [3, 40, 2000])
@pytest.mark.parametrize("order", ["reversed", "plain"])
def test_sums_are_those_of_integers(digits, order):
    task = Addition(digits=digits, digit_order=order)
    for prompt, _, answer in problems(task, [digits], count=4):
        first, second = prompt.split("+")
        assert len(first) == len(second) == digits
        assert _integer(answer[::-1] if order == "reversed" else answer) == _integer(first) + _integer(second)


OPTIONS = {
    "base": st.integers(2, 36),
    "digits": st.integers(1, 9),
    "digit_order": st.sampled_from(["reversed", "plain"]),
    "padding": st.sampled_from(["none", "results", "all"]),
}


@given(**OPTIONS, index_hints=st.booleans(), seed=st.integers(0, 99))
def test_every_base_order_and_padding_is_exact(seed, **options):
    task = Addition(**options)
    base, padded = task.base, task.padding != "none"
    for prompt, chain, answer in map(without_hints, problems(task, [task.digits], count=3, seed=seed)):
        first, second = prompt.split("+")
        assert number(answer, task) == int(first, base) + int(second, base)
        assert not padded or len(answer) == task.digits + 1
        carry = 0
        columns = chain.split(">")[1:]
        for column, left, right in zip(columns, reversed(first), reversed(second), strict=True):
            carry += int(left, base) + int(right, base)
            assert number(column, task) == carry
            assert len(column) == (2 if padded or carry >= base else 1)
            carry //= base


@given(**OPTIONS, seed=st.integers(0, 99))
def test_every_line_of_a_detailed_scratchpad_is_right(seed, **options):
    task = Addition(scratchpad="detailed", **options)
    value = {glyph: place for place, glyph in enumerate(GLYPHS)}
    for prompt, chain, answer in problems(task, [task.digits], count=3, seed=seed):
        first, second = ([value[glyph] for glyph in text] for text in prompt.split("+"))
        found, carry = [], 0
        for line in chain.split(";")[:-1]:
            total = first[-1] + second[-1] + carry
            begin = f"{listed(first)}+{listed(second)},A={listed(found)},C={carry},"
            assert line.startswith(begin)
            terms, written, digit, gone_on = re.fullmatch(r"(.*)=(.*),A>(.),C>(.)", line.removeprefix(begin)).groups()
            assert terms == f"{GLYPHS[first[-1]]}+{GLYPHS[second[-1]]}+{carry}"
            assert number(written, task) == total
            carry = total // task.base
            assert (digit, gone_on) == (GLYPHS[total % task.base], str(carry))
            found = [total % task.base, *found] if task.digit_order == "plain" else [*found, total % task.base]
            first, second = first[:-1], second[:-1]
        assert chain.endswith(f";[]+[],A={listed(found)},C={carry}.")
        assert number(answer, task) == sum(int(text, task.base) for text in prompt.split("+"))


def listed(digits):
    return "[" + ",".join(GLYPHS[digit] for digit in digits) + "]"


def without_hints(texts):
    """Prompt, chain and answer without hints, once it is sure that every digit has its own."""
    hint = re.compile(r"h\d+ ") if " " in texts[0] else re.compile("[A-Z]")
    return tuple(hint.sub("", text).replace(" ", "") for text in texts)


@given(**OPTIONS, seed=st.integers(0, 99))
def test_every_digit_has_the_hint_of_its_significance(seed, **options):
    task = Addition(index_hints=True, hint_symbols=60, **options)
    ones = set()
    for prompt, chain, answer in problems(task, [task.digits], count=3, seed=seed):
        start = int(prompt.split()[-2][1:])
        ones.add(start)
        for text in prompt.split("+"):
            assert hints_of(text) == list(range(start + task.digits - 1, start - 1, -1))
        columns = [(place, text) for place, text in enumerate(chain.split(">")[1:])]
        for shift, text in [*columns, (0, answer)]:
            hints = hints_of(text)
            rising = hints if task.digit_order == "reversed" else hints[::-1]
            assert rising == list(range(start + shift, start + shift + len(hints)))


def hints_of(text):
    words = text.split()
    assert len(words) % 2 == 0
    assert all(word.startswith("h") and len(word) > 1 for word in words[::2])
    return [int(word[1:]) for word in words[::2]]


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


def test_a_detailed_scratchpad_has_no_places_and_the_answer_has():
    task = Addition(scratchpad="detailed", digits=1)
    found = task.complete(task.parse("8+7")[None])
    chain, mark = found.chain[0], len(task.symbols)
    row = np.concatenate([found.prompt[0], [mark], chain, [mark + 1], found.answer[0], [mark + 2]])[None]
    assert task.places(row, np.array([4]))[0].tolist() == [2, 0, 2, 1, *[0] * len(chain), 1, 2, 3, 1]


def test_places_are_told_where_a_number_shows_its_width_from_the_start():
    assert not Addition(index_hints=True).tells_places
    assert not Addition(padding="none", digit_order="plain").tells_places
    task = Addition(padding="none")
    assert task.tells_places
    row = np.concatenate([task.parse("5+4"), [13], task.parse(">9"), [14], task.parse("9"), [15]])[None]
    assert task.places(row, np.array([4]))[0].tolist() == [2, 0, 2, 1, 1, 2, 1, 2, 1]
