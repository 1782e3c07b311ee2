"""Modular arithmetic against sums done in the head, Python's integers, and the definition of division."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorexe.tasks.modular import MOST_OPERANDS, Modular

# Each operation as a reader of the paper writes it; c is right where it holds.
DEFINITIONS = {
    "add": lambda a, b, c, p: (a + b - c) % p == 0,
    "subtract": lambda a, b, c, p: (a - b - c) % p == 0,
    "multiply": lambda a, b, c, p: (a * b - c) % p == 0,
    "divide": lambda a, b, c, p: (b * c - a) % p == 0,
    "mixed": lambda a, b, c, p: c == (a * pow(b, -1, p) % p if b % 2 else (a - b) % p),
    "squares": lambda a, b, c, p: c == (pow(a, 2, p) + pow(b, 2, p)) % p,
    "quadratic": lambda a, b, c, p: c == (pow(a, 2, p) + a * b + pow(b, 2, p)) % p,
    "quadratic-linear": lambda a, b, c, p: c == (a * (a + b + 1) + b * b) % p,
    "cubic": lambda a, b, c, p: c == a * (a * a + b) % p,
    "cubic-linear": lambda a, b, c, p: c == (pow(a, 3, p) + a * pow(b, 2, p) + b) % p,
}


def completed(task, text):
    found = task.complete(task.parse(text)[None])
    return [task.text(row[0]) for row in (found.chain, found.answer)] + [int(found.difficulty[0])]


def typed(task, *texts):
    rows = [task.parse(text) for text in texts]
    width = max(map(len, rows))
    return task.complete(np.array([np.pad(row, (0, width - len(row))) for row in rows]))


def test_a_person_can_divide_modulo_11():
    task = Modular(modulus=11)
    assert completed(task, "3 / 5") == ["5", "5", 2]  # 5 * 5 = 25 = 3
    assert completed(task, "3 / 5 / 4") == ["5 4", "4", 3]  # 4 * 4 = 16 = 5
    assert completed(task, "0 / 6") == ["0", "0", 2]


def test_other_operations_at_3_and_5_modulo_97():
    found = {
        name: completed(Modular(operation=name), f"3 {sign} 5")[1]
        for name, sign in {"add": "+", "subtract": "-", "multiply": "*", "cubic": "cubic", "mixed": "mixed"}.items()
    }
    assert found == {"add": "8", "subtract": "95", "multiply": "15", "cubic": "42", "mixed": "20"}  # 20 * 5 = 100
    assert completed(Modular(operation="mixed"), "3 mixed 4")[1] == "96"  # 4 is even


def test_symbols_are_the_numbers_and_the_operation():
    assert Modular(modulus=3).symbols == ("", "0", "1", "2", "/")
    assert Modular(modulus=2, operation="squares").symbols == ("", "0", "1", "squares")


@pytest.mark.parametrize("operation", DEFINITIONS)
def test_the_whole_table_holds_what_the_operation_means(operation):
    task = Modular(modulus=13, operation=operation)
    table = task.table()
    first, _, second = table.prompt.T.tolist()
    found = list(zip(first, second, table.answer[:, 0].tolist(), strict=True))
    divisors = range(1, 13) if operation == "divide" else range(13)
    assert [(a - 1, b - 1) for a, b, _ in found] == list(itertools.product(range(13), divisors))
    assert all(0 < c <= 13 and DEFINITIONS[operation](a - 1, b - 1, c - 1, 13) for a, b, c in found)


@given(
    operation=st.sampled_from(sorted(DEFINITIONS)),
    modulus=st.sampled_from([2, 3, 11, 97, 997]),
    operands=st.integers(2, 8),
    seed=st.integers(0, 99),
)
def test_the_chain_is_every_running_value(operation, modulus, operands, seed):
    task = Modular(modulus=modulus, operation=operation, operands=operands)
    levels = np.random.default_rng(seed).integers(2, operands + 1, 6)
    drawn = task.sample(levels, np.random.default_rng(seed))
    for row, level in enumerate(levels):
        numbers, values = ((tokens[tokens != 0] - 1).tolist() for tokens in (drawn.prompt[row, ::2], drawn.chain[row]))
        assert (len(numbers), len(values)) == (level, level - 1)
        for before, number, after in zip([numbers[0], *values], numbers[1:], values, strict=False):
            assert DEFINITIONS[operation](before, number, after, modulus)
        assert drawn.answer[row].tolist() == [values[-1] + 1]


def test_drawn_problems_fill_the_table_and_no_more():
    task = Modular(modulus=5, min_operands=2, operands=3)
    drawn = task.sample(np.repeat([2, 3], 3000), np.random.default_rng(0))
    listed = {task.text(row) for row in task.table().prompt}
    assert {task.text(row) for row in drawn.prompt} == listed
    assert len(listed) == 5 * 4 + 5 * 4 * 4 == len(task.table())


def test_tables_of_several_lengths_hold_solved_problems():
    task = Modular(modulus=5, operands=3)
    table = task.table()
    again = task.complete(table.prompt)
    for name in ("prompt", "chain", "answer", "difficulty"):
        assert np.array_equal(getattr(table, name), getattr(again, name))


def test_a_family_too_large_to_list_has_no_table():
    assert Modular(modulus=499).table() is not None
    assert Modular(modulus=503, operation="add").table() is None
    assert Modular(operands=MOST_OPERANDS).table() is None


def test_ordered_pairs_are_two_problems_and_unordered_ones_are_one():
    for pairs, same in (("ordered", False), ("unordered", True)):
        task = Modular(operation="add", pairs=pairs)
        one, other, third = task.key(typed(task, "3 + 5", "5 + 3", "3 + 6")).tolist()
        assert (one == other) is same
        assert one != third


def test_unordered_operands_change_places_only_where_the_result_stays():
    add, squares = (Modular(operation=name, pairs="unordered", operands=3) for name in ("add", "squares"))
    one, *others = add.key(typed(add, "1 + 2 + 3", "3 + 1 + 2", "2 + 3 + 1")).tolist()
    assert others == [one, one]
    first, same, other = typed(
        squares, "1 squares 2 squares 3", "2 squares 1 squares 3", "3 squares 2 squares 1"
    ).answer[:, 0]
    assert first == same != other  # 5^2 + 3^2 = 34, and 13^2 + 1 = 170 = 73
    keys = squares.key(typed(squares, "1 squares 2 squares 3", "2 squares 1 squares 3", "3 squares 2 squares 1"))
    assert keys[0].tolist() == keys[1].tolist() != keys[2].tolist()


@given(modulus=st.sampled_from([2, 5, 997]), operands=st.integers(2, 20), seed=st.integers(0, 99))
def test_different_operands_have_different_keys(modulus, operands, seed):
    task = Modular(modulus=modulus, operation="add", operands=operands)
    drawn = task.sample(np.arange(200) % (operands - 1) + 2, np.random.default_rng(seed))
    assert len(np.unique(task.key(drawn), axis=0)) == len({task.text(row) for row in drawn.prompt})


def test_zero_counts_as_an_operand_in_a_key():
    task = Modular(operation="add", pairs="unordered")
    assert len(np.unique(task.key(typed(task, "0 + 0", "0 + 0 + 0", "0 + 1", "1 + 0 + 0")), axis=0)) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modulus": 91}, r"divide needs a prime modulus \(got 91, which 7 divides\)"),
        ({"modulus": 4, "operation": "mixed"}, r"mixed needs a prime modulus \(got 4, which 2 divides\)"),
        ({"pairs": "unordered"}, r"pairs unordered needs an operation that commutes: expected add, .*got divide"),
        ({"operands": 2, "min_operands": 3}, r"min_operands \(3\) must not exceed operands \(2\)"),
        ({"operands": 4, "ood_operands": 4}, r"ood_operands \(4\) must exceed operands \(4\)"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        Modular(**options)


def test_a_modulus_that_is_not_prime_will_do_where_nothing_is_divided():
    assert completed(Modular(modulus=12, operation="add"), "7 + 8") == ["3", "3", 2]


@pytest.mark.parametrize("prompt", ["3", "3 /", "/ 3", "3 4", "3 / / 4", "3 / 4 /", "3 4 /"])
def test_what_is_no_problem_is_refused(prompt):
    task = Modular()
    with pytest.raises(ValueError, match=r"expected numbers such as 3 / 5 \(got '"):
        task.complete(task.parse(prompt)[None])


def test_division_by_zero_is_refused_and_division_of_zero_is_not():
    task = Modular()
    with pytest.raises(ValueError, match="divisors other than 0"):
        task.complete(task.parse("3 / 0")[None])
    assert typed(task, "0 / 3", "1 / 1 / 1").answer[:, 0].tolist() == [1, 2]
