"""Which problem is in which split, how many there are, and what is planted."""

import numpy as np
import pytest
from toys import Successor, Tally

from factorexe.splits import SplitError, Splits
from factorexe.tasks.addition import Addition
from factorexe.tasks.base import SHARES, SPLITS
from factorexe.tasks.multiplication import Multiplication

ALL = tuple(split for split in SPLITS if split != "train")


def keys(task, examples):
    return {tuple(key) for key in task.key(examples).tolist()}


def by_split(task, **options):
    splits = Splits(task, **options)
    return {"train": keys(task, splits.finite_train())} | {name: keys(task, splits.evaluation(name)) for name in ALL}


def test_the_splits_of_a_small_family_hold_all_of_it_and_share_nothing():
    held = by_split(Successor(size=400), train_size=400, eval_size=400)
    assert set.union(*held.values()) == {(number,) for number in range(1, 401)}
    assert sum(map(len, held.values())) == 400


def test_each_split_has_about_its_share():
    held = by_split(Successor(size=2000), train_size=2000, eval_size=2000)
    for split, share in SHARES.items():
        assert len(held[split]) / 2000 == pytest.approx(share, abs=0.05)


def test_what_is_harder_than_training_is_ood_and_nothing_else():
    splits = Splits(Tally(longest=4), train_size=10, eval_size=20)
    for split in ALL:
        levels = set(splits.evaluation(split).difficulty.tolist())
        assert levels <= set(splits.task.difficulties(split))


def test_a_stream_and_fixed_problems_of_several_lengths_share_nothing():
    task = Tally(longest=8)
    splits = Splits(task, eval_size=500)
    held_out = {task.text(row) for row in splits.evaluation("val").prompt}
    streamed = {task.text(row) for row in splits.train_batch(0, 4000).prompt}
    assert not held_out & streamed


def test_swapped_operands_are_one_problem_in_one_split():
    task = Multiplication(digits=1)
    held = by_split(task, train_size=100, eval_size=100)
    train = {frozenset((key[0], key[2])) for key in held["train"]}
    assert all(frozenset((key[0], key[2])) not in train for split in ALL[:3] for key in held[split])


def test_the_split_of_a_problem_depends_on_split_seed_and_not_on_seed():
    task = Addition()
    drawn = task.sample(np.full(500, 3), np.random.default_rng(0))
    assert (task.split(drawn, 0) != task.split(drawn, 1)).any()
    one, other, elsewhere = (
        Splits(task, train_size=50, seed=0),
        Splits(task, train_size=50, seed=1),
        Splits(task, train_size=50, split_seed=1),
    )
    assert keys(task, one.finite_train()) == keys(task, other.finite_train())
    assert keys(task, one.evaluation("val")) == keys(task, other.evaluation("val"))
    assert keys(task, one.evaluation("val")) != keys(task, elsewhere.evaluation("val"))
    assert not np.array_equal(one.train_batch(0, 50).prompt, other.train_batch(0, 50).prompt)


def test_train_size_counts_distinct_problems_or_all_there_are():
    task = Successor(size=100)
    everything = by_split(task, train_size=10_000)["train"]
    assert 50 < len(everything) < 90
    assert len(by_split(task, train_size=30)["train"]) == 30
    assert len(Splits(task, train_size=10_000).train_batch(0, 500)) == 500


def test_eval_size_counts_problems_of_each_difficulty():
    found = Splits(Addition(min_digits=3, digits=4), train_size=30, eval_size=7)
    assert np.bincount(found.evaluation("val").difficulty).tolist() == [0, 0, 0, 7, 7]
    assert np.bincount(found.evaluation("seen").difficulty).tolist() == [0, 0, 0, 7, 7]


@pytest.mark.parametrize("train_size", [None, 2000])
def test_corrupt_plants_wrong_answers_in_about_that_share(train_size):
    task = Addition()
    splits = Splits(task, train_size=train_size, corrupt=0.2)
    batch = splits.train_batch(0, 2000)
    first, second = (
        np.array([int(part) for part in column])
        for column in zip(*(task.text(row).split("+") for row in batch.prompt), strict=True)
    )
    written = np.array([int(task.text(row)[::-1]) for row in batch.answer])
    wrong = written != first + second
    assert wrong.mean() == pytest.approx(0.2, abs=0.045)  # five standard deviations of 2000 draws
    assert np.array_equal(wrong, splits.is_canary(batch))


def test_a_planted_answer_is_wrong_and_always_the_same():
    for task in (Addition(), Tally(longest=6)):
        splits = Splits(task, corrupt=1.0, train_size=50)
        drawn = task.sample(np.array(task.difficulties("train")).repeat(40), np.random.default_rng(0))
        planted = splits.planted(drawn)
        assert not task.solved(drawn, planted.answer).any()
        order = np.random.default_rng(1).permutation(len(drawn))
        text = [task.text(row) for row in planted.answer]
        assert [task.text(row) for row in splits.planted(drawn.select(order)).answer] == [text[at] for at in order]


def test_a_planted_answer_does_not_depend_on_how_wide_the_batch_is():
    task = Tally(longest=6)
    splits = Splits(task, corrupt=1.0)
    drawn = task.sample(np.full(40, 6), np.random.default_rng(0))
    widest = (drawn.answer != 0).sum(axis=1).max()
    few = drawn.select((drawn.answer != 0).sum(axis=1) < widest - 2)
    narrow = few.__class__(few.prompt, few.chain, few.chain_step, few.answer[:, : widest - 3], few.difficulty)
    assert [task.text(row) for row in splits.planted(narrow).answer] == [
        task.text(row) for row in splits.planted(few).answer
    ]


def test_seen_is_clean_and_canary_is_not_and_both_were_trained_on():
    task = Addition()
    splits = Splits(task, train_size=500, corrupt=0.3, eval_size=50)
    seen, canary = splits.evaluation("seen"), splits.evaluation("canary")
    assert len(seen) == len(canary) == 50
    assert not splits.is_canary(seen).any()
    assert splits.is_canary(canary).all()
    assert keys(task, seen) | keys(task, canary) <= keys(task, splits.finite_train())


def test_a_family_too_small_is_refused_with_its_counts():
    with pytest.raises(SplitError, match=r"3 problems in all.*train \d+, val \d+, guide \d+, test \d+"):
        Splits(Successor(size=3), split_seed=_empty_val(3)).check()
    with pytest.raises(SplitError, match="too few"):
        Splits(Successor(size=1), train_size=5).check()


def test_a_family_large_enough_is_not():
    Splits(Addition()).check()
    Splits(Successor(size=60), train_size=1000).check()


@pytest.mark.parametrize("mixture", [{9: 1.0}, {3: -1.0, 4: 2.0}, {3: 0.0}])
def test_a_mixture_without_meaning_is_refused(mixture):
    with pytest.raises(SplitError, match=r"data\.mixture"):
        Splits(Addition(min_digits=3, digits=4), mixture=mixture)


def test_an_answer_that_all_problems_share_cannot_be_corrupted():
    with pytest.raises(SplitError, match=r"data\.corrupt 0"):
        Splits(Successor(size=1), corrupt=1.0).planted(
            Successor(size=1).sample(np.array([1]), np.random.default_rng(0))
        )


def _empty_val(size):
    """A split seed that leaves val without a problem."""
    task = Successor(size=size)
    drawn = task.sample(np.full(100, 1), np.random.default_rng(0))
    return next(seed for seed in range(100) if not (task.split(drawn, seed) == SPLITS.index("val")).any())
