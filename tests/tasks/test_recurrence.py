"""What factorial, fibonacci and triangular share: which n is in which split, spans, typed numbers, bad options."""

from decimal import ROUND_HALF_EVEN, Context, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorexe.splits import Splits
from factorexe.tasks.base import SPLITS
from factorexe.tasks.factorial import Factorial
from factorexe.tasks.fibonacci import Fibonacci
from factorexe.tasks.significant import in_figures
from factorexe.tasks.triangular import Triangular

TASKS = (Factorial, Fibonacci, Triangular)


def numbers(splits, split):
    found = splits.finite_train() if split == "train" else splits.evaluation(split)
    return splits.task.key(found)[:, 0].tolist()


@pytest.mark.parametrize("cls", TASKS)
def test_the_ancestors_split_holds_its_numbers_and_all_of_them(cls):
    splits = Splits(cls(), train_size=1000, eval_size=50, chain=False)
    splits.check()
    held = {split: numbers(splits, split) for split in ("train", "seen", *SPLITS[1:])}
    trained = [*range(1, 10), *range(15, 20)]
    assert held == {
        **{"train": trained, "seen": trained},
        **{"val": [10, 11, 12, 13, 14], "ood": [20, 21, 22, 23, 24]},
        **{"guide": [], "test": [], "ood_test": []},
    }


def test_a_training_round_holds_each_of_the_14_numbers_once():
    splits = Splits(Factorial(), train_size=1000, chain=False)
    for index in range(3):
        batch = splits.train_batch(index, 14)
        assert sorted(splits.task.key(batch)[:, 0]) == [*range(1, 10), *range(15, 20)]


def test_a_range_is_held_out_as_its_bounds_say():
    task = Triangular(held_out="range", smallest=5, largest=12, val_smallest=7, val_largest=8, ood_largest=14)
    splits = Splits(task, train_size=1000, eval_size=50)
    assert numbers(splits, "train") == [5, 6, 9, 10, 11, 12]
    assert numbers(splits, "val") == [7, 8]
    assert numbers(splits, "ood") == [13, 14]


def test_a_hash_divides_every_number_once():
    task = Fibonacci(held_out="hash", smallest=3, largest=40, span=10, ood_largest=55)
    splits = Splits(task, train_size=1000, eval_size=50, chain=False)
    assert sorted(n for split in SPLITS for n in numbers(splits, split)) == list(range(3, 56))


@given(
    span=st.integers(1, 12),
    spans=st.integers(1, 6),
    smallest=st.integers(1, 12),
    beyond=st.integers(1, 30),
    seed=st.integers(0, 9),
)
def test_spans_draw_their_own_numbers_and_nothing_else(span, spans, smallest, beyond, seed):
    largest = span * spans
    task = Triangular(
        held_out="hash", span=span, smallest=min(smallest, largest), largest=largest, ood_largest=largest + beyond
    )
    levels = [*task.difficulties("train"), *task.difficulties("ood")]
    drawn = task.sample(np.repeat(levels, 40 * span), np.random.default_rng(seed))
    n = task.key(drawn)[:, 0]
    assert (-(-n // span) == drawn.difficulty).all()
    assert n.min() == min(smallest, largest) or span > 6  # 40 draws per number: all but certain to find the first
    assert n.max() <= largest + beyond
    assert ((drawn.difficulty > task.train_difficulty[1]) == (n > largest)).all()


def test_a_thousand_numbers_in_spans_fill_their_splits():
    task = Factorial(form="modulus", modulus=2003, held_out="hash", largest=1000, span=100)
    splits = Splits(task, train_size=200, eval_size=10, chain=False)
    splits.check()
    found = splits.evaluation("val")
    assert np.bincount(found.difficulty)[1:].min() >= 2
    assert not set(numbers(splits, "val")) & set(numbers(splits, "train"))


@pytest.mark.parametrize("cls", TASKS)
def test_table_holds_every_number_of_training_and_val(cls):
    assert cls().key(cls().table())[:, 0].tolist() == list(range(1, 20))
    assert Factorial(held_out="hash", largest=3000).table() is None


@pytest.mark.parametrize("cls", TASKS)
@pytest.mark.parametrize("base", [2, 10, 36])
def test_key_is_the_number_in_every_base(cls, base):
    task = cls(base=base, digit_order="plain")
    drawn = task.sample(np.arange(1, 25), np.random.default_rng(0), chain=False)
    assert task.key(drawn)[:, 0].tolist() == list(range(1, 25))
    assert [int(task.text(row), base) for row in drawn.prompt] == list(range(1, 25))


@pytest.mark.parametrize("text", ["0", "05", "4097", "1>2", "99999999999999999999"])
def test_a_typed_number_that_is_none_is_refused(text):
    task = Factorial()
    with pytest.raises(ValueError, match=r"expected one number from 1 to 4096 in base 10 \(got "):
        task.complete(task.parse(text)[None])


def test_nothing_typed_is_refused():
    with pytest.raises(ValueError, match=r"expected one number from 1 to 4096 in base 10 \(got ''\)"):
        Factorial().complete(np.zeros((1, 2), dtype=np.int64))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"largest": 30}, r"held_out ancestor fixes which n there are \(1 to 24\), so largest, ood_largest cannot"),
        ({"ood_largest": 30}, "so ood_largest cannot be chosen; use held_out range or hash"),
        ({"held_out": "hash", "smallest": 20}, r"smallest \(20\) must not exceed largest \(19\)"),
        ({"held_out": "hash", "span": 2}, r"largest \(19\) must be a multiple of span \(2\)"),
        ({"held_out": "hash", "ood_largest": 19}, r"ood_largest \(19\) must exceed largest \(19\)"),
        ({"held_out": "hash", "largest": 4096}, r"ood_largest \(4101\) must exceed largest \(4096\) and be at most"),
        (
            {"held_out": "range", "largest": 8},
            r"val_smallest to val_largest \(10 to 14\) must lie within .* \(1 to 8\)",
        ),
        (
            {"held_out": "range", "smallest": 10, "largest": 14},
            "val takes every n from 10 to 14; leave some to train on",
        ),
        ({"form": "significant", "base": 2}, r"form significant is decimal text, so base must be 10 \(got 2\)"),
    ],
)
@pytest.mark.parametrize("cls", TASKS)
def test_options_that_cannot_work_are_refused_by_name(cls, options, message):
    with pytest.raises(ValueError, match=message):
        cls(**options)


@given(st.integers(0, 10**40) | st.integers(0, 10**9) | st.integers(0, 10**7).map(lambda n: n * 10**6))
def test_seven_figures_are_those_of_decimal_arithmetic(number):
    rounded = Context(prec=7, rounding=ROUND_HALF_EVEN).create_decimal(Decimal(number))
    assert figures(number) == f"{float(rounded):.7g}"  # a double holds seven digits of any size


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (9999999, "9999999"),
        (10000000, "1e+07"),
        (99999995, "1e+08"),  # a tie, up to the even one, and on to another exponent
        (12345665, "1.234566e+07"),  # a tie, down to the even one
        (12345675, "1.234568e+07"),  # a tie, up to the even one
        (123456650001, "1.234567e+11"),  # just above a tie
        (3 * 10**123, "3e+123"),
    ],
)
def test_seven_figures_by_hand(number, text):
    assert figures(number) == text


def figures(number):
    digits = np.array([[int(digit) for digit in reversed(str(number))]])
    row = in_figures(digits, [11, 12, 13])[0]
    return "".join("_0123456789.e+"[token] for token in row if token)
