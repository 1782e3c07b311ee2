"""Problems are found once, belong to whoever asks, and take no more memory than was agreed."""

import numpy as np
import pytest

from factorexe.kept import Kept
from factorexe.splits import Splits
from factorexe.tasks.addition import Addition
from factorexe.tasks.multiplication import Multiplication


def problems(count, seed=0):
    return Addition(digits=3).sample(np.full(count, 2), np.random.default_rng(seed))


def never():
    pytest.fail("found again")


def bytes_of(examples):
    kept = Kept(most=10**9)
    kept.examples("alone", lambda: examples)
    return kept.size


def test_what_is_kept_is_counted_with_every_number_in_it():
    few, many = problems(3), problems(103)
    wide = few.prompt.shape[1] + 2 * few.chain.shape[1] + few.answer.shape[1] + 1  # 8 bytes each, and groups
    assert bytes_of(many) - bytes_of(few) >= 100 * 8 * wide
    assert bytes_of(few.select(slice(0, 0))) > 0


def test_what_was_found_is_not_looked_for_again():
    kept = Kept(most=10**6)
    first = kept.examples("some", lambda: problems(3))
    again = kept.examples("some", never)
    assert np.array_equal(first.prompt, again.prompt)
    assert np.array_equal(first.answer, again.answer)


def test_writing_into_what_one_got_harms_nobody_else():
    kept = Kept(most=10**6)
    right = problems(3).prompt.copy()
    kept.examples("some", lambda: problems(3)).prompt[:] = 0
    kept.examples("some", never).prompt[:] = 0
    assert np.array_equal(kept.examples("some", never).prompt, right)


def test_what_was_asked_for_longest_ago_goes_first():
    kept = Kept(most=2 * bytes_of(problems(3)))
    for key in ("one", "two"):
        kept.examples(key, lambda: problems(3))
    kept.examples("one", never)
    kept.examples("three", lambda: problems(3))
    kept.examples("one", never)
    kept.examples("three", never)
    found = []
    kept.examples("two", lambda: found.append(1) or problems(3))
    assert found


def test_what_is_larger_than_all_room_is_not_kept_and_drives_nothing_out():
    kept = Kept(most=bytes_of(problems(3)))
    kept.examples("small", lambda: problems(3))
    assert len(kept.examples("large", lambda: problems(4))) == 4
    assert kept.size == bytes_of(problems(3))
    kept.examples("small", never)


def test_a_key_that_cannot_be_compared_keeps_nothing():
    kept = Kept(most=10**6)
    kept.examples(["a list"], lambda: problems(3))
    assert kept.size == 0


@pytest.mark.parametrize("changed", [{"split_seed": 1}, {"eval_size": 20}, {"chain": False}])
def test_splits_that_differ_share_no_problems_by_mistake(changed):
    """Found after another's, they are what they are alone; the chain alone changes none of the problems."""
    options = {"eval_size": 30, "train_size": 200}
    one = Splits(Addition(digits=3), **options).evaluation("val")
    other = Splits(Addition(digits=3), **{**options, **changed}).evaluation("val")
    same = one.prompt.shape == other.prompt.shape and np.array_equal(one.prompt, other.prompt)
    assert same == (changed == {"chain": False})
    assert other.chain.any() == ("chain" not in changed)


def test_seen_problems_follow_the_seed_of_a_stream():
    one, same, other = (
        Splits(Multiplication(digits=3), eval_size=20, seed=seed).evaluation("seen") for seed in (0, 0, 1)
    )
    assert np.array_equal(one.prompt, same.prompt)
    assert not np.array_equal(one.prompt, other.prompt)
