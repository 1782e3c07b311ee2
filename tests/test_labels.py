"""Labels by options that differ in ways a reader can see."""

from pathlib import Path

import pytest
from written import OPTIONS, changed

from factorexe.labels import flat, labels

UNIVERSAL = {"name": "universal-transformer", "width": 128, "layers": 1, "steps": 2}


def told(*options, directories=None):
    paths = directories or [Path("runs") / str(number) for number in range(len(options))]
    return labels(paths, options)


def test_what_all_have_is_not_told():
    assert told(changed(seed=0), changed(seed=1)) == ["seed 0", "seed 1"]


def test_the_documented_runs_get_the_documented_labels():
    deeper = changed(model=UNIVERSAL | {"steps": 4})
    assert told(OPTIONS, changed(model=UNIVERSAL), deeper) == [
        "model transformer, model.layers 2",
        "model universal-transformer, model.layers 1, model.steps 2",
        "model universal-transformer, model.layers 1, model.steps 4",
    ]


def test_an_option_that_only_one_plugin_has_is_not_told_where_it_is_always_the_same():
    assert told(OPTIONS, changed(model=UNIVERSAL)) == [
        "model transformer, model.layers 2",
        "model universal-transformer, model.layers 1",
    ]


def test_options_of_a_block_stand_together():
    label = told(OPTIONS, changed(model=UNIVERSAL, seed=1), changed(model=UNIVERSAL | {"steps": 4}))[1]
    assert label == "model universal-transformer, model.layers 1, model.steps 2, seed 1"


@pytest.mark.parametrize(
    "option",
    [
        {"trainer__accelerator": "cpu"},
        {"trainer__threads": 2},
        {"trainer__enable_progress_bar": False},
        {"data__num_workers": 3},
    ],
)
def test_what_changes_no_number_is_not_told(option):
    assert told(OPTIONS, changed(**option)) == ["0", "1"]


def test_a_horizon_is_told_unless_it_follows_the_steps():
    longer = changed(trainer__max_steps=900, optim__horizon=900)
    assert told(OPTIONS, longer) == ["trainer.max_steps 500", "trainer.max_steps 900"]
    extended = changed(trainer__max_steps=900)
    beyond = changed(trainer__max_steps=900, optim__horizon=700)
    assert told(extended, beyond) == ["optim.horizon 500", "optim.horizon 700"]


def test_runs_with_the_same_options_are_told_by_their_directories():
    paths = [Path("runs/abc"), Path("copies/def")]
    assert told(OPTIONS, OPTIONS, directories=paths) == ["abc", "def"]
    paths = [Path("runs/abc"), Path("copies/abc")]
    assert told(OPTIONS, OPTIONS, directories=paths) == ["runs/abc", "copies/abc"]


def test_two_runs_that_only_a_third_differs_from_are_told_by_their_directories_too():
    assert told(OPTIONS, OPTIONS, changed(seed=3)) == ["seed 0 (0)", "seed 0 (1)", "seed 3"]


def test_a_choice_that_one_run_does_not_make_is_told():
    halting = changed(model={"name": "transformer", "width": 128, "layers": 2, "halting": {"name": "act", "cost": 0.1}})
    without = changed(model={"name": "transformer", "width": 128, "layers": 2, "halting": None})
    assert told(halting, without) == ["model.halting act", "model.halting none"]


def test_values_are_told_as_they_are_typed():
    options = flat(changed(optim__optimizer__lr=1e-5, data__mixture={"2": 1.0, "3": 4.0}, data__train_size=None))
    assert options["optim.optimizer"] == "adamw"
    assert options["optim.optimizer.lr"] == "1e-05"
    assert options["data.mixture"] == "2=1,3=4"
    assert options["data.train_size"] == "none"
    assert options["trainer.enable_progress_bar"] == "true"


def test_of_many_differences_only_the_unusual_are_told():
    odd = {f"model__{name}": 1 for name in ("width", "layers")} | {"data__train_size": 1, "seed": 7}
    odd |= {"optim__horizon": 1, "optim__optimizer__lr": 1.0, "task__digits": 1, "objective__keep_steps": 2}
    first, second, third, last = told(OPTIONS, changed(seed=1), changed(seed=2), changed(**odd))
    assert (first, second, third) == ("seed 0", "seed 1", "seed 2")
    assert last.startswith("task.digits 1, model.width 1, model.layers 1, objective.keep_steps 2")
    assert last.endswith("seed 7")
