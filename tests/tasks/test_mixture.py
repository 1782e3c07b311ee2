"""Mixtures against the tasks that they are made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorexe.registry import Registry
from factorexe.tasks.addition import Addition
from factorexe.tasks.base import SPLITS
from factorexe.tasks.mixture import Mixture

OTHERS = [name for name in Registry("tasks").names() if name not in ("mixture", "addition")]
SMALL = {"addition": {"digits": 2}, "multiplication": {"digits": 2}}
ODD = """
    import dataclasses
    from typing import ClassVar
    from factorexe.tasks.addition import Addition

    class Marked(Addition):
        '''Has a symbol like a mark.'''
        symbols: ClassVar = ("", *"0123456789", "+", "<addition>")

    class Numeric(Addition):
        '''Has a number behind its ones.'''
        numeric: ClassVar = (2,)

    class Data(Addition):
        '''Brings its data.'''
        datamodule: ClassVar = "somewhere:Data"

    class Within(Addition):
        '''Has no harder problems.'''
        ood_difficulty: ClassVar = None

    class Grouped(Addition):
        '''Says which problems have an even first digit.'''
        def sample(self, difficulty, rng, *, chain=True):
            drawn = super().sample(difficulty, rng, chain=chain)
            return dataclasses.replace(drawn, groups={"even": drawn.prompt[:, 0] % 2})
