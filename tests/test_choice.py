"""Ordered sets of plug-ins: how they are written, what merging keeps, what is refused."""

import pickle
import re
from typing import Annotated, Any

import pytest
import yaml
from pydantic import ValidationError

from factorexe.blocks import Merged, key_of, members, merged, nested
from factorexe.choice import Binder, Choices, Options
from factorexe.cli.typed import Typed
from factorexe.commandline import Words
from factorexe.config import ConfigError, RunConfig, as_yaml, resolve, run_id

DOUBLE = """
    from factorexe.tasks.addition import Addition

    class DoubleSum(Addition):
        '''Add.'''
"""
AROUND = """
    from typing import Annotated, Any
    from factorexe.choice import Choice
    from factorexe.tasks.addition import Addition

    class Around(Addition):
        '''A task beside another.'''
        inner: Annotated[Any, Choice("tasks", "multiplication")]
        '''The task inside.'''
"""


class Held(Options):
    """Something that may hold a set of tasks, or none."""

    tasks: Annotated[Any, Choices("tasks")]


def typed(line, **more):
    words = Words(line.split(), "factorexe fit")
    return resolve(said=words.said, parse=words.parse, **more)


def mixed(tasks, **more):
    return resolve({"task": {"name": "mixture", "tasks": tasks}}, **more)


def names(resolved):
    return [task.name for _, task in resolved.config.task.tasks]


def identity(resolved):
    return run_id(resolved.config, resolved.plugins)


def refused(line, **more):
    with pytest.raises(ConfigError) as caught:
        typed(line, **more)
    (message,) = caught.value.messages
    return message


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("addition", "addition"),
        ("c-vpr", "c_vpr"),
        ("their-package/cycle", "their_package_cycle"),
        ("their.tasks:DoubleSum", "double_sum"),
        ("./a-b/mine.py:CVPR", "cvpr"),
    ],
)
def test_a_key_is_the_name_as_an_option(name, key):
    assert key_of(name) == key


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (None, {"a": {"name": "a"}}),
        ("b, c-d", {"b": {"name": "b"}, "c_d": {"name": "c-d"}}),
        (["b"], {"b": {"name": "b"}}),
        ({"c-d": {"x": 1}, "b": None}, {"c_d": {"name": "c-d", "x": 1}, "b": {"name": "b"}}),
        ({"c_d": {"name": "c-d", "x": 1}}, {"c_d": {"name": "c-d", "x": 1}}),
        (Merged({"a": {"x": 1}, "b": {"x": 2}}), {"a": {"name": "a", "x": 1}}),  # paths alone name nothing
    ],
)
def test_a_set_is_the_same_however_it_is_written(written, found):
    assert members(written, default=["a"]) == found
    assert list(members(written, default=["a"])) == list(found)


def test_the_same_set_is_the_same_run_and_another_order_is_another():
    words = "--task mixture --task.tasks addition,c-vpr --task.tasks.addition.digits 3 --task.tasks.c-vpr.hops 3"
    runs = [
        typed(words),
        typed(words.replace("c-vpr.hops", "c_vpr.hops")),
        typed("--task mixture --task.tasks=addition,c-vpr --task.tasks.c-vpr.hops=3 --task.tasks.addition.digits=3"),
        mixed({"addition": {"digits": 3}, "c-vpr": {"hops": 3}}),
        mixed({"addition": {"name": "addition", "digits": 3}, "c_vpr": {"name": "c-vpr", "hops": 3}}),
        resolve({"task": "mixture", "task.tasks": ["addition", "c-vpr"], "task.tasks.c-vpr.hops": 3,
                 "task.tasks.addition.digits": 3}),
    ]  # fmt: skip
    assert {identity(run) for run in runs} == {identity(runs[0])}
    assert names(runs[0]) == ["addition", "c-vpr"]
    assert set(runs[0].plugins) >= {"task", "task.tasks.addition", "task.tasks.c_vpr"}
    turned = typed(words.replace("addition,c-vpr", "c-vpr,addition"))
    assert names(turned) == ["c-vpr", "addition"]
    assert len({identity(run) for run in (runs[0], turned, typed(words + " --task.tasks.c-vpr.length 12"))}) == 3


