"""What a task promises."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from factorexe.splits import Splits
from factorexe.tasks.base import SPLITS, BoolArray, Examples, IntArray, Task, Values
from factorexe.testing import options as options_

COUNT = 200  # problems looked at per difficulty
_HEAVY = ("torch", "lightning", "jax", "tensorflow", "matplotlib")
_TOKENS = ("prompt", "chain", "answer")


class TaskPromises:
    """One method for each promise."""

    def __init__(self, cls: type[Task], options: Mapping[str, Any]) -> None:
        self._cls, self._options = cls, options

    def import_is_light(self) -> None:
        """Importing the task's module imports no torch; where the class is not importable there is nothing to ask."""
        module = sys.modules.get(self._cls.__module__)
        if self._cls.__module__ == "__main__" or getattr(module, "__spec__", None) is None or _is_a_file(module):
            return
        code = f"import sys, {self._cls.__module__}; print(*[name for name in {_HEAVY} if name in sys.modules])"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
        asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
        assert asked.returncode == 0, f"importing {self._cls.__module__} fails: {asked.stderr.strip()[-300:]}"
        assert not asked.stdout.strip(), f"importing {self._cls.__module__} imports {asked.stdout.strip()}"

    def defaults_are_valid(self) -> None:
        """Every option has a default, and the defaults fit together."""
        self._cls()

    def options_survive_json(self) -> None:
        """The task read back from its JSON is the same."""
        options_.survive_json(self._task)

    def unknown_options_are_refused(self) -> None:
        """An option that does not exist is an error."""
        options_.refuse_the_unknown(self._cls, self._options)

    def presets_hold(self) -> None:
        """``default`` and ``tiny`` exist and set options that a run has."""
        options_.hold_presets(self._cls, "task")

    def difficulties_are_ranges(self) -> None:
        """Training has at least one difficulty; out of distribution is harder than all of them."""
        easiest, hardest = self._task.train_difficulty
        assert easiest <= hardest, f"train_difficulty {easiest, hardest} is empty"
        beyond = self._task.ood_difficulty
        assert beyond is None or hardest < beyond[0] <= beyond[1], (
            f"ood_difficulty {beyond} does not lie above train_difficulty {easiest, hardest}"
        )

    def same_seed_same_problems(self) -> None:
        """``sample`` is a pure function of its arguments."""
        _same(self._draw(1), self._draw(1), "two draws with the same seed", (*_TOKENS, "chain_step", "difficulty"))

    def other_seed_other_problems(self) -> None:
        """The problems come from the generator, where a difficulty has more than one."""
        one, other = (_known(self._draw(seed)) for seed in (1, 2))
        same = all(np.array_equal(first, second) for first, second in zip(one, other, strict=True))
        distinct = set(_rows(np.concatenate([self._asked[:, None], *one], axis=1)))
        only = len(distinct) == len(np.unique(self._asked))
        assert not same or only, "two seeds draw the same problems"

    def global_state_is_left_alone(self) -> None:
        """Neither does NumPy's global generator decide anything, nor does a draw move it."""
        state: Any = np.random.get_state()  # noqa: NPY002 the promise is about this very state
        self._draw(1)
        after: Any = np.random.get_state()  # noqa: NPY002
        moved = (state[1] != after[1]).any() or state[2] != after[2]
        assert not moved, "sample uses NumPy's global generator"

    def same_problems_without_the_chain(self) -> None:
        """``chain=False`` leaves the chain empty and all else as it is."""
        bare = self._draw(1, chain=False)
        assert not bare.chain.any(), "chain=False fills the chain"
        _same(self._draw(1), bare, "draws with and without the chain", ("prompt", "answer", "difficulty"))

    def difficulty_is_what_was_asked_for(self) -> None:
        """Row by row, in one call with several difficulties."""
        got = self._draw(1).difficulty
        assert np.array_equal(got, self._asked), "difficulty is not the one asked for, in order"

    def rows_agree_in_number_and_type(self) -> None:
        """Every array has a row per problem; tokens are integers; chain and its steps have one shape."""
        drawn = self._draw(1)
        for name in (*_TOKENS, "chain_step"):
            array = getattr(drawn, name)
            assert array.shape[:-1] == (len(drawn),), f"{name} has shape {array.shape} for {len(drawn)} problems"
            assert np.issubdtype(array.dtype, np.integer), f"{name} holds {array.dtype}, not integers"
        assert drawn.chain.shape == drawn.chain_step.shape, "chain and chain_step differ in shape"
        for name, keys in drawn.groups.items():
            assert keys.shape == (len(drawn),), f"group {name!r} has shape {keys.shape} for {len(drawn)} problems"

    def tokens_are_in_the_alphabet(self) -> None:
        """Ids lie below the number of symbols; symbols differ; id 0 is padding and has no text."""
        symbols = self._task.symbols
        assert symbols[0] == "", f"symbols[0] is {symbols[0]!r}; it stands for padding and must be ''"
        assert len(set(symbols)) == len(symbols), "a symbol occurs twice in symbols"
        assert all(self._task.symbols[1:]), "a symbol besides padding is empty"
        for name in _TOKENS:
            tokens = getattr(self._draw(1), name)
            low, high = tokens.min(initial=0), tokens.max(initial=0)
            assert 0 <= low <= high < len(symbols), f"{name} holds ids {low} to {high}; the alphabet has {len(symbols)}"

    def padding_stands_on_the_right(self) -> None:
        """No token follows a 0; prompts and answers are not empty."""
        for name in _TOKENS:
            filled = getattr(self._draw(1), name) != 0
            assert not (filled[:, 1:] & ~filled[:, :-1]).any(), f"{name} has padding before a token"
            assert name == "chain" or filled.any(axis=1).all(), f"a problem has an empty {name}"

    def steps_are_numbered_in_order(self) -> None:
        """The steps of a chain count up from 0."""
        drawn = self._draw(1)
        for chain, step in zip(drawn.chain, drawn.chain_step, strict=True):
            numbers = step[chain != 0]
            jumps = np.diff(numbers, prepend=-1)
            assert len(numbers) == 0 or (numbers[0] == 0 and np.isin(jumps, (0, 1)).all()), (
                f"chain_step {numbers.tolist()} does not count up from 0"
            )

    def widths_bound_what_is_drawn(self) -> None:
        """No prompt, chain or answer is longer than ``widths`` says."""
        drawn = self._draw(1)
        for level in np.unique(drawn.difficulty):
            bound = self._task.widths(int(level))
            rows = drawn.difficulty == level
            for name in _TOKENS:
                longest = int((getattr(drawn, name)[rows] != 0).sum(axis=1).max())
                allowed = getattr(bound, name)
                assert longest <= allowed, f"difficulty {level}: {name} of {longest} tokens; widths allow {allowed}"

    def answers_solve_themselves(self) -> None:
        """The right answer is right, however much it is padded."""
        drawn = self._draw(1)
        padded = np.pad(drawn.answer, ((0, 0), (0, 3)))
        assert self._solved(drawn, drawn.answer).all(), "solved() refuses the example's own answer"
        assert self._solved(drawn, padded).all(), "solved() refuses the example's own answer with padding"

    def altered_answers_do_not(self) -> None:
        """Where equality is the rule, another token, a missing one or one too many is wrong; so is nothing."""
        drawn, task = self._draw(1), self._task
        assert not self._solved(drawn, np.zeros_like(drawn.answer)).any(), "solved() accepts an empty answer"
        if type(task).solved is not Task.solved:
            return
        other = drawn.answer.copy()
        other[:, 0] = other[:, 0] % (len(task.symbols) - 1) + 1
        width = (drawn.answer != 0).sum(axis=1)
        short, long = drawn.answer.copy(), np.pad(drawn.answer, ((0, 0), (0, 1)))
        rows = np.arange(len(drawn))
        short[rows, width - 1], long[rows, width] = 0, 1
        for answer, how in ((other, "with another token"), (short, "cut short"), (long, "with a token too many")):
            assert not task.solved(drawn, answer).any(), f"solved() accepts an answer {how}"

    def text_and_parse_are_inverse(self) -> None:
        """What is written can be read back."""
        drawn = self._draw(1)
        for name in _TOKENS:
            for row in getattr(drawn, name)[:20]:
                text = self._task.text(row)
                assert np.array_equal(self._task.parse(text), row[row != 0]), f"{name} {text!r} is read back as another"

    def numbers_stand_behind_numeric_tokens_alone(self) -> None:
        """Where the task has numeric symbols: values are as wide as the tokens, finite, and 1 behind any other token;
        they can be written and read back."""
        drawn, task = self._draw(1), self._task
        if not task.numeric:
            assert drawn.values is None, "there are values, but no numeric symbol"
            return
        assert drawn.values is not None, "there are numeric symbols, but no values"
        for name, numbers in zip(_TOKENS, drawn.values, strict=True):
            tokens = getattr(drawn, name)
            assert numbers.shape == tokens.shape, f"{name} has values of shape {numbers.shape} for {tokens.shape}"
            assert np.isfinite(numbers).all(), f"a value of {name} is not finite"
            plain = ~np.isin(tokens, task.numeric)
            assert (numbers[plain] == 1).all(), f"a token of {name} that is not numeric has a value other than 1"
            for row in range(20):
                read = task.parse_values(task.text(tokens[row], numbers[row]))
                assert np.allclose(read, numbers[row][tokens[row] != 0], rtol=1e-9), f"values of {name} change in text"

    def qualities_are_one_number_each(self) -> None:
        """What else the task says of an answer is a float for each problem, NaN where it cannot say it."""
        drawn = self._draw(1)
        values = () if drawn.values is None else (drawn.values.answer,)
        for name, numbers in self._task.qualities(drawn, drawn.answer, *values).items():
            assert numbers.shape == (len(drawn),), (
                f"quality {name!r} has shape {numbers.shape} for {len(drawn)} problems"
            )
            assert np.issubdtype(numbers.dtype, np.floating), f"quality {name!r} holds {numbers.dtype}, not floats"

    def equal_problems_have_equal_solutions(self) -> None:
        """The same prompt has the same chain, answer and key."""
        drawn = self._draw(1)
        solution = [drawn.chain, drawn.answer, self._task.key(drawn)]
        known = [drawn.difficulty[:, None], *_known(drawn)]
        _determines(known, solution, "one prompt has two chains, answers or keys")

    def the_chain_determines_the_answer(self) -> None:
        """No two problems of one difficulty have the same chain and different answers."""
        drawn = self._draw(1)
        drawn = drawn.select((drawn.chain != 0).any(axis=1))
        known = [drawn.difficulty[:, None], drawn.chain, drawn.chain_step * (drawn.chain != 0)]
        _determines(known, [drawn.answer], "one chain has two answers")

    def keys_depend_on_the_problem_alone(self) -> None:
        """Not on the other problems of the batch, nor on how wide they make it, nor on the chain."""
        drawn, task = self._draw(1), self._task
        keys, home = task.key(drawn), task.split(drawn, 0)
        assert keys.shape[:-1] == (len(drawn),), f"key has shape {keys.shape} for {len(drawn)} problems"
        assert np.issubdtype(keys.dtype, np.integer), f"key holds {keys.dtype}, not integers"
        assert np.array_equal(task.key(self._draw(1, chain=False)), keys), "key depends on the chain"
        for level in np.unique(drawn.difficulty):
            rows = drawn.difficulty == level
            alone = _trimmed(drawn.select(rows))
            assert _same_rows(task.key(alone), keys[rows]), "key depends on how wide the batch is"
            assert np.array_equal(task.split(alone, 0), home[rows]), "split depends on how wide the batch is"

    def a_table_lists_every_problem_solved(self) -> None:
        """Where the task lists its problems: what is drawn in training stands there, and is solved alike."""
        table = self._task.table()
        if table is None:
            return
        drawn = self._draw(1)
        drawn = drawn.select(drawn.difficulty <= self._task.train_difficulty[1])
        listed = {
            (*known, *solved) for known, solved in zip(_problems(self._task, table), _solutions(table), strict=True)
        }
        for known, solved in zip(_problems(self._task, drawn), _solutions(drawn), strict=True):
            assert (*known, *solved) in listed, "a problem drawn is not in table(), or is solved otherwise there"

    def typed_problems_are_solved_as_drawn_ones(self) -> None:
        """Where the task works out typed problems: chain, steps, answer and difficulty are those of the example."""
        if not self._task.completes:
            return
        drawn = self._draw(1)
        values = () if drawn.values is None else (drawn.values.prompt,)
        solved = self._task.complete(drawn.prompt, *values)
        assert np.array_equal(solved.difficulty, drawn.difficulty), "complete() finds another difficulty"
        for name in ("chain", "answer"):
            assert _same_rows(getattr(solved, name), getattr(drawn, name)), f"complete() finds another {name}"

    def variants_are_the_same_problems(self) -> None:
        """Those that there are have the same keys, difficulties and answers, and these solve them."""
        for chain in (True, False):
            drawn = self._draw(7, chain=chain)
            found = self._task.variants(drawn, np.random.default_rng(0))
            if found is None:
                continue
            assert np.array_equal(self._task.key(found), self._task.key(drawn)), "a variant is another problem"
            assert np.array_equal(found.difficulty, drawn.difficulty), "a variant is harder or easier"
            assert _same_rows(found.answer, drawn.answer), "a variant has another answer"
            assert self._solved(found, found.answer).all(), "a variant's answer does not solve it"
            assert found.chain.shape[1] > 0 or not drawn.chain.shape[1], "a variant has no chain"

    def places_depend_on_nothing_later(self) -> None:
        """Where the task tells places: one for each token, from 0; after the prompt, whatever follows."""
        if not self._task.tells_places:
            return
        rows, given = _written(self._draw(1).select(slice(0, 40)), len(self._task.symbols))
        places = self._task.places(rows, given)
        assert places.shape == rows.shape, f"places have shape {places.shape} for tokens {rows.shape}"
        assert (places >= 0).all(), "a place is negative"
        assert not places[rows == 0].any(), "padding has a place"
        for cut in range(int(given.max()), rows.shape[1]):
            before = self._task.places(np.where(np.arange(rows.shape[1]) < cut, rows, 0), given)
            assert np.array_equal(before[:, :cut], places[:, :cut]), f"places before {cut} depend on later tokens"

    def splits_are_disjoint(self) -> None:
        """train, val, guide and test never share a problem; nor do ood and ood_test, with any of the others."""
        seen_in: dict[bytes, str] = {}
        for split in SPLITS:
            found = self._splits.finite_train() if split == "train" else self._splits.evaluation(split)
            for key in _rows(self._task.key(found)):
                before = seen_in.setdefault(key, split)
                assert before == split, f"{before} and {split} share a problem"

    def seen_is_inside_train(self) -> None:
        """What is scored as seen was trained on, in a finite set and in a stream."""
        task = self._task
        trained = set(_rows(task.key(self._splits.finite_train())))
        assert trained.issuperset(_rows(task.key(self._splits.evaluation("seen")))), "seen is not inside train"
        stream = Splits(task, eval_size=20)
        for name, examples in (("seen", stream.evaluation("seen")), ("the stream", stream.train_batch(3, 100))):
            assert (task.split(examples, 0) == SPLITS.index("train")).all(), f"{name} leaves the train split"

    def _solved(self, drawn: Examples, answer: IntArray) -> BoolArray:
        """``solved`` with the numbers of the right answer behind the tokens."""
        if drawn.values is None:
            return self._task.solved(drawn, answer)
        width = answer.shape[1] - drawn.answer.shape[1]
        return self._task.solved(drawn, answer, np.pad(drawn.values.answer, ((0, 0), (0, width)), constant_values=1))

    @cached_property
    def _task(self) -> Task:
        return self._cls(**self._options)

    @cached_property
    def _splits(self) -> Splits:
        levels = len(self._task.difficulties("train"))
        return Splits(self._task, train_size=COUNT * levels, eval_size=COUNT)

    @cached_property
    def _asked(self) -> IntArray:
        """Every difficulty, easy and hard ones mixed."""
        levels = [*self._task.difficulties("train"), *self._task.difficulties("ood")]
        few = sorted({levels[0], levels[len(levels) // 2], levels[-1], self._task.train_difficulty[1]})
        return np.random.default_rng(0).permutation(np.repeat(few, COUNT))

    def _draw(self, seed: int, *, chain: bool = True) -> Examples:
        return self._task.sample(self._asked, np.random.default_rng(seed), chain=chain)


def _is_a_file(module: Any) -> bool:
    """Whether the registry made this module from a path."""
    return str(module.__name__).startswith("factorexe_file_")


def _same(one: Examples, other: Examples, what: str, names: tuple[str, ...]) -> None:
    for name in names:
        assert np.array_equal(getattr(one, name), getattr(other, name)), f"{what} differ in {name}"


def _known(drawn: Examples) -> list[IntArray]:
    """Everything that a prompt says: its tokens, and the bits of the numbers behind them."""
    return [drawn.prompt] if drawn.values is None else [drawn.prompt, drawn.values.prompt.view(np.int64)]


def _problems(task: Task, examples: Examples) -> Iterator[tuple[bytes, ...]]:
    """Difficulty, key and prompt of each problem."""
    return zip(_rows(examples.difficulty[:, None]), _rows(task.key(examples)), _rows(examples.prompt), strict=True)


def _solutions(examples: Examples) -> Iterator[tuple[bytes, ...]]:
    """Chain and answer of each problem."""
    return zip(_rows(examples.chain), _rows(examples.answer), strict=True)


def _determines(known: list[IntArray], result: list[IntArray], message: str) -> None:
    found: dict[bytes, bytes] = {}
    for key, value in zip(_rows(np.concatenate(known, axis=1)), _rows(np.concatenate(result, axis=1)), strict=True):
        assert found.setdefault(key, value) == value, message


def _rows(array: IntArray) -> Iterator[bytes]:
    """Each row as bytes, without the zeros at its end."""
    for row in array:
        filled = np.flatnonzero(row)
        yield row[: filled[-1] + 1 if len(filled) else 0].astype(np.int64).tobytes()


def _same_rows(one: IntArray, other: IntArray) -> bool:
    return list(_rows(one)) == list(_rows(other))


def _written(examples: Examples, mark: int) -> tuple[IntArray, IntArray]:
    """Rows (N, L) as a layout writes them, and how much of each is given; its marks are ids from ``mark`` on."""
    pieces = [(examples.prompt, mark), (examples.chain, mark + 1), (examples.answer, mark + 2)]
    rows = [
        [token for tokens, after in pieces for token in [*tokens[row][tokens[row] != 0].tolist(), after]]
        for row in range(len(examples))
    ]
    width = max(map(len, rows))
    given = (examples.prompt != 0).sum(axis=1) + 1
    return np.array([row + [0] * (width - len(row)) for row in rows], dtype=np.int64), given


def _trimmed(examples: Examples) -> Examples:
    """Without the columns that only padding fills."""
    width = {name: int((getattr(examples, name) != 0).sum(axis=1).max(initial=0)) for name in _TOKENS}
    values = examples.values
    if values is not None:
        values = Values(*(numbers[:, : width[name]] for name, numbers in zip(_TOKENS, values, strict=True)))
    return dataclasses.replace(
        examples,
        prompt=examples.prompt[:, : width["prompt"]],
        chain=examples.chain[:, : width["chain"]],
        chain_step=examples.chain_step[:, : width["chain"]],
        answer=examples.answer[:, : width["answer"]],
        values=values,
    )
