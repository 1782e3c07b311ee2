"""What a constant answer is worth, on problems that can be counted."""

from types import SimpleNamespace

import numpy as np
import pytest
from toys import Tally

from factorexe.result import baselines
from factorexe.tasks.base import Examples, Values
from factorexe.tasks.regression import Regression


def examples(answers, levels):
    """Problems with these answers, as many ones each, and difficulties; what is asked does not matter."""
    answer = np.array([[2] * ones + [3] + [0] * (3 - ones) for ones in answers]).reshape(-1, 4)
    nothing = np.zeros((len(answer), 0), dtype=np.int64)
    return Examples(nothing, nothing, nothing, answer, np.array(levels, dtype=np.int64))


def data(task, **splits):
    return SimpleNamespace(task=task, splits=SimpleNamespace(evaluation=splits.get))


def test_the_constant_is_the_most_frequent_answer_of_seen_at_that_difficulty():
    found = baselines(
        data(
            Tally(),
            seen=examples([1, 1, 2, 3, 3], [1, 1, 1, 2, 2]),
            val=examples([1, 2, 2, 3, 1], [1, 1, 1, 2, 2]),
            ood=examples([], []),
        )
    )
    assert found["majority_by_difficulty"]["val"] == pytest.approx({"1": 1 / 3, "2": 1 / 2})
    assert found["majority"] == pytest.approx(5 / 12)
    assert found["majority_by_difficulty"]["ood"] == {}


def test_where_seen_does_not_hold_a_difficulty_it_is_the_most_frequent_of_all():
    seen = examples([1, 1, 1, 2, 2], [1, 1, 1, 2, 2])
    found = baselines(data(Tally(), seen=seen, val=examples([2], [3]), ood=examples([1, 1, 2, 3], [9] * 4)))
    assert found["majority_by_difficulty"] == {"val": {"3": 0.0}, "ood": {"9": 0.5}}


def test_a_constant_number_is_the_median():
    task = Regression(tolerance=0.1)

    def numbers(*x):
        return task.complete(np.ones((len(x), 1), dtype=np.int64), np.array(x)[:, None])

    seen = numbers(0.1, -0.4, 0.9)  # |x| has median 0.4
    assert isinstance(seen.values, Values)
    found = baselines(data(task, seen=seen, val=numbers(0.35, -0.45, 0.7, 0.1), ood=numbers(1.1)))
    assert found["majority"] == 0.5
    assert found["majority_by_difficulty"]["ood"] == {"1": 0.0}


def test_a_data_module_without_splits_has_no_baseline():
    assert baselines(SimpleNamespace()) == {"majority": None, "majority_by_difficulty": None}