FIRST = {"addition": {"digits": 2}, "copy": {"length": 5}}


@pytest.mark.parametrize(
    ("later", "kept"),
    [
        ({"tasks": {"copy": {"values": 3}}}, {"copy": (5, 3)}),
        ({"tasks": ["copy"]}, {"copy": (5, 10)}),
        ({"tasks": "copy"}, {"copy": (5, 10)}),
        ({"tasks": "copy,reverse"}, {"copy": (5, 10), "reverse": (16, 10)}),
        ({"tasks": {"reverse": {"length": 4}, "copy": {}}}, {"reverse": (4, 10), "copy": (5, 10)}),
        ({"tasks.copy.values": 3}, {"addition": (2,), "copy": (5, 3)}),
        ({"seed": 1}, {"addition": (2,), "copy": (5, 10)}),
    ],
)
def test_a_later_set_drops_what_it_does_not_name_and_keeps_the_options_of_the_others(tmp_path, later, kept):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(yaml.safe_dump({"task": {"name": "mixture", "tasks": FIRST}}, sort_keys=False))
    later = {path if path == "seed" else f"task.{path}": value for path, value in later.items()}
    second.write_text(yaml.safe_dump(later, sort_keys=False))
    tasks = dict(resolve(files=[first, second]).config.task.tasks)
    found = {key: (task.digits,) if key == "addition" else (task.length, task.values) for key, task in tasks.items()}
    assert found == kept
    assert list(found) == list(kept)


def test_words_choose_over_files_and_keep_the_options_of_what_stays(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump({"task": {"name": "mixture", "tasks": FIRST}}, sort_keys=False))
    run = typed("--task.tasks reverse,copy", files=[file])
    assert names(run) == ["reverse", "copy"]
    assert run.config.task.tasks.copy.length == 5


def test_merging_does_not_depend_on_how_often_it_is_done():
    a, b, c = nested({"t": {"x": {"i": 1}, "y": {}}}), nested({"t.x.j": 2}), nested({"t": {"x": {}, "z": {}}})
    for whole in (merged(merged(a, b), c), merged(a, merged(b, c))):
        assert members(whole["t"]) == {"x": {"name": "x", "i": 1, "j": 2}, "z": {"name": "z"}}
    assert list(members(merged(merged(a, c), b)["t"])) == ["x", "z"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("addition,adition", "task.tasks.adition: nothing in tasks is called 'adition'; did you mean addition"),
        ("copy,sort,copy", "task.tasks: copy stands there twice; say it once, or give each a name of its own"),
        (",", "task.tasks: expected at least one of: addition, "),
        ("addition --task.tasks.sort.length 3", "--task.tasks.sort.length: there is no such option; did you mean"),
        ("addition --task.tasks.addition.digits 0", "task.tasks.addition.digits: Input should be greater"),
    ],
)
def test_each_mistake_has_one_line(words, message):
    assert message in refused(f"--task mixture --task.tasks {words}")


@pytest.mark.parametrize("tasks", [5, [5], {"addition": 5}, [], {}])
def test_what_is_no_set_is_refused(tasks):
    with pytest.raises(ConfigError, match=r"task\.tasks: (addition: )?expected") as caught:
        mixed(tasks)
    assert len(caught.value.messages) == 1


def test_an_option_that_a_member_does_not_have_is_refused_by_its_path():
    with pytest.raises(ConfigError, match=r"task\.tasks\.copy\.lenth: there is no such option; did you mean length"):
        mixed({"copy": {"lenth": 3}})


def test_one_plugin_may_stand_twice_under_keys_of_its_own(tmp_path):
    run = mixed({"short": {"name": "addition", "digits": 1}, "long": {"name": "addition"}})
    assert [(key, task.name, task.digits) for key, task in run.config.task.tasks] == [
        ("short", "addition", 1),
        ("long", "addition", 3),
    ]
    file = tmp_path / "run.yaml"
    file.write_text(as_yaml(run.config))
    assert identity(resolve(files=[file])) == identity(run)
    assert typed("--task.tasks short --task.tasks.short.base 5", files=[file]).config.task.tasks.short.digits == 1