"""


def drawn(mixture, count=100, seed=0):
    levels = [*mixture.difficulties("train"), *mixture.difficulties("ood")]
    return mixture.sample(np.random.default_rng(9).permutation(np.repeat(levels, count)), np.random.default_rng(seed))


def completed(mixture, text):
    solved = mixture.complete(mixture.parse(text)[None])
    return mixture.text(solved.chain[0]), mixture.text(solved.answer[0]), int(solved.difficulty[0])


def symbols(task, rows):
    return [[task.symbols[token] for token in row if token] for row in rows]


def test_46_plus_66_and_12_times_34():
    mixture = Mixture(tasks=SMALL)
    assert mixture.symbols[:4] == ("", "<addition>", "<multiplication>", "0")
    assert mixture.symbols[-3:] == ("+", ">", "*")
    assert completed(mixture, "<addition> 4 6 + 6 6") == ("> 2 1 > 1 1", "2 1 1", 1)
    assert completed(mixture, "<multiplication> 1 2 * 3 4") == ("+ 8 4 0 + 6 3 0 > 8 0 4 0", "8 0 4 0", 1)
    assert completed(mixture, "<addition> 1 2 3 + 4 5 6")[1:] == ("9 7 5 0", 2)  # one digit more than in training


def recorded(mixture, monkeypatch):
    """What each task of the mixture draws from now on, by name."""
    kept = {}
    for name, task in mixture.by_name.items():
        sample = type(task).sample

        def record(self, *args, _name=name, _sample=sample, **more):
            kept[_name] = _sample(self, *args, **more)
            return kept[_name]

        monkeypatch.setattr(type(task), "sample", record)
    return kept


@pytest.mark.parametrize("other", OTHERS)
def test_problems_are_those_of_each_task_token_for_token(other, monkeypatch):
    mixture = Mixture(tasks=["addition", other])
    assert mixture.union.parts  # has looked at a first problem of each
    kept = recorded(mixture, monkeypatch)
    mixed = drawn(mixture, 20)
    before = np.arange(len(mixed)) - 1  # each problem is given the answer of the one before
    numbers = None if mixed.values is None else mixed.values.answer
    given_numbers = None if numbers is None else numbers[before]
    right = mixture.solved(mixed, mixed.answer, numbers)
    swapped = mixture.solved(mixed, mixed.answer[before], given_numbers)
    keys, home = mixture.key(mixed), mixture.split(mixed, 5)
    assert right.all()
    for number, (name, task) in enumerate(mixture.by_name.items()):
        rows, own = np.flatnonzero(mixed.groups["task"] == number), kept[name]
        assert len(rows) == len(own) > 0
        assert symbols(mixture, mixed.prompt[rows]) == [[f"<{name}>", *row] for row in symbols(task, own.prompt)]
        assert symbols(mixture, mixed.chain[rows]) == symbols(task, own.chain)
        assert symbols(mixture, mixed.answer[rows]) == symbols(task, own.answer)
        assert same_rows(keys[rows], np.concatenate([np.full((len(own), 1), number + 1), task.key(own)], axis=1))
        assert (home[rows] == task.split(own, 5)).all()
        alike = np.isin(before[rows] % len(mixed), rows)  # given an answer of the same task
        row_of = {row: place for place, row in enumerate(rows)}
        source = np.array([row_of[row] for row in before[rows[alike]] % len(mixed)], dtype=int)
        values = () if not task.numeric else (own.values.answer[source],)
        assert (swapped[rows[alike]] == task.solved(own.select(alike), own.answer[source], *values)).all()
        if task.numeric:
            for mine, theirs, skipped in zip(mixed.values, own.values, (1, 0, 0), strict=True):
                assert (mine[rows, skipped : skipped + theirs.shape[1]] == theirs).all()
    if numbers is not None:
        assert (numbers[~np.isin(mixed.answer, mixture.numeric)] == 1).all()


def same_rows(wide, narrow):
    return (wide[:, : narrow.shape[1]] == narrow).all() and not wide[:, narrow.shape[1] :].any()


def test_levels_are_ranks():
    mixture = Mixture(tasks={"addition": {"min_digits": 2, "digits": 4, "ood_digits": 5}, "multiplication": {}})
    assert (mixture.train_difficulty, mixture.ood_difficulty) == ((1, 3), (4, 4))
    found = drawn(mixture)
    digits = {
        (int(level), mixture.text(row).split()[0], (len(mixture.text(row).split()) - 2) // 2)
        for level, row in zip(found.difficulty, found.prompt, strict=True)
    }
    add, times = "<addition>", "<multiplication>"
    assert digits == {(1, add, 2), (1, times, 3), (2, add, 3), (3, add, 4), (4, add, 5), (4, times, 4)}
    assert [mixture.widths(level).prompt for level in (1, 2, 3, 4)] == [8, 8, 10, 12]
    assert mixture.widths(99) == mixture.widths(4)


def test_a_task_with_nothing_out_of_distribution_is_not_there(install):
    install("their-package", {}, their_task=ODD)
    assert Mixture(tasks="their_task:Within").ood_difficulty is None
    both = Mixture(tasks="addition,their_task:Within")
    assert both.ood_difficulty == (2, 2)
    assert set(both.sample(np.full(50, 1), np.random.default_rng(0)).prompt[:, 0]) == {1, 2}
    assert set(both.sample(np.full(50, 2), np.random.default_rng(0)).prompt[:, 0]) == {1}
    assert completed(both, "<within> 1 2 3 4 + 1 1 1 1")[1:] == ("5 4 3 2 0", 2)


@pytest.mark.parametrize(("weights", "share"), [(None, 0.5), ((1, 3), 0.25), ((0, 2), 0)])
def test_weights_are_shares_of_a_level(weights, share):
    mixture = Mixture(tasks=SMALL, weights=weights and dict(zip(SMALL, weights, strict=True)))
    found = mixture.sample(np.ones(4000, dtype=np.int64), np.random.default_rng(1))
    assert abs((found.groups["task"] == 0).mean() - share) <= 0.1 * share


def test_a_task_of_weight_0_has_no_levels_but_is_still_understood():
    mixture = Mixture(
        tasks={"addition": {"min_digits": 1}, "multiplication": {}}, weights={"addition": 0, "multiplication": 1}
    )
    assert mixture.train_difficulty == (1, 1)
    assert set(drawn(mixture).groups["task"]) == {1}
    assert completed(mixture, "<addition> 1 2 3 + 4 5 6")[1] == "9 7 5 0"


def test_an_answer_in_the_words_of_another_task_is_wrong():
    mixture = Mixture(tasks=SMALL)
    found = mixture.complete(mixture.parse("<addition> 4 6 + 6 6")[None])
    answer = mixture.parse("2 1 1")
    assert mixture.solved(found, answer[None]).all()
    for strange in (mixture.symbols.index("*"), 1, len(mixture.symbols), len(mixture.symbols) + 2):
        assert not mixture.solved(found, np.append(answer, strange)[None]).any()
        assert not mixture.solved(found, np.append(answer[:2], strange)[None]).any()


def test_solved_is_said_for_each_task():
    mixture = Mixture(tasks=SMALL)
    found = drawn(mixture)
    answer = np.where(found.groups["task"][:, None] == 0, found.answer, 1)
    said = mixture.qualities(found, answer)
    assert [np.nanmean(said[f"solved/{name}"]) for name in SMALL] == [1, 0]
    assert (np.isnan(said["solved/addition"]) == (found.groups["task"] == 1)).all()


def test_places_are_those_of_each_task():
    mixture, alone = Mixture(tasks={"addition": {}}), Addition()
    own = np.array([*alone.parse("128+367"), len(alone.symbols), *alone.parse(">51>90>40")])
    there = np.array(
        [*mixture.parse("<addition> 1 2 8 + 3 6 7"), len(mixture.symbols), *mixture.parse("> 5 1 > 9 0 > 4 0")]
    )
    assert mixture.tells_places
    places = mixture.places(there[None], np.array([9]))[0]
    assert places.tolist() == [0, *alone.places(own[None], np.array([8]))[0]]
    assert not Mixture(tasks="addition,sort").tells_places


def test_groups_of_a_task_come_back_to_it(install):
    install("their-package", {}, their_task=ODD)
    mixture = Mixture(tasks="multiplication,their_task:Grouped")
    found = drawn(mixture)
    assert set(found.groups) == {"task", "task_difficulty", "grouped/even"}
    assert (found.groups["grouped/even"][found.groups["task"] == 0] == -1).all()
    ((part, _, alone),) = mixture.union.each(found.select(found.groups["task"] == 1))
    assert part.name == "grouped"
    assert (alone.groups["even"] == alone.prompt[:, 0] % 2).all()


@settings(max_examples=8)
@given(
    digits=st.integers(1, 6),
    base=st.integers(2, 36),
    order=st.sampled_from(["reversed", "plain"]),
    seed=st.integers(0, 99),
)
def test_answers_are_those_of_integers(digits, base, order, seed):
    options = {"digits": digits, "digit_order": order}
    mixture = Mixture(tasks={"addition": {**options, "base": base}, "multiplication": options})
    found = drawn(mixture, 3, seed)
    for prompt, answer in zip(symbols(mixture, found.prompt), symbols(mixture, found.answer), strict=True):
        written = "".join(reversed(answer) if order == "reversed" else answer)
        if prompt[0] == "<addition>":
            first, second = "".join(prompt[1:]).split("+")
            assert int(written, base) == int(first, base) + int(second, base)
        else:
            first, second = "".join(prompt[1:]).split("*")
            assert int(written) == int(first) * int(second)


def test_equal_prompts_of_two_tasks_are_two_problems():
    mixture = Mixture(tasks={"first": {"name": "addition"}, "second": {"name": "addition", "digit_order": "plain"}})
    both = mixture.complete(np.array([mixture.parse(f"<{name}> 1 2 8 + 3 6 7") for name in ("second", "first")]))
    assert [mixture.text(answer) for answer in both.answer] == ["0 4 9 5", "5 9 4 0"]
    keys = mixture.key(both)
    assert (keys[0, 1:] == keys[1, 1:]).all()
    assert keys[0, 0] != keys[1, 0]


def test_what_is_out_of_distribution_stays_so_for_a_mixture_with_other_levels():
    """As where a finished run is scored on harder problems: its own mixture says which may be looked at."""
    own, harder = Mixture(tasks=SMALL), Mixture(tasks={name: {"digits": 4} for name in SMALL})
    found = harder.sample(np.ones(200, dtype=np.int64), np.random.default_rng(0))
    assert set(own.split(found, 0)) == {SPLITS.index("ood"), SPLITS.index("ood_test")}


def test_a_table_is_made_of_the_tables_of_all(monkeypatch):
    mixture = Mixture(tasks=SMALL)
    assert mixture.table() is None
    tables = {}
    for name, task in mixture.by_name.items():
        tables[name] = task.sample(np.full(7, 2), np.random.default_rng(0))
        monkeypatch.setattr(type(task), "table", lambda self, own=tables[name]: own)
    table = mixture.table()
    assert table.groups["task"].tolist() == [0] * 7 + [1] * 7
    for number, (name, task) in enumerate(mixture.by_name.items()):
        rows = table.select(table.groups["task"] == number)
        assert symbols(mixture, rows.answer) == symbols(task, tables[name].answer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": "addition,mixture"}, "a mixture holds no mixture"),
        ({"tasks": "addition,their_task:Data"}, "data brings a data module of its own and cannot be mixed"),
        ({"tasks": "addition,their_task:Marked"}, "marked has a symbol <addition>, which is the mark of a task here"),
        ({"tasks": "addition,their_task:Numeric"}, "'1' has a number behind it in numeric and none in addition"),
        ({"tasks": "addition,addition"}, "addition stands there twice"),
        ({"tasks": []}, "expected at least one of"),
        ({"weights": {"addition": 1}}, "expected one >= 0 for each of addition, multiplication, not all 0"),
        ({"weights": {"addition": 1, "multiplication": -1}}, "expected one >= 0 for each"),
        ({"weights": {"addition": 0, "multiplication": 0}}, "not all 0"),
        ({"weights": {"addition": 1, "multiplication": float("nan")}}, "expected one >= 0"),
        ({"weights": {"addition": 1, "multiplication": 1, "sort": 1}}, "expected one >= 0 for each"),
    ],
)
def test_what_cannot_be_mixed_is_refused(install, options, message):
    install("their-package", {}, their_task=ODD)
    with pytest.raises(ValueError, match=message):
        Mixture(**options)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("1 2 + 3 4", r"after the mark of its task, <addition> or <multiplication> \(got '1 2 \+ 3 4'\)"),
        ("<addition>", "expected a problem after the mark"),
        ("<addition> 1 2 * 3 4", r"addition has no symbol '\*'; it has 0 1"),
        ("<addition> <addition> 1 + 2", "addition has no symbol '<addition>'"),
        ("<addition> 1 2", "expected two numbers such as"),
    ],
)
def test_a_typed_prompt_that_is_no_problem_is_refused(prompt, message):
    mixture = Mixture(tasks=SMALL)
    with pytest.raises(ValueError, match=message):
        mixture.complete(mixture.parse(prompt)[None])


def test_typed_problems_need_every_task_to_work_them_out(monkeypatch):
    mixture = Mixture(tasks=SMALL)
    assert mixture.completes
    monkeypatch.setattr(type(mixture.by_name["addition"]), "completes", False)
    assert not mixture.completes
