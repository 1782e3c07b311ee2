"""Conditional pointer value retrieval against walks in the head, a plain loop, and an enumeration of all walks."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorexe.tasks.c_vpr import CVPR, alias_table, subsets


def worked_out(text, **options):
    """Chain, answer and hops of a typed problem."""
    task = CVPR(**options)
    found = task.complete(task.parse(text)[None])
    return task.text(found.chain[0]), task.text(found.answer[0]), int(found.difficulty[0])


def walk(table):
    """Places visited and the entry that ends the walk, by the rule as one says it."""
    here, visited = 0, []
    while table[here] > here:
        here = table[here]
        visited.append(here)
    return visited, table[here]


def drawn(task, hops, count):
    """Tables (N, length) and answers (N,) of ``count`` problems."""
    examples = task.sample(np.full(count, hops), np.random.default_rng(0), chain=False)
    return examples.prompt[:, : task.length] - 1, examples.answer[:, 0] - 1


def variation(one, other):
    """Total variation distance of two distributions."""
    return np.abs(np.asarray(one) - np.asarray(other)).sum() / 2


def shares(numbers, length):
    return np.bincount(numbers, minlength=length) / len(numbers)


def test_pointers_are_followed_while_they_rise():
    assert worked_out("20314", length=5, hops=2) == ("231", "1", 2)  # 0 to 2, 2 to 3, and entry 3 is 1
    assert worked_out("12344", length=5, hops=2) == ("12344", "4", 4)  # an entry that names its own place ends it
    assert worked_out("40000", length=5, hops=2) == ("40", "0", 1)
    assert worked_out("03214", length=5, hops=2) == ("0", "0", 0)


def test_long_tables_are_written_with_blanks_and_hops_may_be_told():
    task = CVPR(length=12, hops=2, tell_hops=True)
    prompt = task.parse("11 0 0 0 0 0 0 0 0 0 0 10 1")[None]
    found = task.complete(prompt)
    assert (task.text(found.chain[0]), task.text(found.answer[0])) == ("11 10", "10")
    with pytest.raises(ValueError, match=r"expected the number of hops after the table, 1 \(got 2\)"):
        task.complete(task.parse("11 0 0 0 0 0 0 0 0 0 0 10 2")[None])


@given(
    length=st.integers(3, 40),
    share=st.floats(0, 1),
    sampler=st.sampled_from(["balanced", "published"]),
    told=st.booleans(),
    seed=st.integers(0, 99),
)
def test_walks_have_exactly_the_hops_asked_for(length, share, sampler, told, seed):
    most = 1 + round(share * (length - 2))
    task = CVPR(length=length, hops=most, sampler=sampler, tell_hops=told)
    asked = np.random.default_rng(seed).integers(1, most + 1, 20)
    examples = task.sample(asked, np.random.default_rng(seed))
    for row, hops in enumerate(asked):
        visited, entry = walk((examples.prompt[row, :length] - 1).tolist())
        chain = examples.chain[row]
        assert len(visited) == hops
        assert (chain[chain != 0] - 1).tolist() == [*visited, entry]
        assert examples.answer[row].tolist() == [entry + 1]
        assert examples.prompt[row, length:].tolist() == ([hops + 1] if told else [])


@pytest.mark.parametrize("sampler", ["balanced", "published"])
def test_hundred_hops_fit_into_a_hundred_and_one_places(sampler):
    tables, answers = drawn(CVPR(length=101, hops=100, sampler=sampler), 100, 50)
    assert (tables[:, :100] == np.arange(1, 101)).all()
    assert (tables[:, 100] == answers).all()


def test_subsets_are_uniform():
    members = subsets(np.full(60_000, 2), np.full(60_000, 4), 6, np.random.default_rng(0))
    pairs, counts = np.unique(members, axis=0, return_counts=True)
    assert len(pairs) == 6
    assert members.sum(axis=1).tolist() == [2] * 60_000
    assert np.abs(counts - 10_000).max() < 500  # five standard deviations


@pytest.mark.parametrize(("length", "hops"), [(6, 1), (6, 2), (7, 3), (7, 6), (8, 4)])
def test_entries_off_the_walk_are_distributed_as_those_on_it(length, hops):
    """Given that an entry rises, or that it falls, by the enumeration of every walk with its odds."""
    on = np.zeros((length, length))
    for answer in range(length):
        ends = range(max(answer, hops), length)
        for end in ends:
            ways = list(itertools.combinations(range(1, end), hops - 1))
            for way in ways:
                places = [0, *way, end]
                for place, value in zip(places, [*places[1:], answer], strict=True):
                    on[place, value] += 1 / length / len(ends) / len(ways)
    kept, other = alias_table(length, hops)
    off = kept / length
    for place in range(length):
        np.add.at(off[place], other[place], (1 - kept[place]) / length)
    for place in range(1, length):
        for side in (slice(place + 1, None), slice(None, place + 1)):
            if on[place, side].sum():
                assert off[place, side] / off[place, side].sum() == pytest.approx(
                    on[place, side] / on[place, side].sum()
                )
        assert off[place, place + 1 :].sum() == pytest.approx((length - 1 - place) / length)


@pytest.mark.parametrize("hops", [1, 5])
def test_balanced_answers_are_uniform_and_published_ones_are_not(hops):
    count, length = 20_000, 20
    far = {}
    for sampler in ("balanced", "published"):
        _, answers = drawn(CVPR(length=length, hops=hops, sampler=sampler), hops, count)
        far[sampler] = variation(shares(answers, length), np.full(length, 1 / length))
    assert far["balanced"] < 0.02  # of 20,000 draws: 0.011 on average, standard deviation 0.002
    assert far["published"] > {1: 0.3, 5: 0.08}[hops]


def test_published_answers_of_one_hop_have_the_odds_of_the_ancestor():
    """One place of 1 to 3, then an answer up to it: 0 and 1 in 1/3 (1/2 + 1/3 + 1/4), 2 in 1/3 (1/3 + 1/4) ..."""
    _, answers = drawn(CVPR(length=4, hops=1, sampler="published"), 1, 50_000)
    assert shares(answers, 4) == pytest.approx([13 / 36, 13 / 36, 7 / 36, 3 / 36], abs=0.01)


def test_reading_the_last_entry_answers_half_of_the_published_problems_with_many_hops():
    """The largest of 50 numbers below 100 is 99 in 50 of 99 cases; balanced, it is the last of all in one of 18."""
    right = {}
    for sampler in ("balanced", "published"):
        tables, answers = drawn(CVPR(length=100, hops=50, sampler=sampler), 50, 4000)
        right[sampler] = (tables[:, -1] == answers).mean()
    assert right["published"] > 0.45
    assert right["balanced"] < 0.08


def test_the_number_of_a_hop_tells_less_of_its_place_when_balanced():
    """How often the best guess of the k-th place is right, of somebody who knows k and nothing else."""
    hops, length, right = 15, 20, {}
    for sampler in ("balanced", "published"):
        tables, _ = drawn(CVPR(length=length, hops=hops, sampler=sampler), hops, 4000)
        places = np.array([walk(table.tolist())[0] for table in tables])
        right[sampler] = [shares(column, length).max() for column in places.T]
    assert np.mean(right["balanced"]) < np.mean(right["published"]) - 0.03
    assert right["published"][-1] > 0.7  # the largest of 15 numbers below 20 is 19 in 15 of 19 cases
    assert right["balanced"][-1] < 0.3


def test_values_give_away_walks_of_many_hops_when_published_and_not_when_balanced():
    """Total variation between rising entries on and off the walk at one place: what a look at the value tells."""
    hops, length, place, far = 8, 20, 6, {}
    for sampler in ("balanced", "published"):
        tables, _ = drawn(CVPR(length=length, hops=hops, sampler=sampler), hops, 12_000)
        on = np.array([place in walk(table.tolist())[0] for table in tables])
        value = tables[:, place]
        rises = value > place
        far[sampler] = variation(shares(value[on & rises], length), shares(value[~on & rises], length))
    assert far["balanced"] < 0.05
    assert far["published"] > 0.3


def test_key_is_the_table_whether_or_not_hops_are_told():
    bare, told = CVPR(length=5, hops=2), CVPR(length=5, hops=2, tell_hops=True)
    one, other = bare.complete(bare.parse("20314")[None]), told.complete(told.parse("203142")[None])
    assert bare.key(one).tolist() == told.key(other).tolist()
    assert bare.key(one).tolist() != bare.key(bare.complete(bare.parse("20313")[None])).tolist()


def test_a_number_written_later_is_at_the_place_that_it_names():
    task = CVPR(length=5, hops=2)
    row = np.concatenate([task.parse("20314"), [6], task.parse("231"), [7], task.parse("1"), [8]])[None]
    assert task.places(row, np.array([6]))[0].tolist() == [1, 2, 3, 4, 5, 1, 3, 4, 2, 0, 2, 0]


def test_walks_that_do_not_fit_are_refused_by_name():
    with pytest.raises(ValueError, match=r"hops \(10\) must not exceed 9, the longest walk in a table of length 10"):
        CVPR(length=10, hops=10)
    with pytest.raises(ValueError, match=r"ood_hops \(10\) must not exceed 9"):
        CVPR(length=10, hops=5, ood_hops=10)
    with pytest.raises(ValueError, match=r"min_hops \(6\) must not exceed hops \(5\)"):
        CVPR(min_hops=6, hops=5)
    with pytest.raises(ValueError, match=r"ood_hops \(5\) must exceed hops \(5\)"):
        CVPR(hops=5, ood_hops=5)
    assert CVPR(length=10, hops=9).ood_difficulty is None
    assert CVPR(length=10, hops=7).ood_difficulty == (8, 9)


def test_tables_of_another_length_are_refused():
    task = CVPR(length=5, hops=2)
    with pytest.raises(ValueError, match=r"expected the 5 entries of a table \(got 4 numbers\)"):
        task.complete(task.parse("2031")[None])
