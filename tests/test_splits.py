"""Which problem is in which split, how many there are, and what is planted."""

import numpy as np
import pytest
from toys import Successor, Tally

from factorexe.blocks import merged
from factorexe.config import ConfigError, resolve
from factorexe.data import TaskDataModule
from factorexe.layout import SequenceLayout
from factorexe.splits import SplitError, Splits
from factorexe.tasks.addition import Addition
from factorexe.tasks.base import SHARES, SPLITS
from factorexe.tasks.modular import Modular
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


def shares_of(fraction, *, task=None, **options):
    """Every problem of each split under ``train_fraction``."""
    return by_split(task or Modular(operation="add"), train_fraction=fraction, eval_size=10**5, **options)


@pytest.mark.parametrize(
    ("operation", "fraction", "sizes"),
    [
        ("add", 0.5, [4704, 1569, 1568, 1568]),  # of 9409: half of it is 4704.5, and a half goes to the even number
        ("divide", 0.5, [4656, 1552, 1552, 1552]),  # of 9312, without divisors 0
        ("multiply", 0.3, [2823, 2196, 2195, 2195]),
    ],
)
def test_a_fraction_of_the_table_is_exact_and_the_rest_is_shared_equally(operation, fraction, sizes):
    held = shares_of(fraction, task=Modular(operation=operation))
    assert [len(held[split]) for split in SHARES] == sizes
    assert len(set.union(*held.values())) == sum(sizes)


def test_a_fraction_depends_on_split_seed_and_not_on_seed():
    task = Modular(modulus=23)
    one, other, elsewhere = (shares_of(0.4, task=task, **more) for more in ({}, {"seed": 5}, {"split_seed": 1}))
    assert one == other
    assert all(one[split] != elsewhere[split] for split in SHARES)


def test_a_larger_fraction_holds_a_smaller_one():
    small, large = shares_of(0.3), shares_of(0.31)
    assert small["train"] < large["train"]


def test_rounds_go_through_exactly_the_fraction():
    task = Modular(modulus=13)  # 156 problems
    splits = Splits(task, train_fraction=0.5, eval_size=1000)
    trained = splits.finite_train()
    assert len(trained) == 78
    for number in range(3):
        assert keys(task, splits.train_batch(number, 78)) == keys(task, trained)
    assert keys(task, splits.evaluation("seen")) == keys(task, trained)
    assert not len(splits.evaluation("ood"))


def test_a_fraction_may_be_corrupted():
    splits = Splits(Modular(), train_fraction=0.5, corrupt=0.1, eval_size=10**5)
    trained, canary = splits.finite_train(), splits.evaluation("canary")
    right = splits.task.complete(trained.prompt).answer
    wrong = (trained.answer != right).any(axis=1)
    assert len(trained) == 4656
    assert keys(splits.task, trained.select(wrong)) == keys(splits.task, canary)
    assert wrong.mean() == pytest.approx(0.1, abs=0.022)  # five standard deviations of 4656 draws


def test_swapped_operands_are_one_problem_of_a_fraction_too():
    task = Modular(modulus=11, operation="add", pairs="unordered")
    splits = Splits(task, train_fraction=0.5, eval_size=1000)
    held = [splits.finite_train(), *(splits.evaluation(split) for split in ("val", "guide", "test"))]
    pairs = [{frozenset(row.tolist()) for row in part.prompt[:, [0, 2]]} for part in held]
    assert [len(part) for part in held] == [len(found) for found in pairs] == [33, 11, 11, 11]  # 66 pairs in all
    rising = held[0].prompt[:, 0] <= held[0].prompt[:, 2]
    assert 0 < rising.sum() < 33  # written either way


def test_a_fraction_leaves_what_is_harder_alone():
    task = Modular(modulus=7, operands=3, ood_operands=4)
    plain, share = Splits(task, eval_size=50), Splits(task, train_fraction=0.9, eval_size=50)
    for split in ("ood", "ood_test"):
        assert np.array_equal(plain.evaluation(split).prompt, share.evaluation(split).prompt)
    assert set(share.finite_train().difficulty.tolist()) == {2, 3}
    assert len(share.finite_train()) == 265  # of 7 * 6 + 7 * 6 * 6 = 294; 264.6 is nearest


def test_a_mixture_without_a_difficulty_trains_on_none_of_it():
    task = Modular(modulus=7, operands=3)
    splits = Splits(task, train_fraction=0.9, mixture={3: 1.0})
    assert set(splits.finite_train().difficulty.tolist()) == {3}


def test_a_changed_task_shows_nothing_that_a_fraction_was_trained_on():
    task = Modular(modulus=7)
    own = shares_of(0.5, task=task)
    changed = Splits(Modular(modulus=7, operands=3, min_operands=2), train_fraction=0.5, eval_size=1000)
    changed.home = task
    seen = {split: changed.evaluation(split) for split in ("val", "test")}
    pairs = {split: keys(task, found.select(found.difficulty == 2)) for split, found in seen.items()}
    assert pairs == {"val": own["val"], "test": own["test"]}
    assert all((found.difficulty == 3).any() for found in seen.values())
    assert not keys(task, seen["val"]) & keys(task, seen["test"])


def test_a_changed_task_may_have_no_table_itself():
    splits = Splits(Modular(modulus=97, operands=4), train_fraction=0.5, eval_size=20)
    splits.home = Modular(modulus=97)
    assert len(splits.evaluation("val")) == 60


def test_a_fraction_needs_a_table():
    with pytest.raises(SplitError, match=r"has no table; use data\.train_size"):
        Splits(Addition(), train_fraction=0.5).check()


def test_a_fraction_that_leaves_a_split_empty_is_refused_with_its_counts():
    with pytest.raises(
        SplitError, match=r"6 problems in all.*train 5, val 1, guide 0, test 0.*train_fraction \(0\.9\)"
    ):
        Splits(Modular(modulus=3), train_fraction=0.9).check()
    Splits(Modular(), train_fraction=0.999).check()


def test_a_split_without_problems_has_no_batches():
    task = Modular(modulus=13)
    layout = SequenceLayout(task, chain=False)
    data = TaskDataModule(task, layout, resolve({"task": "modular"}).config.data, seed=0)
    assert data.evaluated == ("seen", "val")
    assert data.evaluation_batches("ood") == []
    assert len(data.splits.finite_train()) == 78  # half of 156


def test_a_training_set_is_given_by_size_or_by_fraction():
    given = {"task": "modular", "data": {"train_fraction": 0.5}}
    assert resolve(given).config.data.train_size is None
    with pytest.raises(ConfigError, match=r"train_size \(9\) and train_fraction \(0\.5\) exclude each other"):
        resolve(merged(given, {"data": {"train_size": 9}}))
    for share in (0, 1, 1.5):
        with pytest.raises(ConfigError, match=r"data\.train_fraction"):
            resolve({"task": "modular", "data": {"train_fraction": share}})
