"""How numbers are written, on numbers that a person can read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorexe.tasks.formats import column, hinted, length, opened, packed, placed, read, written
from factorexe.tasks.long_multiplication import written_out
from factorexe.tasks.scratchpads import Scratchpad

N128, N7 = [8, 2, 1], [7, 0, 0]  # least significant first


def test_digit_d_is_token_d_plus_1_in_either_order():
    assert written(np.array([N128]), "plain").tolist() == [[2, 3, 9]]
    assert written(np.array([N128]), "reversed").tolist() == [[9, 3, 2]]


def test_a_shorter_length_leaves_gaps_that_packing_closes():
    numbers = np.array([N128, N7])
    assert length(numbers).tolist() == [3, 1]
    assert written(numbers, "plain", length(numbers)).tolist() == [[2, 3, 9], [0, 0, 8]]
    tokens, step = packed([written(numbers, "plain", length(numbers)), column(2, 11), numbers[:, :1] + 1], [0, 1, 1])
    assert tokens.tolist() == [[2, 3, 9, 11, 9], [8, 11, 8, 0, 0]]
    assert (step * (tokens != 0)).tolist() == [[0, 0, 0, 1, 1], [0, 1, 1, 0, 0]]


def test_zero_has_one_digit():
    assert length(np.array([[0, 0], [0, 1], [1, 0]])).tolist() == [1, 2, 1]


@given(
    values=st.lists(st.integers(0, 9999), min_size=1, max_size=5),
    order=st.sampled_from(["plain", "reversed"]),
    cut=st.booleans(),
)
def test_what_is_written_is_read_back(values, order, cut):
    numbers = np.array([[value // 10**place % 10 for place in range(4)] for value in values])
    tokens, _ = packed([written(numbers, order, length(numbers) if cut else None)])
    found = read(tokens, order)
    assert [int("".join(map(str, row[::-1]))) for row in found.tolist()] == values
    if cut:
        assert [(row != 0).sum() for row in tokens] == [len(str(value)) for value in values]


def test_a_hint_stands_before_its_digit_and_a_gap_has_none():
    assert hinted(np.array([[2, 3], [4, 0]]), np.array([[20, 21], [30, 31]])).tolist() == [
        [20, 2, 21, 3],
        [30, 4, 0, 0],
    ]


def test_places_count_from_the_last_mark_up_to_the_width_of_a_number():
    marks = np.array([[False, True, False, False, True, False, False, False]])
    begun = opened(marks)
    assert begun.tolist() == [[0, 1, 1, 1, 4, 4, 4, 4]]
    offset = np.arange(8) - begun
    assert placed(offset, 2, "reversed")[0, 1:].tolist() == [1, 2, 3, 1, 2, 3, 3]
    assert placed(offset, 2, "plain")[0, 1:].tolist() == [4, 3, 2, 4, 3, 2, 2]


def test_nothing_is_packed_into_nothing():
    tokens, step = packed([np.zeros((2, 3), dtype=np.int64)])
    assert tokens.shape == step.shape == (2, 0)


@pytest.mark.parametrize("order", ["plain", "reversed"])
def test_long_multiplication_of_12_and_34_is_written_line_by_line(order):
    told = []

    def write(number, place):
        told.append(place)
        return written(number, order)

    numbers = np.array([[2, 1]]), np.array([[4, 3]])
    chain, step, product = written_out(*numbers, base=10, written=write, partial_mark=11, sum_mark=12)
    lines = {"reversed": "+840+630>8040", "plain": "+048+036>0408"}
    assert "".join("?0123456789+>"[token] for token in chain[0]) == lines[order]
    assert step.tolist() == [[0] * 4 + [1] * 9]
    assert product.tolist() == [[8, 0, 4, 0]]
    assert told == [0, 1, 0]  # the significance of the lowest digit that is written


def test_a_line_is_filled_row_by_row():
    paper = Scratchpad(("", *"0123456789", *"[],="))
    one, two = np.array([[3], [4]]), np.array([[0, 6], [7, 0]])
    tokens, _ = packed(paper.line("{}=[{}],", one, two))
    text = ["".join(("", *"0123456789", *"[],=")[token] for token in row) for row in tokens]
    assert text == ["2=[5],", "3=[6],"]


def test_a_list_has_commas_between_what_it_holds():
    symbols = ("", *"0123456789", *"[],")
    paper = Scratchpad(symbols)
    tokens, _ = packed([paper.listed(np.array([[2, 3, 9], [0, 0, 8], [0, 0, 0], [2, 3, 0]]))])
    assert ["".join(symbols[token] for token in row) for row in tokens] == ["[1,2,8]", "[7]", "[]", "[1,2]"]
    assert packed([paper.listed(np.zeros((1, 0), dtype=np.int64))])[0].tolist() == [[11, 12]]
