"""Multiplication against products done in the head and Python's integers."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorexe.tasks.digits import carried, draw, residues, times
from factorexe.tasks.multiplication import Multiplication


def problems(task, count=20, seed=0):
    """Prompt, chain and answer of ``count`` training problems, as text."""
    drawn = task.sample(np.full(count, task.digits), np.random.default_rng(seed))
    for row in range(len(drawn)):
        yield tuple(task.text(tokens[row]) for tokens in (drawn.prompt, drawn.chain, drawn.answer))


def digits_of(value, base, width):
    """Least significant first (1, width)."""
    return np.array([[value // base**place % base for place in range(width)]])


def integer(digits, base):
    value = 0
    for digit in reversed(digits):
        value = value * base + int(digit)
    return value


def worked(task, first, second):
    """How the task writes one product: chain and answer."""
    return task.texts(task.complete(task.parse(f"{first}*{second}")[None]), 0)[1:]


def test_123_times_456_by_long_multiplication():
    assert worked(Multiplication(), "123", "456") == ("+8370+5160>88860+2940>880650", "880650")
    assert worked(Multiplication(digit_order="plain"), "123", "456") == ("+0738+0615>06888+0492>056088", "056088")


def test_12_times_3_is_one_partial_product():
    assert worked(Multiplication(digits=2, second_digits=1), "12", "3") == ("+630", "630")


def test_99_times_99_carries_everywhere():
    assert worked(Multiplication(digits=2, digit_order="plain"), "99", "99") == ("+891+891>9801", "9801")


def test_in_base_16_f_times_f_is_e1():
    assert worked(Multiplication(digits=1, base=16, digit_order="plain"), "f", "f") == ("+e1", "e1")


def test_steps_of_a_chain_are_the_digits_of_the_second_number():
    drawn = Multiplication(digits=2).sample(np.array([2]), np.random.default_rng(0))
    assert drawn.chain_step.tolist() == [[0] * 4 + [1] * 9]  # +ppp, then +ppp>ssss s


@pytest.mark.parametrize("digits", [3, 40, 2000])
def test_products_are_those_of_integers(digits):
    rng = np.random.default_rng(digits)
    first, second = draw(2, digits, 10, rng), draw(2, digits, 10, rng)
    for a, b, product in zip(first, second, times(first, second, 10), strict=True):
        assert integer(product, 10) == integer(a, 10) * integer(b, 10)


@pytest.mark.parametrize("order", ["reversed", "plain"])
def test_a_product_of_2000_digits_is_written_exactly(order):
    task = Multiplication(digits=2000, digit_order=order)
    drawn = task.sample(np.array([2000]), np.random.default_rng(0), chain=False)
    cut = int((drawn.prompt[0] == task.symbols.index("*")).argmax())
    first, second = drawn.prompt[0, :cut][::-1] - 1, drawn.prompt[0, cut + 1 :][::-1] - 1
    answer = drawn.answer[0] if order == "reversed" else drawn.answer[0, ::-1]
    assert integer(answer - 1, 10) == integer(first, 10) * integer(second, 10)


OPTIONS = {
    "base": st.integers(2, 36),
    "digits": st.integers(1, 6),
    "second_digits": st.integers(1, 6) | st.none(),
    "digit_order": st.sampled_from(["reversed", "plain"]),
    "padding": st.sampled_from(["none", "results", "all"]),
}


@given(**OPTIONS, index_hints=st.booleans(), seed=st.integers(0, 99))
def test_every_line_of_the_chain_is_right(seed, **options):
    task = Multiplication(**options)
    base, padded = task.base, task.padding != "none"
    for prompt, chain, answer in map(without_hints, problems(task, count=3, seed=seed)):
        first, second = prompt.split("*")
        wide, high = len(first), len(second)
        assert (wide, high) == sizes(task)
        first, second, total = int(first, base), int(second, base), 0
        lines = chain.removeprefix("+").split("+")
        assert len(lines) == high
        for place, line in enumerate(lines):
            numbers = line.split(">")
            partial, *running = [value(text, task) for text in numbers]
            assert partial == first * (second // base**place % base)
            total += partial * base**place
            assert running == ([total] if place else [])
            assert [len(text) for text in numbers] == (
                [wide + 1, wide + 1 + place][: len(numbers)]
                if padded
                else [digits_in(n, base) for n in (partial, total)][: len(numbers)]
            )
        assert total == first * second == value(answer, task)
        assert len(answer) == (wide + high if padded else digits_in(total, base))


@given(**OPTIONS, seed=st.integers(0, 99))
def test_every_line_of_a_detailed_scratchpad_is_right(seed, **options):
    task = Multiplication(scratchpad="detailed", **options)
    base = task.base
    for prompt, chain, answer in problems(task, count=3, seed=seed):
        first, second = prompt.split("*")
        total = 0
        assert chain[-1] == "."
        for place, line in enumerate(chain[:-1].split(";")):
            form = r"\[(.*)\]\*(.),A=\[(.*)\],K=(.*),B=\[(.*)\],C=(.*)\+(.*)=(.*)"
            factor, digit, *numbers = re.fullmatch(form, line).groups()
            assert factor == ",".join(first)
            assert digit == second[::-1][place]
            partial = int(first, base) * int(digit, base)
            shifted = partial * base**place
            expected = [partial, base**place, shifted, total, shifted, total + shifted]
            assert [value(text.replace(",", ""), task) for text in numbers] == expected
            if task.padding == "none":
                assert [len(text.replace(",", "")) for text in numbers] == [digits_in(n, base) for n in expected]
            total += shifted
        assert total == int(first, base) * int(second, base) == value(answer, task)


@given(**OPTIONS, seed=st.integers(0, 99))
def test_every_digit_has_the_hint_of_its_significance(seed, **options):
    task = Multiplication(index_hints=True, hint_symbols=90, **options)
    for prompt, chain, answer in problems(task, count=3, seed=seed):
        start = int(prompt.split()[-2][1:])
        for text in prompt.split("*"):
            assert hints_of(text)[::-1] == list(range(start, start + len(hints_of(text))))
        numbers = [(0, answer)]
        for place, line in enumerate(chain.removeprefix("+").split("+")):
            partial, *running = line.split(">")
            numbers += [(place, partial), *((0, text) for text in running)]
        for shift, text in numbers:
            hints = hints_of(text)
            rising = hints if task.digit_order == "reversed" else hints[::-1]
            assert rising == list(range(start + shift, start + shift + len(hints)))


def value(text, task):
    return int(text[::-1] if task.digit_order == "reversed" else text, task.base)


def digits_in(number, base):
    return 1 if number < base else 1 + digits_in(number // base, base)


def sizes(task):
    """Digits that the operands are written with."""
    first, second = task.digits, task.second_digits or task.digits
    return (max(first, second),) * 2 if task.padding == "all" else (first, second)


def without_hints(texts):
    hint = re.compile(r"h\d+ ") if " " in texts[0] else re.compile("[A-Z]")
    return tuple(hint.sub("", text).replace(" ", "") for text in texts)


def hints_of(text):
    words = text.split()
    assert len(words) % 2 == 0
    return [int(word.removeprefix("h")) for word in words[::2]]


def test_128_times_367_in_detail_is_that_of_lee_et_al():
    task = Multiplication(scratchpad="detailed", digit_order="plain", padding="none")
    assert worked(task, "128", "367") == (
        "[1,2,8]*7,A=[8,9,6],K=1,B=[8,9,6],C=0+896=896;"
        "[1,2,8]*6,A=[7,6,8],K=10,B=[7,6,8,0],C=896+7680=8576;"
        "[1,2,8]*3,A=[3,8,4],K=100,B=[3,8,4,0,0],C=8576+38400=46976.",
        "46976",
    )
    # from the prompts of their repository, without its blanks: 2*20
    assert worked(task, "2", "20") == ("[2]*0,A=[0],K=1,B=[0],C=0+0=0;[2]*2,A=[4],K=10,B=[4,0],C=0+40=40.", "40")


def test_a_detailed_scratchpad_reverses_and_pads_what_is_computed():
    assert worked(Multiplication(scratchpad="detailed"), "12", "30") == (
        "[1,2]*0,A=[0,0,0],K=1,B=[0,0,0],C=0+000=000;[1,2]*3,A=[6,3,0],K=01,B=[0,6,3,0],C=000+0630=0630.",
        "0630",
    )


def test_padding_is_none_of_results_or_of_operands_too():
    assert worked(Multiplication(padding="none"), "12", "30") == ("+0+63>063", "063")  # 360 reversed
    task = Multiplication(padding="all")
    assert task.texts(task.complete(task.parse("123*4")[None]), 0) == (
        "123*004",
        "+2940+0000>29400+0000>294000",
        "294000",
    )
    assert task.complete(task.parse("4*123")[None]).difficulty.tolist() == [1]


def test_a_padded_prompt_counts_the_digits_of_its_first_number():
    drawn = Multiplication(digits=1, second_digits=3, padding="all").sample(np.array([1]), np.random.default_rng(0))
    assert drawn.difficulty.tolist() == [1]
    assert drawn.prompt.shape == (1, 7)


def test_hints_of_a_partial_product_begin_at_its_place():
    task = Multiplication(index_hints=True)
    assert task.texts(task.complete(task.parse("C1B2*C3B4")[None]), 0)[1:] == (
        "+B8C4D0+C6D3E0>B8C0D4E0",
        "B8C0D4E0",
    )


def test_columns_are_carried_as_by_hand():
    assert carried(np.array([[18, 18, 0]]), 10).tolist() == [[8, 9, 1]]  # 18 + 180 = 198


@given(value=st.integers(0, 10**30), bases=st.tuples(st.integers(2, 36), st.integers(2, 36)))
def test_residues_are_the_same_in_every_base(value, bases):
    one, other = (residues(digits_of(value, base, 101), base) for base in bases)
    assert one.tolist() == other.tolist()


def test_key_is_independent_of_base_order_of_digits_and_order_of_operands():
    ten, two = Multiplication(digits=2), Multiplication(digits=4, base=2, digit_order="plain")
    assert key(ten, "12*10") == key(ten, "10*12") == key(two, "1100*1010") == key(two, "1010*1100")
    assert key(ten, "12*10") != key(ten, "15*08")  # 120 both, and still two problems


def test_key_of_a_long_number_ignores_only_order():
    task = Multiplication(digits=40, second_digits=3)
    long = "7" * 40
    swapped = Multiplication(digits=3, second_digits=40)
    assert key(task, f"{long}*123") == key(swapped, f"123*{long}")
    assert key(task, f"{long}*123") != key(task, f"{long[:-1]}8*123")


def test_operands_are_drawn_uniformly_among_numbers_of_that_many_digits():
    drawn = Multiplication(digits=1, base=4).sample(np.full(16_000, 1), np.random.default_rng(0))
    counts = np.bincount((drawn.prompt[:, 0] - 1) * 4 + drawn.prompt[:, 2] - 1, minlength=16)
    assert abs(counts - 1000).max() < 5 * np.sqrt(1000)


def key(task, text):
    drawn = task.sample(np.array([1]), np.random.default_rng(0))
    return task.key(dataclasses.replace(drawn, prompt=task.parse(text)[None])).tolist()


# -- typed problems, and the place of every token


def test_typed_problems_of_any_shape_are_worked_out_in_order():
    task = Multiplication()
    typed = [task.parse(text) for text in ("123*456", "7*8", "12*345", "0099*1")]
    width = max(map(len, typed))
    found = task.complete(np.array([[*row, *[0] * (width - len(row))] for row in typed]))
    written = [
        tuple(task.text(tokens[row]) for tokens in (found.prompt, found.chain, found.answer)) for row in range(4)
    ]
    assert written == [
        ("123*456", "+8370+5160>88860+2940>880650", "880650"),
        ("7*8", "+65", "65"),
        ("12*345", "+060+840>0450+630>04140", "04140"),
        ("0099*1", "+99000", "99000"),
    ]
    assert found.difficulty.tolist() == [3, 1, 2, 4]


@pytest.mark.parametrize("text", ["12", "*", "12*", "*3", "1*2*3", "1+2", "1*2>3"])
def test_what_is_no_product_is_refused(text):
    with pytest.raises(ValueError, match=r"expected two numbers such as 12\*34"):
        Multiplication().complete(Multiplication().parse(text)[None])


CHAIN, ANSWER, END = 14, 15, 16  # a layout's marks, after the 14 symbols of base 10


def placed(task, text):
    """The places of the tokens in ``text``, where ``c``, ``a`` and ``e`` are the layout's marks."""
    marks = {"c": CHAIN, "a": ANSWER, "e": END}
    row = np.array([[marks.get(letter) or int(task.parse(letter)[0]) for letter in text]])
    given = np.array([min(text.index(mark) for mark in "ca" if mark in text) + 1])
    return task.places(row, given)[0].tolist()


