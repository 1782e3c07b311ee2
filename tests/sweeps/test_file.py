"""A sweep's file: the runs that it describes, and one line for each thing that is wrong with it."""

import math
from itertools import pairwise

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from factorexe.blocks import merged, nested
from factorexe.config import ConfigError, resolve
from factorexe.sweeps.derived import Budget
from factorexe.sweeps.file import read
from factorexe.sweeps.paths import flat

WHOLE = """\
# What does width buy?
# And a second line.
recipe: scarce-data
config: [first.yaml, more/second.yaml]
preset: tiny
base:
  task: multiplication
  trainer: {max_steps: 500}
  optim.optimizer.lr: 1e-2
seeds: [3, 7]
zip:
  model.layers: [1, 2]
  model.steps: [6, 3]
grid:
  model.width: [32, 64]
  optim.optimizer.lr: [1e-3, 3e-3]
list:
  - {model: transformer, model.heads: 2}
  - model: {name: universal-transformer, heads: 4, halting: {name: act, cost: 1e-2}}
skip:
  - {model.width: 64, seed: 7}
  - model.width > 32 and model.steps > 4
derive:
  model.feedforward: 4 * model.width
  trainer.max_steps: {multiply_adds: 1e12}
  data.batch_size: {parameters: 200000, multiple_of: 16}
"""


@pytest.fixture
def sweep(tmp_path):
    """Reads a file of this text."""

    def read_(text):
        path = tmp_path / "sweep.yaml"
        path.write_text(text, encoding="utf-8")
        return read(path)

    return read_


@pytest.fixture
def refused(sweep, tmp_path):
    """What is said of a file of this text, without the file's own name."""

    def refused_(text):
        with pytest.raises(ConfigError) as error:
            sweep(text)
        name = str(tmp_path / "sweep.yaml")
        assert all(message.startswith(name) for message in error.value.messages)
        return [message.removeprefix(name).removeprefix(": ") for message in error.value.messages]

    return refused_


def test_a_file_is_read_as_a_whole(sweep, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "first.yaml").write_text("trainer: {max_steps: 1, precision: bf16-mixed}\ndata.eval_size: 7\n")
    (tmp_path / "more" / "second.yaml").write_text("trainer.max_steps: 2\ndata.eval_size: 8\n")
    found = sweep(WHOLE)
    assert found.path == tmp_path / "sweep.yaml"
    assert found.question == "What does width buy?"
    assert found.preset == "tiny"
    assert found.base == {
        "task": "multiplication",
        "data": {"train_size": 500, "eval_size": 8},  # the recipe, the second file
        "trainer": {"max_steps": 500, "precision": "bf16-mixed"},
        "optim": {"optimizer": {"lr": 0.01}},
    }
    assert found.axes == (
        *("model", "model.heads", "model.halting", "model.halting.cost"),
        *("model.width", "optim.optimizer.lr", "model.layers", "model.steps", "seed"),
    )
    assert [condition.text for condition in found.skip] == [
        "{model.width: 64, seed: 7}",
        "model.width > 32 and model.steps > 4",
    ]
    assert found.derive["model.feedforward"].text == "4 * model.width"
    assert list(found.derive) == ["model.feedforward", "trainer.max_steps", "data.batch_size"]
    assert found.derive["trainer.max_steps"] == Budget("multiply_adds", 1e12)
    assert found.derive["data.batch_size"] == Budget("parameters", 200_000, 16)


def test_runs_are_nested_as_list_grid_zip_seeds_and_the_last_varies_fastest(sweep):
    text = "seeds: 2\nzip: {a.x: [1, 2], a.y: [3, 4]}\ngrid: {b: [5, 6], c: [7, 8]}\nlist: [{d: 9}, {d: 10}]\n"
    runs = sweep(text).combinations
    assert len(runs) == 2 * 2 * 2 * 2 * 2
    assert runs[0] == {"d": 9, "b": 5, "c": 7, "a.x": 1, "a.y": 3, "seed": 0}
    assert runs[1] == {**runs[0], "seed": 1}
    assert runs[2] == {**runs[0], "a.x": 2, "a.y": 4}
    assert runs[4] == {**runs[0], "c": 8}
    assert runs[8] == {**runs[0], "b": 6}
    assert runs[16] == {**runs[0], "d": 10}