def test_what_is_printed_is_read_back(tmp_path):
    run = typed("--task mixture --task.tasks c-vpr,copy,addition --task.weights c-vpr=1,copy=2,addition=0 --seed 3")
    file = tmp_path / "run.yaml"
    file.write_text(as_yaml(run.config))
    again = resolve(files=[file])
    assert (as_yaml(again.config), identity(again)) == (as_yaml(run.config), identity(run))
    assert yaml.safe_load(file.read_text())["task"]["tasks"]["copy"]["name"] == "copy"


def test_sets_can_be_pickled_and_compared():
    config = typed("--task mixture --task.tasks c-vpr,copy --task.tasks.c-vpr.length 12").config
    for part in (config, config.task, config.task.tasks, config.task.tasks.c_vpr):
        again = pickle.loads(pickle.dumps(part))
        assert again == part
        assert again.model_dump() == part.model_dump()
    other = typed("--task mixture --task.tasks copy,c-vpr --task.tasks.c-vpr.length 12").config
    assert other.task.tasks != config.task.tasks  # the order counts
    assert other.task.tasks.copy == config.task.tasks.copy


def test_help_shows_the_options_of_each():
    words = Words(["--task", "mixture", "--task.tasks", "c-vpr,copy"], "factorexe fit")
    text = words.help(Binder(words.said, {}).bind(RunConfig))
    assert "--task.tasks.c_vpr.length" in text
    assert "--task.tasks.copy.values" in text
    assert "--task.tasks.addition" not in text


def test_choices_nest_inside_a_set(install):
    install("their-package", {"factorexe.tasks": ["around-it = their_task:Around"]}, their_task=AROUND)
    run = typed(
        "--task mixture --task.tasks around-it --task.tasks.around-it.inner sort --task.tasks.around-it.digits 2"
    )
    assert run.config.task.tasks.around_it.inner.name == "sort"
    assert run.config.task.tasks.around_it.digits == 2
    assert run.plugins["task.tasks.around_it.inner"][0] == "sort"
    assert identity(resolve(yaml.safe_load(as_yaml(run.config)))) == identity(run)


def test_a_class_by_its_path_is_taken_from_words_and_python_but_not_from_a_file(install, tmp_path):
    install("their-package", {}, their_double=DOUBLE)
    path = "their_double:DoubleSum"
    run = typed(f"--task mixture --task.tasks sort,{path} --task.tasks.double-sum.digits 2")
    assert run.config.task.tasks.double_sum.digits == 2
    assert run.plugins["task.tasks.double_sum"][1].startswith("sha256")
    assert mixed(["sort", path]).config.task.tasks.double_sum.digits == 3
    assert pickle.loads(pickle.dumps(run.config)) == run.config
    file = tmp_path / "run.yaml"
    file.write_text(as_yaml(run.config))
    message = refused("", files=[file])
    assert "task.tasks.double_sum: a file may only use registered names" in message
    assert f"say --task.tasks sort,{path} yourself" in message
    assert identity(typed(f"--task.tasks sort,{path}", files=[file])) == identity(run)


def test_without_a_run_a_set_is_bound_too():
    assert dict(Held().tasks) == {}
    assert dict(Held(tasks=[]).tasks) == {}
    held = Held(tasks={"addition": {"digits": 2}})
    assert held.tasks.addition.digits == 2
    assert Held.model_validate_json(held.model_dump_json()) == held
    assert pickle.loads(pickle.dumps(held)) == held
    with pytest.raises(ValidationError, match="nothing in tasks is called 'adition'"):
        Held(tasks="adition")
    with pytest.raises(ValidationError, match=r"addition\.digits: Input should be greater"):
        Held(tasks={"addition": {"digits": 0}})


def test_the_options_offered_at_tab_are_those_there_are():
    line = ["--task", "mixture", "--task.tasks", "c-vpr,copy"]
    words = Words(line, "factorexe fit")
    listed = words.help(Binder(words.said, {}).bind(RunConfig)).splitlines()
    there = {flag for text in listed if text.startswith("  --task.") for flag in re.findall(r"--[\w.-]+", text[:80])}
    offered = {flag for offer in Typed(line, "--no-").options() for flag in offer.flags if "-task." in flag}
    assert offered - {"--task.tasks"} == {flag for flag in there if not flag.endswith(".name")}
