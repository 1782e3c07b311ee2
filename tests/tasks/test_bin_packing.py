"""Bin packing against packings done in the head, an independent checker, and all partitions."""

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorexe.tasks.bin_packing import BinPacking

TASK = BinPacking(capacity=10)
SMALL = BinPacking(items=5, capacity=10, largest=100, order_matters=False)


def judged(task, problem, answer):
    """Whether an answer solves a problem, and its qualities; both as text."""
    example = task.complete(task.parse(problem)[None])
    tokens = task.parse(answer)[None]
    qualities = {name: numbers[0] for name, numbers in task.qualities(example, tokens).items()}
    return bool(task.solved(example, tokens)[0]), qualities


def greedy(sizes, capacity, decreasing):
    """The bin of each item by first fit, in the order given or greatest first, item by item."""
    room, place = [], [0] * len(sizes)
    for item in sorted(range(len(sizes)), key=lambda item: -sizes[item] if decreasing else 0):
        bin_ = next((bin_ for bin_, left in enumerate(room) if left >= sizes[item]), len(room))
        if bin_ == len(room):
            room.append(capacity)
        room[bin_] -= sizes[item]
        place[item] = bin_
    return place


def fewest(sizes, capacity):
    """The least number of bins, by trying every assignment."""
    return min(
        len(set(place))
        for place in itertools.product(range(len(sizes)), repeat=len(sizes))
        if max(loads(sizes, place).values()) <= capacity
    )


def loads(sizes, place):
    load = defaultdict(int)
    for size, bin_ in zip(sizes, place, strict=True):
        load[bin_] += size
    return load


def problem_of(prompt):
    capacity, items = prompt.split(" : ")
    return int(capacity), [int(size) for size in items.split()]


def test_two_and_four_share_a_bin_of_six():
    solved = TASK.complete(TASK.parse("6 : 2 2 4 4")[None])
    assert TASK.text(solved.chain[0]) == "4 A 2 4 B 2 2 A 0 2 B 0 2 A 2 B 4 A 4 B"
    assert TASK.text(solved.answer[0]) == "A B A B"
    assert solved.chain_step[0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("A B A B", True),
        ("B A B A", True),  # bins renamed
        ("H C C H", True),  # equal items exchanged, and any letters
        ("A A B C", False),  # feasible, but a bin more
        ("A A B B", False),  # 4 and 4 are above 6
        ("A B A", False),  # an item is in no bin
        ("A B A B A", False),  # there is no fifth item
        ("A B A 4", False),  # not a bin
        ("A A A A", False),
        ("A B C D", False),
    ],
)
def test_a_packing_of_2_2_4_4_into_sixes_is_judged(answer, right):
    assert judged(TASK, "6 : 2 2 4 4", answer)[0] == right


def test_fewer_bins_than_first_fit_decreasing_are_right():
    # greatest first: 4 4, 3 3 3, 3; but 4 3 3 twice is ten each
    problem = "10 : 4 4 3 3 3 3"
    assert TASK.text(TASK.complete(TASK.parse(problem)[None]).answer[0]) == "A A B B B C"
    best = judged(TASK, problem, "A B A A B B")
    assert best == (True, {"feasible": 1, "bins_over_lower_bound": 0, "bins_over_optimum": 0})
    assert judged(TASK, problem, "A A B B B C") == (
        True,
        {"feasible": 1, "bins_over_lower_bound": 1, "bins_over_optimum": 1},
    )
    assert not judged(TASK, problem, "A A B B C D")[0]


def test_of_an_infeasible_packing_only_that_is_said():
    right, qualities = judged(TASK, "6 : 2 2 4 4", "A A B B")
    assert not right
    assert qualities["feasible"] == 0
    assert math.isnan(qualities["bins_over_lower_bound"])
    assert math.isnan(qualities["bins_over_optimum"])


def test_the_optimum_of_many_items_is_not_said():
    task = BinPacking(items=11)
    for count, known in ((10, True), (11, False)):
        problem = "20 : " + " ".join(["12"] * count)
        right, qualities = judged(task, problem, " ".join("ABCDEFGHIJK"[:count]))
        assert right
        assert qualities["bins_over_lower_bound"] == count - math.ceil(12 * count / 20)
        assert (qualities["bins_over_optimum"] == 0) == known
        assert math.isnan(qualities["bins_over_optimum"]) != known