def test_several_zips_are_combined_with_one_another(sweep):
    runs = sweep("zip: [{a: [1, 2], b: [1, 1]}, {c: [3, 4]}]\n").combinations
    assert runs == tuple({"a": a, "b": 1, "c": c} for a in (1, 2) for c in (3, 4))


def test_a_sweep_without_axes_is_one_run(sweep):
    found = sweep("base: {task: addition}\n")
    assert (found.axes, found.combinations, found.skip, found.derive) == ((), ({},), (), {})
    assert sweep("").combinations == ({},)


def test_axes_are_written_nested_or_by_path(sweep):
    by_path = sweep("grid: {model: [transformer], model.width: [1, 2]}\nzip: {data.batch_size: [3]}\n")
    nested_ = sweep("grid: {model: {name: [transformer], width: [1, 2]}}\nzip: {data: {batch_size: [3]}}\n")
    assert nested_.axes == by_path.axes == ("model", "model.width", "data.batch_size")
    assert nested_.combinations == by_path.combinations


def test_entries_of_a_list_may_give_different_options(sweep):
    found = sweep("list: [{}, {model.layers: 2}, {trainer: {max_steps: 9}, seed: null}]\n")
    assert found.combinations == ({}, {"model.layers": 2}, {"trainer.max_steps": 9, "seed": None})
    assert found.axes == ("model.layers", "trainer.max_steps", "seed")


def test_a_set_of_plugins_is_one_value_and_comes_back_whole():
    options = {"task": {"name": "mixture", "tasks": {"addition": {"digits": 1}, "copy": {}}}}
    values = flat(options)
    assert values == {"task": "mixture", "task.tasks": {"addition": {"digits": 1}, "copy": {}}}
    task = resolve(nested(values)).config.task
    assert list(dict(task.tasks)) == ["addition", "copy"]
    assert task == resolve(options).config.task


def test_the_options_of_an_entry_are_those_of_the_same_block_in_a_file(sweep):
    entry = "{model: {name: transformer, width: 32, heads: 2}, optim: {optimizer: {lr: 1e-4}}, task: addition}"
    values = sweep(f"list: [{entry}]\n").combinations[0]
    base = {"model": {"name": "universal-transformer", "steps": 9}}
    options = yaml.safe_load(entry.replace("1e-4", "1.0e-4"))
    together = [resolve(merged(base, nested(given))).config for given in (values, options)]
    assert together[0] == together[1]
    assert (together[0].model.width, together[0].optim.optimizer.lr) == (32, 1e-4)


def test_what_is_derived_may_stand_in_base_as_well(sweep):
    found = sweep("base: {model.width: 8}\nderive: {model.width: 2 * seed}\ngrid: {trainer.max_steps: [1, 2]}\n")
    assert found.base == {"model": {"width": 8}}
    assert list(found.derive) == ["model.width"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("1e-3", 0.001), ("1E+3", 1000.0), ("3.e-3", 0.003), (".5e1", 5.0), ("-2e6", -2e6), ("1.0e-3", 0.001)),
        *(("12e", "12e"), ("1e-3x", "1e-3x"), ("e3", "e3"), ("'1e-3'", "1e-3"), ("64", 64)),
        *(("on", True), ("off", False), ("none", "none"), ("null", None), ("2026-13-45", "2026-13-45")),
    ],
)
def test_a_word_of_yaml_is_the_value_that_one_expects(sweep, text, value):
    found = sweep(f"grid: {{a: [{text}]}}\nbase: {{b: {text}}}\n")
    assert [found.combinations[0]["a"], found.base["b"]] == [value, value]
    assert type(found.combinations[0]["a"]) is type(value)


