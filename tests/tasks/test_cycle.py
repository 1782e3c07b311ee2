"""Cycles against walks in the head, an enumeration of all of them, and a plain loop."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorexe.tasks.cycle import Cycle


def worked_out(text, **options):
    """Chain, answer and hops of a typed problem."""
    task = Cycle(**options)
    found = task.complete(task.parse(text)[None])
    return task.text(found.chain[0]), task.text(found.answer[0]), int(found.difficulty[0])


def test_hops_are_counted_from_place_0():
    assert worked_out("30122", length=4, hops=2) == ("32", "2", 2)  # from 0 to 3, from 3 to 2
    assert worked_out("30121", length=4, hops=2) == ("3", "3", 1)
    assert worked_out("30123", length=4, hops=2) == ("321", "1", 3)


def test_the_ancestor_goes_one_step_further():
    """Its permutation 0 3 2 1 is the cycle 0, 3, 2, 1; with 1 hop its answer is permutation[0 + 1 + 1] = 2."""
    assert worked_out("30121", length=4, hops=2, extra_step=True) == ("32", "2", 1)


@given(
    length=st.integers(4, 30),
    share=st.floats(0, 1),
    further=st.booleans(),
    seed=st.integers(0, 99),
)
def test_walks_are_those_of_a_plain_loop(length, share, further, seed):
    most = 1 + round(share * (length - 2 - further))
    task = Cycle(length=length, hops=most, extra_step=further)
    asked = np.random.default_rng(seed).integers(1, most + 1, 20)
    drawn = task.sample(asked, np.random.default_rng(seed))
    for row, hops in enumerate(asked):
        *table, told = (drawn.prompt[row] - 1).tolist()
        here, visited = 0, []
        for _ in range(hops + further):
            here = table[here]
            visited.append(here)
        chain = drawn.chain[row]
        assert told == hops
        assert (chain[chain != 0] - 1).tolist() == visited
        assert drawn.answer[row].tolist() == [here + 1]


def test_all_cycles_are_equally_likely():
    task = Cycle(length=5, hops=2)
    drawn = task.sample(np.full(24_000, 2), np.random.default_rng(0))
    counts = Counter(map(tuple, drawn.prompt[:, :5].tolist()))
    assert len(counts) == math.factorial(4)
    assert max(abs(count - 1000) for count in counts.values()) < 160  # five standard deviations


def test_answers_are_uniform_over_all_places_but_0():
    drawn = Cycle(length=5, hops=2).sample(np.full(24_000, 2), np.random.default_rng(0))
    assert np.bincount(drawn.answer[:, 0] - 1) / 24_000 == pytest.approx([0, 1 / 4, 1 / 4, 1 / 4, 1 / 4], abs=0.015)


def test_the_last_walk_of_all_ends_at_the_entry_that_is_0():
    """Why walks longer than half the cycle are shorter backwards."""
    drawn = Cycle(length=9, hops=8).sample(np.full(50, 8), np.random.default_rng(0))
    assert ((drawn.prompt[:, :9] - 1).argmin(axis=1) == drawn.answer[:, 0] - 1).all()


def test_key_holds_permutation_and_hops():
    task = Cycle(length=4, hops=2)
    keys = [tuple(task.key(task.complete(task.parse(text)[None]))[0]) for text in ("30121", "30122", "23101")]
    assert len(set(keys)) == 3


def test_what_is_no_cycle_is_refused():
    task = Cycle(length=4, hops=2)
    with pytest.raises(ValueError, match=r"expected a permutation with a single cycle \(got 1032\)"):
        task.complete(task.parse("10322")[None])
    with pytest.raises(ValueError, match=r"expected a permutation with a single cycle \(got 1222\)"):
        task.complete(task.parse("12222")[None])
    with pytest.raises(ValueError, match=r"expected 1 to 3 hops after the table \(got 0\)"):
        task.complete(task.parse("30120")[None])
    with pytest.raises(ValueError, match=r"expected the 4 entries of a table and the number of hops \(got 4 numbers\)"):
        task.complete(task.parse("3012")[None])


def test_walks_back_to_0_are_refused_by_name():
    with pytest.raises(ValueError, match=r"hops \(40\) must not exceed 39, the longest walk in a table of length 40"):
        Cycle(hops=40)
    with pytest.raises(ValueError, match=r"hops \(39\) must not exceed 38"):
        Cycle(hops=39, extra_step=True)
    assert Cycle(length=9, hops=8).ood_difficulty is None
