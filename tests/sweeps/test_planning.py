"""The plan of a sweep: which runs there are, what they are called, and what is refused before anything starts."""

import pytest
import yaml

from factorexe.config import ConfigError, resolve, run_id
from factorexe.sweeps.directory import SweepDirectory
from factorexe.sweeps.plan import read
from factorexe.sweeps.planning import name_of, plan_sweep

TINY = {"task": "addition", "trainer": {"max_steps": 4}}


@pytest.fixture
def planned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def plan(content, name="widths.yaml"):
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        (tmp_path / name).write_text(text)
        return plan_sweep(tmp_path / name)

    return plan


def refused(planned, content):
    with pytest.raises(ConfigError) as error:
        planned(content)
    return error.value.messages


def test_each_run_is_the_one_that_fit_would_make(planned):
    sweep = planned({"preset": "tiny", "base": TINY, "grid": {"model.width": [16, 32]}, "seeds": 2})
    runs = sweep.plan.planned
    assert [run.values for run in runs] == [
        {"model.width": 16, "seed": 0},
        {"model.width": 16, "seed": 1},
        {"model.width": 32, "seed": 0},
        {"model.width": 32, "seed": 1},
    ]
    alone = resolve({**TINY, "model.width": 32, "seed": 1}, preset="tiny")
    assert runs[3].id == run_id(alone.config, alone.plugins)
    assert runs[3].path == f"addition/universal-transformer/{runs[3].id}"
    assert sweep.plan.resolved(runs[3]).config == alone.config


def test_the_plan_is_read_back_as_it_was_written(planned, tmp_path):
    sweep = planned({"preset": "tiny", "base": TINY, "seeds": 3})
    found = read(SweepDirectory(tmp_path / "sweeps" / "widths"))
    assert found.planned == sweep.plan.planned
    assert found.runs == tmp_path / "runs"
    assert (tmp_path / "sweeps/widths/sweep.yaml").read_text() == (tmp_path / "widths.yaml").read_text()


def test_a_grid_that_has_grown_holds_the_runs_it_held(planned):
    small = planned({"preset": "tiny", "base": TINY, "grid": {"model.width": [16]}, "seeds": 2}).plan
    large = planned({"preset": "tiny", "base": TINY, "grid": {"model.width": [8, 16]}, "seeds": 3}).plan
    assert {run.path for run in small.planned} < {run.path for run in large.planned}


def test_another_version_of_a_plug_in_makes_other_runs(planned, monkeypatch):
    before = planned({"preset": "tiny", "base": TINY}).plan.planned
    monkeypatch.setattr("factorexe.registry._origin", lambda entry: "factorexe 99")
    after = planned({"preset": "tiny", "base": TINY}).plan.planned
    assert before[0].id != after[0].id


def test_a_run_that_exists_is_not_built_again(planned, tmp_path):
    content = {"preset": "tiny", "base": TINY, "seeds": 2}
    for run in planned(content).plan.planned:
        (tmp_path / "runs" / run.path).mkdir(parents=True)
        (tmp_path / "runs" / run.path / "run.json").write_text("{}")
    new = []
    plan_sweep(tmp_path / "widths.yaml", priced=False, before_new=lambda: new.append("torch"))
    assert not new
    (tmp_path / "widths.yaml").write_text(yaml.safe_dump({**content, "seeds": 4}))
    plan_sweep(tmp_path / "widths.yaml", priced=False, before_new=lambda: new.append("torch"))
    assert new == ["torch"]


def test_a_sweep_without_a_task_says_where_to_name_one(planned):
    (message,) = refused(planned, {"grid": {"model.width": [16]}})
    assert "no run has a task; say base: {task: NAME} with one of: addition, " in message


def test_a_set_of_plug_ins_of_which_one_has_an_option_stays_whole_in_the_file(planned):
    base = {**TINY, "task": "mixture", "task.tasks.addition.digits": 2}
    sweep = planned({"preset": "tiny", "base": base})
    run = read(sweep.directory).planned[0]
    tasks = read(sweep.directory).resolved(run).config.task.tasks
    assert list(dict(tasks)) == ["addition", "multiplication"]
    assert run_id(*read(sweep.directory).resolved(run)[:2]) == run.id


def test_the_directory_may_be_mounted_elsewhere(planned, tmp_path):
    planned({"preset": "tiny", "base": TINY})
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "sweeps").rename(moved / "sweeps")
    assert read(SweepDirectory(moved / "sweeps" / "widths")).runs == moved / "runs"


def test_runs_that_a_condition_holds_for_are_skipped_even_if_they_could_not_be(planned):
    sweep = planned(
        {
            "preset": "tiny",
            "base": TINY,
            "grid": {"model.width": [12, 16], "model.heads": [3, 4]},
            "skip": ["model.width % model.heads != 0"],
        }
    )
    assert [(run.values["model.width"], run.values["model.heads"]) for run in sweep.plan.planned] == [
        (12, 3),
        (12, 4),
        (16, 4),
    ]
    assert sweep.skipped == 1