def test_a_block_may_be_merged_into_others(sweep):
    text = "base: {a: &small {x: 1, y: 2}, b: {<<: *small, y: 3}, c: {d: &e {<<: *small, x: 5}}, f: {<<: *e}}\n"
    assert sweep(text).base["b"] == {"x": 1, "y": 3}
    assert sweep(text).base["f"] == {"x": 5, "y": 2}


@pytest.mark.parametrize(("text", "question"), [("# why?\n", "why?"), ("seeds: 1\n# no\n", ""), ("", "")])
def test_the_question_is_the_first_line_if_that_is_a_comment(sweep, text, question):
    assert sweep(text).question == question


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gird: {a: [1]}", "gird: a sweep has no such part; did you mean grid?"),
        ("task: addition", "task: an option of all runs belongs below base, as base: {task: ...}"),
        ("grid:", "grid: names no options; leave it out, or give it some"),
        ("grid: {}", "grid: names no options; leave it out, or give it some"),
        ("grid: [1, 2]", "grid: expected options, each with a list of its values (got [1, 2])"),
        ("grid: {model.width: []}", "grid: model.width has no values"),
        ("grid: {model.width: }", "grid: model.width has no values"),
        ("grid: {model.width: 64}", "grid: model.width: expected a list of values (got 64): write [64]"),
        ("grid: {model: gru}", "grid: model: expected a list of values (got 'gru'): write [gru]"),
        ("grid: {model: {width: 64}}", "grid: model.width: expected a list of values (got 64): write [64]"),
        ("grid: {model.width: [1, 2, 1]}", "grid: model.width has the value 1 twice"),
        ("grid: {lr: [1e-3, 0.001]}", "grid: lr has the value 0.001 twice"),
        ("grid: {model: [gru, {name: gru}]}", "grid: model has the value {'name': 'gru'} twice"),
        ("grid: {a.b: [1], a: {b: [2]}}", "grid: a.b is given twice; keep one"),
        ("grid: {1: [2]}", "grid: expected options, each with a list of its values (got {1: [2]})"),
        ("grid: {on: [2]}", "grid: expected options, each with a list of its values (got {True: [2]})"),
        ("zip: {a: [1, 2], b: [1]}", "zip: expected as many values of each option (got a 2, b 1)"),
        ("zip: []", "zip: names no options; leave it out, or give it some"),
        ("zip: [{}]", "zip 1: names no options; leave it out, or give it some"),
        ("zip: [{a: [1]}, {b: [1], c: []}]", "zip 2: c has no values"),
        ("zip: [{a: [1]}, 7]", "zip 2: expected options, each with a list of its values (got 7)"),
        ("zip: {a: [1, 2, 1], b: [x, x, x]}", "zip: has the same values twice: a: 1, b: x"),
        ("list: []", "list: has no entries; leave it out, or give it some"),
        (
            "list: {a: 1}",
            "list: expected entries such as {model: transformer, model.layers: 2} (got {'a': 1})",
        ),
        (
            "list: [{a: 1}, gru]",
            "list: entry 2: expected options such as {model: transformer, model.layers: 2} (got 'gru')",
        ),
        ("list: [{a: {b: 1}}, {a.b: 1}]", "list: has the same entry twice: a.b: 1"),
        ("list: [{a: {b: 1}, a.b: 2}]", "list: entry 1: a.b is given twice; keep one"),
        ("seeds:", "seeds: expected how many, or a list of seeds (got None)"),
        ("seeds: []", "seeds: expected how many, or a list of seeds (got [])"),
        ("seeds: 2.5", "seeds: expected how many, or a list of seeds (got 2.5)"),
        ("seeds: yes", "seeds: expected how many, or a list of seeds (got True)"),
        ("seeds: 0", "seeds: expected how many, from 1 to 1,000,000, or a list of seeds (got 0)"),
        ("seeds: -1", "seeds: expected how many, from 1 to 1,000,000, or a list of seeds (got -1)"),
        ("seeds: [1, -1]", "seeds: expected whole numbers from 0 (got -1)"),
        ("seeds: [1, a]", "seeds: expected whole numbers from 0 (got 'a')"),
        ("seeds: [3, 7, 3]", "seeds: 3 stands there twice"),
        ("seeds: 2\ngrid: {seed: [1, 2]}", "seed is given by grid and by seeds; keep one"),
        ("grid: {a: [1]}\nlist: [{a: 1}, {b: 1}]", "a is given by list and by grid; keep one"),
        ("zip: [{a: [1]}, {a: [2]}]", "a is given by zip 1 and by zip 2; keep one"),
        ("grid: {model: [{name: x, y: 1}], model.y: [2]}", "model.y is given twice by grid; keep one"),
        ("grid: {a: [1]}\nderive: {a: 2 * b}", "a is given by grid and by derive; keep one"),
        (
            "list: [{c.tasks: {x: {y: 1}}}]\ngrid: {c.tasks.x.y: [2]}",
            "c.tasks.x.y is given by list and by grid; keep one",
        ),
        (
            "grid: {" + ", ".join(f"{letter}: [0, 1]" for letter in "abcdefghijklmnopqrst") + "}",
            "runs: expected at most 1,000,000 runs (got 1,048,576); divide them among several files",
        ),
        ("recipe: scarce", "recipe: there is no recipe 'scarce'; did you mean scarce-data?"),
        ("recipe: [a]", "recipe: expected the name of a recipe (got ['a'])"),
        ("preset: 3", "preset: expected a name (got 3)"),
        ("config: {a: 1}", "config: expected a file or a list of files (got {'a': 1})"),
        ("base: 3", "base: expected options as `name: value` (got 3)"),
        ("base: [task]", "base: expected options as `name: value` (got ['task'])"),
        ("base: {2: 3}", "base: expected options as `name: value` (got {2: 3})"),
        (
            "skip: a > 1",
            "skip: expected a list of conditions (got 'a > 1'): put each on a line after a dash",
        ),
        ("skip: [a > 1, lg(a) > 1]", "skip: condition 2: 'lg(a) > 1': there is no function lg; did you mean log2?"),
        ("skip: [{a: []}]", "skip: condition 1: a has no values"),
        ("derive: [a]", "derive: expected options, each with an expression or a budget (got ['a'])"),
        (
            "derive: {a: 3}",
            "derive: a: expected an expression, or a budget as {parameters: 200000, multiple_of: 16} (got 3); what all"
            " runs share belongs below base",
        ),
        (
            "derive: {a: open(b)}",
            "derive: a: 'open(b)': there is no function open; known: min, max, round, int, log2, sqrt",
        ),
        ("derive: {a: {parametres: 2}}", "derive: a: a budget has no 'parametres'; did you mean parameters?"),
        (
            "derive: {a: {multiple_of: 2}}",
            "derive: a: expected a budget of parameters or of multiply_adds, as {parameters: 200000, multiple_of: 16}"
            " (got {'multiple_of': 2})",
        ),
        ("derive: {a: {parameters: 0}}", "derive: a: parameters: expected a number above 0 (got 0)"),
        ("derive: {a: {multiply_adds: .inf}}", "derive: a: multiply_adds: expected a number above 0 (got inf)"),
        ("derive: {a: {parameters: many}}", "derive: a: parameters: expected a number above 0 (got 'many')"),
        (
            "derive: {a: {parameters: 9, multiple_of: 0}}",
            "derive: a: multiple_of: expected a whole number, at least 1 (got 0)",
        ),
        ("derive: {model: b, model.name: c}", "derive: model.name: model is derived twice; keep one"),
    ],
)
def test_one_clear_line_says_what_is_wrong(refused, text, said):
    assert refused(text) == [said]


