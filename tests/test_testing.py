"""The checks find what they are there to find."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from toys import Successor, Tally

from factorexe.tasks.addition import Addition
from factorexe.tasks.base import Task, Widths
from factorexe.testing import check_task, task_checks


class Restless(Addition):
    """Draws from a generator of its own."""

    def sample(self, difficulty, rng, *, chain=True):
        return super().sample(difficulty, np.random.default_rng(), chain=chain)


class Stuck(Addition):
    """Draws the same problems for every seed."""

    def sample(self, difficulty, rng, *, chain=True):
        return super().sample(difficulty, np.random.default_rng(0), chain=chain)


class Shuffled(Addition):
    """Returns the problems sorted by difficulty."""

    def sample(self, difficulty, rng, *, chain=True):
        return super().sample(np.sort(difficulty), rng, chain=chain)


class Cramped(Addition):
    """Promises less room than it needs."""

    def widths(self, difficulty):
        return Widths(*(width - 1 for width in super().widths(difficulty)))


class Lenient(Addition):
    """Calls everything solved."""

    def solved(self, examples, answer):
        return np.ones(len(examples), dtype=bool)


class LeftPadded(Addition):
    """Pads answers on the wrong side."""

    def sample(self, difficulty, rng, *, chain=True):
        drawn = super().sample(difficulty, rng, chain=chain)
        return dataclasses.replace(drawn, answer=np.pad(drawn.answer, ((0, 0), (1, 0))))


class Evasive(Addition):
    """Shows a chain that says nothing about the answer."""

    def sample(self, difficulty, rng, *, chain=True):
        drawn = super().sample(difficulty, rng, chain=chain)
        return dataclasses.replace(drawn, chain=np.minimum(drawn.chain, 1))


class Leaky(Successor):
    """Splits by chance instead of by problem."""

    def split(self, examples, split_seed):
        return np.random.default_rng(len(examples)).integers(0, 4, len(examples))


class Nameless(Successor):
    """Has no presets."""

    presets = {}  # noqa: RUF012


class Misspelled(Successor):
    """Sets an option that no run has."""

    presets = {"default": {}, "tiny": {"data.trian_size": 3}}  # noqa: RUF012


@pytest.mark.parametrize(
    ("task", "broken"),
    [
        (Restless, "same_seed_same_problems"),
        (Stuck, "other_seed_other_problems"),
        (Shuffled, "difficulty_is_what_was_asked_for"),
        (Cramped, "widths_bound_what_is_drawn"),
        (Lenient, "altered_answers_do_not"),
        (LeftPadded, "padding_stands_on_the_right"),
        (Evasive, "the_chain_determines_the_answer"),
        (Leaky, "splits_are_disjoint"),
        (Nameless, "presets_hold"),
        (Misspelled, "presets_hold"),
    ],
)
def test_a_broken_promise_is_found(task: type[Task], broken: str):
    checks = {check.__name__: check for check in task_checks(task)}
    with pytest.raises(AssertionError):
        checks[broken]()


def test_a_task_without_chain_or_ood_keeps_every_promise():
    check_task(Successor)


@pytest.mark.parametrize("check", task_checks(Tally), ids=lambda check: check.__name__)
def test_a_task_of_many_lengths_with_the_default_key_keeps_its_promise(check):
    check()


def test_the_checks_of_tasks_import_no_torch():
    code = "import sys; from factorexe.testing import check_model, check_task; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
