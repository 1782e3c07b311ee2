"""Parities counted by hand and by Python."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorexe.tasks.parity import Parity


def solved(task, prompt):
    found = task.complete(task.parse(prompt)[None])
    return task.text(found.chain[0]), task.text(found.answer[0]), found.difficulty.tolist()[0]


def test_bits_counted_in_the_head():
    assert solved(Parity(), "10111") == ("11010", "0", 5)
    assert solved(Parity(), "100") == ("111", "1", 3)


def test_a_vector_counts_ones_and_steps_over_zeros():
    task = Parity(vector_length=7, length=7)
    assert solved(task, "01-001-") == ("1100", "0", 4)  # after 1, -1, 1, -1
    assert solved(task, "-------") == ("0000000", "0", 7)  # -1 is no one
    assert solved(task, "0000000") == ("", "0", 0)


@given(length=st.integers(1, 40), extra=st.none() | st.integers(0, 9), seed=st.integers(0, 99))
def test_parities_are_those_of_counts(length, extra, seed):
    task = Parity(length=length, vector_length=None if extra is None else length + extra)
    drawn = task.sample(np.array([length, 1, length]), np.random.default_rng(seed))
    for row, level in enumerate([length, 1, length]):
        prompt, chain, answer = (task.text(tokens[row]) for tokens in (drawn.prompt, drawn.chain, drawn.answer))
        entries = prompt if extra is None else prompt.replace("0", "")
        assert len(entries) == level
        assert len(prompt) == (level if extra is None else task.vector_length)
        assert chain == "".join(str(entries[: step + 1].count("1") % 2) for step in range(level))
        assert answer == str(prompt.count("1") % 2) == chain[-1]


def test_entries_of_a_vector_are_spread_evenly_over_its_places_and_signs():
    task = Parity(vector_length=8, length=8)
    drawn = task.sample(np.full(4000, 2), np.random.default_rng(0))
    for token in (2, 3):
        share = (drawn.prompt == token).mean(axis=0)
        assert abs(share - 1 / 8).max() < 0.03
    assert abs((drawn.answer == 2).mean() - 0.5) < 0.05


def test_as_many_entries_are_not_0_as_the_difficulty_says():
    task = Parity(vector_length=64, length=64)
    wanted = np.random.default_rng(0).integers(1, 65, 500)
    drawn = task.sample(wanted, np.random.default_rng(1))
    assert np.array_equal((drawn.prompt > 1).sum(axis=1), wanted)
    assert (drawn.prompt != 0).all()


def test_out_of_distribution_ends_with_the_vector():
    assert Parity(vector_length=64, length=64).ood_difficulty is None
    assert Parity(vector_length=96, length=48).ood_difficulty == (49, 96)
    assert Parity(vector_length=70, length=48).ood_difficulty == (49, 70)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 9}, r"length \(9\) must not exceed vector_length \(8\)"),
        ({"length": 4, "ood_length": 9}, r"ood_length \(9\) must not exceed vector_length \(8\)"),
        ({"length": 4, "ood_min_length": 9}, r"ood_min_length \(9\) must not exceed vector_length \(8\)"),
    ],
)
def test_more_entries_than_the_vector_has_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        Parity(vector_length=8, **options)


def test_the_presets_of_pondernet_are_its_ranges():
    found = {}
    for name in ("ponder", "ponder-extrapolation"):
        paths = Parity.presets[name]
        task = Parity(**{path[5:]: value for path, value in paths.items() if path.startswith("task.")})
        found[name] = (task.vector_length, task.train_difficulty, task.ood_difficulty)
    assert found == {"ponder": (64, (1, 64), None), "ponder-extrapolation": (96, (1, 48), (49, 96))}


def test_places_couple_each_entry_with_its_step():
    task = Parity(vector_length=7, length=7)
    mark = len(task.symbols)
    row = [*task.parse("01-001-"), mark, *task.parse("1100"), mark + 1, *task.parse("0"), mark + 2]
    assert task.places(np.array([row]), np.array([8]))[0].tolist() == [
        *(0, 2, 3, 0, 0, 4, 5, 1),  # the vector, and the mark after it
        *(2, 3, 4, 5),  # the chain
        *(1, 2, 1),  # the answer between its marks
    ]