def test_everything_that_is_wrong_is_said_at_once(refused):
    above = (
        "gird: 1\nconfig: absent.yaml\nlist: [1]\ngrid: {a: 1, b: [], c: [1, 1], h: [1]}\nzip: {d: [1], e: [1, 2]}\n"
    )
    lines = refused(above + "seeds: 0\nskip: ['(', 5]\nderive: {f: 1, g: 2, h: i}\n")
    assert [line.partition(" ")[0] for line in lines] == [
        *("gird:", "config:", "list:", "grid:", "grid:", "grid:", "zip:", "seeds:"),
        *("skip:", "skip:", "derive:", "derive:", "h"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "grid: {a: [1]}\nseeds: 1\ngrid: {b: [1]}",
            ", line 3: not valid YAML: grid stands there twice, first on line 1",
        ),
        (
            "grid:\n  model.width: [1]\n  x: [1]\n  model.width: [2]",
            ", line 4: not valid YAML: model.width stands there twice, first on line 2",
        ),
        ("list:\n  - {a: 1,\n     a: 1}", ", line 3: not valid YAML: a stands there twice, first on line 2"),
        ("grid: {a: [1}", ", line 1: not valid YAML: expected ',' or ']', but got '}'"),
        ("- 1", "expected options as `name: value`, found list"),
        ("why", "expected options as `name: value`, found str"),
    ],
)
def test_a_file_that_is_no_mapping_or_says_a_thing_twice_is_refused_with_the_line(refused, text, said):
    assert refused(text) == [said]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("list: [&a {m: *a}]", "Circular reference detected"),
        ("grid: {a: [!!set {x, y}]}", "Object of type set is not JSON serializable"),
    ],
)
def test_what_no_plan_could_hold_is_refused(refused, text, reason):
    assert refused(text) == [f"expected numbers, words, lists and mappings, and nothing else: {reason}"]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError) as error:
        read(tmp_path / "absent.yaml")
    assert str(error.value) == f"{tmp_path}/absent.yaml: cannot be read: No such file or directory"
    with pytest.raises(ConfigError) as error:
        read(tmp_path)
    assert str(error.value) == f"{tmp_path}: cannot be read: Is a directory"


