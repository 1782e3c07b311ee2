"""The order of training: pure functions of their numbers, and every problem in its turn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Successor, Tally

from factorexe.splits import Splits
from factorexe.streams import BLOCK, Rounds, Stream, apportioned
from factorexe.tasks.addition import Addition


def problems_of(levels):
    """A finite set whose prompts are 1, 2, 3, ... in order, with these difficulties."""
    drawn = Successor().sample(np.array(levels), np.random.default_rng(0))
    drawn.prompt[:, 0] = np.arange(1, len(levels) + 1)
    return drawn


def numbers(examples):
    return examples.prompt[:, 0].tolist()


def test_a_round_visits_every_problem_once():
    rounds = Rounds(problems_of([1] * 7), {1: 1.0}, [0])
    first, second = (numbers(rounds.rows(7 * at, 7 * at + 7)) for at in (0, 1))
    assert sorted(first) == sorted(second) == [1, 2, 3, 4, 5, 6, 7]
    assert first != second


def test_a_round_may_be_cut_anywhere():
    rounds = Rounds(problems_of([1] * 7), {1: 1.0}, [0])
    whole = numbers(rounds.rows(0, 70))
    assert whole == [number for start in range(0, 70, 5) for number in numbers(rounds.rows(start, start + 5))]
    assert numbers(Rounds(problems_of([1] * 7), {1: 1.0}, [0]).rows(40, 45)) == whole[40:45]


def test_each_difficulty_gets_its_share_and_shares_it_out_equally():
    rounds = Rounds(problems_of([1] * 4 + [2] * 8), {1: 1.0, 2: 1.0}, [0])
    visited = np.bincount(numbers(rounds.rows(0, 12 * 4)))[1:]
    assert visited[:4].tolist() == [6] * 4  # 24 places for four problems
    assert visited[4:].tolist() == [3] * 8


@given(weights=st.dictionaries(st.integers(1, 5), st.floats(0.01, 9), min_size=1), total=st.integers(0, 999))
def test_what_is_apportioned_adds_up_and_follows_the_weights(weights, total):
    shares = apportioned(total, weights)
    assert sum(shares.values()) == total
    for level, share in shares.items():
        assert abs(share - total * weights[level] / sum(weights.values())) < 1 + 1e-9


def test_largest_remainders_come_first():
    assert apportioned(10, {2: 1, 3: 2}) == {2: 3, 3: 7}


def test_a_stream_is_the_same_wherever_it_is_entered():
    def draw(rng, count):
        return Successor(size=1000).sample(np.full(count, 1), rng)

    stream = Stream(draw, [0])
    across = numbers(stream.rows(BLOCK - 3, BLOCK + 3))
    stream.rows(5 * BLOCK, 5 * BLOCK + 1)
    assert across == numbers(stream.rows(BLOCK - 3, BLOCK)) + numbers(stream.rows(BLOCK, BLOCK + 3))
    assert across == numbers(Stream(draw, [0]).rows(BLOCK - 3, BLOCK + 3))
    assert across != numbers(Stream(draw, [1]).rows(BLOCK - 3, BLOCK + 3))


@pytest.mark.parametrize("train_size", [None, 100])
def test_a_batch_is_a_pure_function_of_its_index(train_size):
    task = Tally()
    once, again = (Splits(task, train_size=train_size) for _ in range(2))
    for index in (900, 0, 7, 900):
        once.train_batch(index, 16)
    for name in ("prompt", "chain", "answer", "difficulty"):
        assert np.array_equal(getattr(once.train_batch(7, 16), name), getattr(again.train_batch(7, 16), name))


@pytest.mark.parametrize("train_size", [None, 100])
def test_the_order_of_problems_does_not_depend_on_the_batch_size(train_size):
    task = Addition()
    splits = Splits(task, train_size=train_size)
    small = [row for index in range(6) for row in splits.train_batch(index, 4).prompt.tolist()]
    large = [row for index in range(2) for row in splits.train_batch(index, 12).prompt.tolist()]
    assert small == large


@pytest.mark.parametrize("train_size", [None, 3000])
def test_mixture_weights_are_respected(train_size):
    splits = Splits(Addition(min_digits=3, digits=5), train_size=train_size, mixture={3: 1, 5: 3})
    levels = splits.train_batch(0, 3000).difficulty
    assert set(levels.tolist()) == {3, 5}
    assert np.mean(levels == 5) == pytest.approx(0.75, abs=0.04)  # five standard deviations of 3000 draws


def test_a_finite_set_of_two_difficulties_is_seen_equally_often():
    splits = Splits(Addition(min_digits=2, digits=3), train_size=60)
    keys = [tuple(key) for key in splits.task.key(splits.train_batch(0, 600)).tolist()]
    counts = {key: keys.count(key) for key in set(keys)}
    assert len(counts) == 60
    assert set(counts.values()) == {10}
