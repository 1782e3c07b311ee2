"""How factorial, fibonacci and triangular write numbers: zeros in front, index hints and places."""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import in_base

from factorexe.splits import Splits
from factorexe.tasks.base import SPLITS
from factorexe.tasks.factorial import Factorial
from factorexe.tasks.fibonacci import Fibonacci
from factorexe.tasks.triangular import Triangular

TASKS = (Factorial, Fibonacci, Triangular)


def worked(task, prompt):
    """How the task writes one problem: prompt, chain and answer."""
    return list(task.texts(task.complete(task.parse(prompt)[None]), 0))


def lines(cls, n):
    """What the chain holds, line by line, and the answer, as Python's integers."""
    if cls is Fibonacci:
        pairs = [(1, 1)]
        for _ in range(n - 1):
            pairs.append((pairs[-1][1], sum(pairs[-1])))
        return pairs, pairs[-1][0]
    together = math.prod if cls is Factorial else sum
    return [(together(range(n - step, n + 1)),) for step in range(n)], together(range(1, n + 1))


# -- zeros in front


def test_zeros_bring_every_number_to_the_length_of_the_longest():
    assert worked(Factorial(padding="results"), "5") == ["5", ">500>020>060>021>021", "021"]
    plain = {"padding": "results", "digit_order": "plain"}
    assert worked(Factorial(**plain), "5") == ["5", ">005>020>060>120>120", "120"]
    assert worked(Triangular(**plain), "4") == ["4", ">04>07>09>10", "10"]
    assert worked(Factorial(padding="results"), "3") == ["3", ">3>6>6", "6"]  # one digit is enough


def test_the_longest_number_of_a_chain_of_pairs_is_the_last_one_not_the_answer():
    task = Fibonacci(padding="results", digit_order="plain")
    assert worked(task, "6") == ["6", ">01,01>01,02>02,03>03,05>05,08>08,13", "08"]


def test_remainders_are_as_long_as_the_largest_can_be():
    task = Factorial(form="modulus", modulus=101, padding="results", digit_order="plain")
    assert worked(task, "4") == ["4", ">004>012>024>024", "024"]
    assert worked(task.model_copy(update={"modulus": 100}), "4") == ["4", ">04>12>24>24", "24"]  # up to 99
    assert worked(task.model_copy(update={"modulus": 5}), "4") == ["4", ">4>2>4>4", "4"]


# -- index hints


def test_hints_are_equal_for_equal_significance_and_rise_from_ones():
    task = Factorial(index_hints=True, hint_symbols=26)
    assert worked(task, "B4") == ["B4", ">B4>B2C1>B4C2>B4C2", "B4C2"]
    assert worked(task, "D1C0")[1].startswith(">C0D1>C0D9>C0D2E7>")  # 10, 90, 720
    plain = Triangular(index_hints=True, hint_symbols=26, digit_order="plain", padding="results")
    assert worked(plain, "Z2") == ["Z2", ">Z2>Z3", "Z3"]
    assert worked(plain, "A4") == ["A4", ">B0A4>B0A7>B0A9>B1A0", "B1A0"]
    remainders = Fibonacci(index_hints=True, form="modulus", modulus=7)
    assert worked(remainders, "A5") == ["A5", ">A1,A1>A1,A2>A2,A3>A3,A5>A5,A1", "A5"]


def test_the_hints_of_the_longest_factorial_are_words():
    task = Factorial(index_hints=True)  # 24! has 24 digits
    assert task.symbols == (*Factorial().symbols, *(f"h{number}" for number in range(48)))
    assert worked(task, "h30 3") == ["h30 3", "> h30 3 > h30 6 > h30 6", "h30 6"]


def test_every_problem_starts_from_a_hint_of_its_own_and_training_sees_all_that_ood_uses():
    task = Triangular(index_hints=True)  # 300, the sum up to 24, has three digits; there are six hints
    drawn = task.sample(np.repeat([3, 24], 500), np.random.default_rng(0))
    starts = {n: {task.text(row)[-2] for row in drawn.prompt[drawn.difficulty == n]} for n in (3, 24)}
    assert starts == {3: set("ABCDEF"), 24: set("ABCD")}
    train = Splits(task).train_batch(0, 2000)
    hints = {letter for row in train.answer for letter in task.text(row) if letter.isalpha()}
    assert hints == set("ABCDEF")