@given(
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    place=st.lists(st.integers(0, 5), min_size=1, max_size=7),
)
def test_answers_are_judged_as_by_brute_force(sizes, place):
    right, qualities = judged(SMALL, f"7 : {' '.join(map(str, sizes))}", " ".join("ABCDEF"[bin_] for bin_ in place))
    feasible = len(place) == len(sizes) and max(loads(sizes, place).values()) <= 7
    assert qualities["feasible"] == feasible
    assert right == (feasible and len(set(place)) <= max(greedy(sizes, 7, decreasing=True)) + 1)
    if feasible:
        assert qualities["bins_over_lower_bound"] == len(set(place)) - math.ceil(sum(sizes) / 7)
        assert qualities["bins_over_optimum"] == len(set(place)) - fewest(sizes, 7)


def test_the_optimum_is_that_of_all_assignments():
    problems = SMALL.sample(np.repeat([4, 5], 20), np.random.default_rng(0))
    over = SMALL.qualities(problems, problems.answer)["bins_over_optimum"]
    for row in range(len(problems)):
        capacity, sizes = problem_of(SMALL.text(problems.prompt[row]))
        assert over[row] == max(greedy(sizes, capacity, decreasing=True)) + 1 - fewest(sizes, capacity)


@given(
    items=st.integers(4, 12),
    capacity=st.integers(13, 40),
    spread=st.integers(0, 3),
    order_matters=st.booleans(),
    seed=st.integers(0, 99),
)
def test_answers_and_chains_are_those_of_packing_item_by_item(items, capacity, spread, order_matters, seed):
    task = BinPacking(items=items, capacity=capacity, min_capacity=capacity - spread, order_matters=order_matters)
    examples = task.sample(np.array([items, items + 1, items]), np.random.default_rng(seed))
    for row in range(len(examples)):
        capacity, sizes = problem_of(task.text(examples.prompt[row]))
        place = greedy(sizes, capacity, decreasing=True)
        letters = ["ABCDEFGHIJKLM"[bin_] for bin_ in place]
        assert task.text(examples.answer[row]) == " ".join(letters)
        room, words = defaultdict(lambda capacity=capacity: capacity), []
        for item in sorted(range(len(sizes)), key=lambda item: -sizes[item]):
            room[place[item]] -= sizes[item]
            words += [sizes[item], letters[item], room[place[item]]]
        words += [word for pair in zip(sizes, letters, strict=True) for word in pair]
        assert task.text(examples.chain[row]) == " ".join(map(str, words))


def test_placing_items_as_they_come_never_solves_a_problem_whose_order_matters():
    problems = TASK.sample(np.full(100, 8), np.random.default_rng(0), chain=False)
    plain = BinPacking(capacity=10, order_matters=False)
    easier = plain.sample(np.full(100, 8), np.random.default_rng(0), chain=False)
    solved = {}
    for name, task, examples in (("matters", TASK, problems), ("plain", plain, easier)):
        rows = [problem_of(task.text(prompt)) for prompt in examples.prompt]
        packed = [" ".join("ABCDEFGH"[b] for b in greedy(sizes, capacity, False)) for capacity, sizes in rows]
        solved[name] = task.solved(examples, np.stack([task.parse(answer) for answer in packed])).mean()
    assert solved["matters"] == 0
    assert solved["plain"] > 0.7


def test_key_ignores_the_order_of_items_alone():
    same, swapped, roomier, longer = (
        TASK.key(TASK.complete(TASK.parse(text)[None])).tolist()
        for text in ("6 : 2 2 4 4", "6 : 4 2 4 2", "7 : 2 2 4 4", "6 : 2 2 4 4 1")
    )
    assert same == swapped
    assert roomier != same != longer


@pytest.mark.parametrize(
    "text",
    ["6", "6 :", "6 2 2", "6 : 7", "6 : 0 2", "0 : 1", "6 : A", "6 : 2 : 2", "A : 2", ": 2", "6 : " + "1 " * 10],
)
def test_what_is_no_capacity_and_items_is_refused(text):
    with pytest.raises(ValueError, match="expected a capacity up to 10 and at most 9 items"):
        TASK.complete(TASK.parse(text)[None])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_items": 9}, r"min_items \(9\) must not exceed items \(8\)"),
        ({"ood_items": 8}, r"ood_items \(8\) must exceed items \(8\)"),
        ({"items": 26}, r"items \(26\) must be less than 26"),
        ({"min_capacity": 21}, r"min_capacity \(21\) must not exceed capacity \(20\)"),
        ({"largest": 4}, "4 % of 20, is below 1"),
        ({"largest": 50, "items": 4}, "order_matters leaves hardly a problem with 4 items .* use order_matters=false"),
        ({"items": 3}, "order_matters leaves hardly a problem with 3 items"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        BinPacking(**options)