def test_places_follow_significance_in_prompt_partial_products_sums_and_answer():
    assert len(Multiplication().symbols) == CHAIN
    # ones are 2, tens 3; the second partial product is shifted by one; a mark stands before its number
    assert placed(Multiplication(digits=2), "12*34c+840+630>8040a8040e") == [
        *(3, 2, 0, 3, 2, 1),  # 12*34c
        *(1, 2, 3, 4),  # +840    12 x 4 =  48
        *(2, 3, 4, 5),  # +630    12 x 3 =  36, in the place of tens
        *(1, 2, 3, 4, 5),  # >8040
        *(1, 2, 3, 4, 5, 1),  # a8040e
    ]


def test_places_in_plain_order_count_down_to_the_ones():
    assert placed(Multiplication(digits=2, digit_order="plain"), "12*34c+048+036>0408a0408") == [
        *(3, 2, 0, 3, 2),
        *(6,),  # c would open a number as wide as the answer
        *(5, 4, 3, 2),  # +048
        *(6, 5, 4, 3),  # +036, in the place of tens
        *(6, 5, 4, 3, 2),  # >0408
        *(6, 5, 4, 3, 2),  # a0408
    ]


def test_a_number_that_never_ends_stays_within_the_places_of_its_width():
    assert placed(Multiplication(digits=2), "12*34a123456789")[5:] == [1, 2, 3, 4, 5, 5, 5, 5, 5, 5]
    assert placed(Multiplication(digits=2, digit_order="plain"), "12*34a123456789")[5:] == [
        6,
        5,
        4,
        3,
        2,
        2,
        2,
        2,
        2,
        2,
    ]