@pytest.mark.parametrize("cls", TASKS)
def test_hints_change_neither_problems_nor_splits(cls):
    hinted, bare = cls(index_hints=True, base=4), cls(base=7)
    assert hinted.table() is not None
    for task in (hinted, bare):
        splits = Splits(task, train_size=1000, eval_size=50)
        splits.check()
        held = {split: splits.evaluation(split) for split in ("seen", *SPLITS[1:])}
        assert {split: task.key(found)[:, 0].tolist() for split, found in held.items()} == {
            "seen": [*range(1, 10), *range(15, 20)],
            "val": [10, 11, 12, 13, 14],
            "ood": [20, 21, 22, 23, 24],
            **{"guide": [], "test": [], "ood_test": []},
        }


def test_the_table_lists_every_problem_from_every_hint_on():
    task = Triangular(index_hints=True)
    listed = [task.text(row) for row in task.table().prompt]
    assert len(set(listed)) == len(listed)
    assert [text for text in listed if re.sub("[A-Z]", "", text) in "34"] == [
        *("A3", "B3", "C3", "D3", "E3", "F3"),
        *("A4", "B4", "C4", "D4", "E4"),  # 10 takes two
    ]


def test_problems_with_different_hints_are_worked_out_in_one_batch():
    task = Factorial(index_hints=True, hint_symbols=26)
    prompts = ["C4", "D1C0", "A4"]
    batch = np.stack([np.pad(task.parse(text), (0, 4 - 2 * (len(text) // 2))) for text in prompts])
    found = task.complete(batch)
    assert [list(task.texts(found, row)) for row in range(3)] == [worked(task, text) for text in prompts]


@pytest.mark.parametrize("text", ["12", "A1B2", "BA12", "B1A2C", "C1A2", "B12"])
def test_a_typed_number_has_hints_as_a_drawn_one_has(text):
    task = Triangular(index_hints=True)
    with pytest.raises(ValueError, match=rf"expected hints as in B1A0 \(got '{text}'\)"):
        task.complete(task.parse(text)[None])


@pytest.mark.parametrize("text", ["B0A5", "A0", "A>", "A", ">"])
def test_a_typed_number_with_hints_is_one(text):
    task = Triangular(index_hints=True)
    with pytest.raises(ValueError, match=rf"expected one number from 1 to 4096 in base 10 \(got '{text}'\)"):
        task.complete(task.parse(text)[None])


def test_a_typed_number_needs_hints_enough():
    task = Triangular(index_hints=True)
    with pytest.raises(ValueError, match=r"'F4' needs 2 hints from its first on; there are 6"):
        task.complete(task.parse("F4")[None])


# -- places


def placed(task, *texts):
    """The places of prompt, chain and answer and the mark after each."""
    mark = len(task.symbols)
    row = [token for step, text in enumerate(texts) for token in [*task.parse(text), mark + step]]
    return task.places(np.array([row]), np.array([len(texts[0]) + 1]))[0].tolist()


def test_ones_are_2_and_a_mark_stands_one_before_its_number():
    assert placed(Factorial(), "4", ">4>21>42>42", "42") == [
        *(2, 1),  # 4, and the mark after it
        *(1, 2, 1, 2, 3, 1, 2, 3, 1, 2, 3),
        *(1, 2, 3, 1),  # the answer between its marks
    ]
    assert placed(Factorial(), "12", ">21", "1")[:6] == [3, 2, 1, 1, 2, 3]


def test_in_plain_order_the_first_digit_stands_highest():
    task = Triangular(padding="results", digit_order="plain")
    assert placed(task, "4", ">04>10", "10") == [2, 4, 4, 3, 2, 4, 3, 2, 4, 3, 2, 4]


def test_both_numbers_of_a_pair_have_places():
    task = Fibonacci(padding="results")
    assert placed(task, "6", ">80,31", "80") == [2, 1, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1]


def test_a_number_that_does_not_end_has_no_higher_place_than_the_longest():
    assert placed(Factorial(), "4", ">999999", "9")[2:10] == [1, 2, 3, 3, 3, 3, 3, 1]
    task = Factorial(form="modulus", modulus=7, padding="results", digit_order="plain")
    assert placed(task, "4", ">999", "9")[2:7] == [3, 2, 2, 2, 3]


def test_places_are_told_where_they_can_be():
    for cls in TASKS:
        assert cls().tells_places
        assert not cls(digit_order="plain").tells_places
        assert cls(digit_order="plain", padding="results").tells_places
        assert not cls(index_hints=True).tells_places
        assert not cls(form="significant").tells_places
    assert not Factorial(detail="long").tells_places


# -- against Python's integers


@pytest.mark.parametrize("cls", TASKS)
@settings(max_examples=40)
@given(
    n=st.integers(1, 24),
    base=st.sampled_from([2, 3, 10, 36]),
    order=st.sampled_from(["reversed", "plain"]),
    padding=st.sampled_from(["none", "results"]),
    modulus=st.none() | st.integers(2, 2000),
    hints=st.booleans(),
    start=st.integers(0, 20),
)
def test_every_number_has_its_digits_zeros_hints_and_places(cls, n, base, order, padding, modulus, hints, start):
    options = {"base": base, "digit_order": order, "padding": padding}
    if modulus:
        options |= {"form": "modulus", "modulus": modulus}
    if hints:
        options |= {"index_hints": True, "hint_symbols": 300}
    task = cls(**options)
    expected, answer = lines(cls, n)
    expected, answer = (
        [tuple(value % modulus if modulus else value for value in line) for line in expected],
        answer % modulus if modulus else answer,
    )
    longest = len(in_base(modulus - 1 if modulus else max(map(max, expected)), base))
    cell = itertools.count()
    words, significance = {}, {}  # by cell, in the order in which they are written

    def write(text, reverse):
        digits = [(place, digit) for place, digit in enumerate(reversed(text))]
        for place, digit in digits if reverse else reversed(digits):
            if hints:
                words[next(cell)] = f"h{start + place}"
            words[at := next(cell)], significance[at] = digit, place

    def write_result(value, mark):
        words[next(cell)] = mark
        write(in_base(value, base).rjust(longest if padding == "results" else 0, "0"), order == "reversed")

    write(in_base(n, base), False)
    for line in expected:
        for value, mark in zip(line, ">,", strict=False):
            write_result(value, mark)
    write_result(answer, "=")
    text = [*words.values()]
    split = next(at for at, word in enumerate(text) if word == ">")
    found = task.complete(task.parse((" " if hints else "").join(text[:split]))[None])
    written = [word for tokens in (found.prompt, found.chain) for word in _words(task, tokens[0])]
    assert [*written, "=", *_words(task, found.answer[0])] == text
    lengths, bounds = _lengths(found), task.widths(n)
    assert all(length <= bound for length, bound in zip(lengths, bounds, strict=True))
    assert lengths == list(bounds) or (modulus and padding == "none")
    if task.tells_places:
        mark = len(task.symbols)
        row = np.concatenate([found.prompt[0], [mark], found.chain[0], [mark + 1], found.answer[0], [mark + 2]])
        told = task.places(row[None], np.array([split + 1]))[0]
        told = np.delete(told, split)  # the mark after the prompt
        assert {at: int(told[at]) - 2 for at in significance} == significance


def _words(task, tokens):
    return [task.symbols[token] for token in tokens if token]


def _lengths(found):
    return [int((tokens != 0).sum()) for tokens in (found.prompt, found.chain, found.answer)]


# -- options that cannot be


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": "all"}, "Input should be 'none' or 'results'"),
        ({"padding": "results", "form": "significant"}, r"so padding must be none \(got results\)"),
        ({"index_hints": True, "form": "significant"}, "there can be no index_hints; use form exact"),
        ({"hint_symbols": 9}, "hint_symbols has no effect without index_hints"),
        ({"index_hints": True, "hint_symbols": 2}, r"hint_symbols \(2\) must be at least (24|5|3), the most digits"),
    ],
)
@pytest.mark.parametrize("cls", TASKS)
def test_options_that_cannot_work_are_refused_by_name(cls, options, message):
    with pytest.raises(ValueError, match=message):
        cls(**options)


def test_hints_are_needed_for_the_longer_of_problem_and_numbers():
    with pytest.raises(ValueError, match=r"hint_symbols \(2\) must be at least 5"):  # F(25) = 75025
        Fibonacci(index_hints=True, hint_symbols=2)
    with pytest.raises(ValueError, match=r"hint_symbols \(4\) must be at least 5"):  # 24 is 11000
        Triangular(index_hints=True, hint_symbols=4, base=2, form="modulus", modulus=2)


@pytest.mark.parametrize("options", [{"padding": "results"}, {"index_hints": True}])
def test_long_products_are_written_as_multiplication_does(options):
    with pytest.raises(ValueError, match="so padding must be none and index_hints false"):
        Factorial(detail="long", **options)