def test_expressions_see_presets_and_what_was_computed_before(planned):
    sweep = planned(
        {
            "preset": "tiny",
            "base": TINY,
            "grid": {"model.steps": [1, 2, 4]},
            "derive": {"trainer.max_steps": "8 / model.steps", "trainer.val_check_interval": "trainer.max_steps"},
            "skip": ["trainer.max_steps == 2"],
        }
    )
    steps = [run.values["trainer.max_steps"] for run in sweep.plan.planned]
    assert steps == [8, 4]
    assert all(type(value) is int for value in steps)
    assert sweep.plan.resolved(sweep.plan.planned[0]).config.trainer.val_check_interval == 8
    assert sweep.plan.axes == ("model.steps", "trainer.max_steps", "trainer.val_check_interval")


def test_the_width_within_a_budget_is_the_largest_that_keeps_within_it(planned):
    def parameters(width):
        alone = {"preset": "tiny", "base": {**TINY, "model.heads": 4, "model.width": width}}
        return planned(alone).costs[0].parameters

    derive = {"model.width": {"parameters": 20000, "multiple_of": 4}}
    sweep = planned({"preset": "tiny", "base": {**TINY, "model.heads": 4}, "derive": derive, "seeds": 2})
    width = sweep.plan.planned[0].values["model.width"]
    assert width % 4 == 0
    assert parameters(width) == sweep.costs[0].parameters <= 20000 < parameters(width + 4)


def test_steps_within_a_budget_of_multiply_adds_are_as_many_as_it_pays_for(planned):
    one = planned({"preset": "tiny", "base": {"task": "addition", "trainer.max_steps": 1}}).costs[0].multiply_adds
    derive = {"trainer.max_steps": {"multiply_adds": 7.5 * one}}
    sweep = planned({"preset": "tiny", "base": {"task": "addition"}, "derive": derive})
    assert sweep.plan.planned[0].values["trainer.max_steps"] == 7
    assert sweep.costs[0].multiply_adds == 7 * one


def test_a_budget_that_nothing_keeps_within_says_what_the_least_takes(planned):
    derive = {"model.width": {"parameters": 10, "multiple_of": 4}}
    (message,) = refused(planned, {"preset": "tiny", "base": TINY, "derive": derive})
    assert message.startswith("derive: model.width: 4 takes ")
    assert message.endswith(" parameters already, more than 10; allow more")


def test_everything_that_is_wrong_is_said_at_once_and_nothing_is_written(planned, tmp_path):
    content = {
        "preset": "tiny",
        "base": {**TINY, "data.batch_sise": 3},
        "grid": {"model.widht": [16], "model.heads": [2, 3]},
    }
    messages = refused(planned, content)
    assert "data.batch_sise: there is no such option; did you mean batch_size?" in messages
    assert "model.widht: there is no such option; did you mean width?" in messages
    assert not (tmp_path / "sweeps").exists()


def test_a_mistake_of_some_runs_says_how_many_and_shows_one(planned):
    grid = {"model.width": [16], "model.heads": [2, 3]}
    (message,) = refused(planned, {"preset": "tiny", "base": TINY, "grid": grid, "seeds": 5})
    assert message.startswith("model: ")
    assert "heads (3)" in message
    assert message.endswith("(5 of 10 runs, such as model.width 16, model.heads 3, seed 0)")


def test_parts_that_do_not_fit_together_are_found_before_a_run_starts(planned):
    grid = {"objective": ["answer", "chain"]}
    (message,) = refused(planned, {"preset": "tiny", "base": {"task": "reverse"}, "grid": grid})
    assert "1 of 2 runs" in message
    assert "objective chain" in message


def test_a_file_names_only_registered_plug_ins(planned, tmp_path):
    (tmp_path / "mine.py").write_text("raise SystemExit('code from a file')")
    (message,) = refused(planned, {"base": {"task": f"{tmp_path}/mine.py:Mine"}})
    assert "a file may only use registered names" in message


def test_runs_that_are_the_same_are_counted_once(planned):
    sweep = planned({"preset": "tiny", "base": TINY, "grid": {"trainer.threads": [1, 2]}, "seeds": 2})
    assert len(sweep.plan.planned) == 2
    assert sweep.repeated == 2


def test_a_sweep_without_runs_is_refused(planned):
    (message,) = refused(planned, {"preset": "tiny", "base": TINY, "seeds": 2, "skip": ["seed >= 0"]})
    assert message.endswith("every one of its 2 runs is skipped; skip fewer")


def test_another_plug_in_on_an_axis_brings_its_own_options(planned):
    entries = [{"model": "transformer", "model.layers": 1}, {"model": {"name": "universal-transformer", "steps": 2}}]
    sweep = planned({"preset": "tiny", "base": TINY, "list": entries})
    configs = [sweep.plan.resolved(run).config for run in sweep.plan.planned]
    assert [config.model.name for config in configs] == ["transformer", "universal-transformer"]
    assert configs[0].model.layers == 1
    assert configs[1].model.steps == 2


def test_a_file_called_sweep_is_named_by_its_folder(tmp_path):
    (tmp_path / "depth").mkdir()
    assert name_of(tmp_path / "depth" / "sweep.yaml") == "depth"
    assert name_of(tmp_path / "widths.yaml") == "widths"


def test_a_file_in_a_sweeps_directory_is_planned_there_again(planned, tmp_path):
    planned({"preset": "tiny", "base": TINY})
    copy = tmp_path / "sweeps" / "widths" / "sweep.yaml"
    copy.write_text(copy.read_text() + "seeds: 2\n")
    assert plan_sweep(copy).directory.path == copy.parent
    assert len(read(SweepDirectory(copy.parent)).planned) == 2