def test_every_configuration_file_that_cannot_be_read_is_named(refused, tmp_path):
    (tmp_path / "list.yaml").write_text("- 1\n")
    assert refused("config: [absent.yaml, list.yaml]") == [
        f"config: {tmp_path}/absent.yaml: cannot be read: No such file or directory",
        f"config: {tmp_path}/list.yaml: expected options as `name: value`, found list",
    ]


axis = st.lists(st.integers(-9, 9) | st.sampled_from("abc"), min_size=1, max_size=4, unique_by=str)


@given(
    entries=st.lists(st.fixed_dictionaries({}, optional={"p": st.integers(0, 3), "q.r": st.booleans()}), max_size=4),
    grid=st.dictionaries(st.sampled_from(["a", "b", "c.d"]), axis, max_size=3),
    length=st.integers(0, 4),
    seeds=st.integers(0, 3),
)
def test_there_are_as_many_runs_as_the_product_of_lengths_and_no_two_are_alike(
    tmp_path_factory, entries, grid, length, seeds
):
    entries = [entry for place, entry in enumerate(entries) if entry not in entries[:place]]
    parts = {"list": entries, "grid": grid, "seeds": seeds}
    parts["zip"] = {"x": list(range(length)), "y.z": [0] * length} if length else None
    path = tmp_path_factory.mktemp("sweep") / "sweep.yaml"
    path.write_text(yaml.safe_dump({part: content for part, content in parts.items() if content}))
    runs = read(path).combinations
    sizes = [len(entries), *map(len, grid.values()), length, seeds]
    assert len(runs) == math.prod(size or 1 for size in sizes)
    assert all(one != other for one, other in pairwise(runs))
    assert len({tuple(sorted(run.items(), key=str)) for run in runs}) == len(runs)
