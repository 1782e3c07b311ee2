"""Which difficulties are in play when, that batches hold no others, and that a resumed run decides the same."""

import csv
from types import SimpleNamespace

import lightning.pytorch as lightning
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from stops import StopAfter
from toys import Tally

import factorexe
from factorexe.callbacks.checkpoints import Stopped
from factorexe.config import ConfigError, DataConfig, as_yaml, resolve, run_id
from factorexe.curriculum import AdaptiveConfig, LinearConfig, Stage, UniformConfig
from factorexe.data import TaskDataModule, datamodule
from factorexe.layout import SequenceLayout
from factorexe.run import build
from factorexe.rundir import read_checkpoint
from factorexe.splits import Splits
from factorexe.tasks.addition import Addition
from factorexe.tasks.base import SPLITS

LEVELS = [1, 2, 3, 4, 5]


def data_of(curriculum, batches_per_step=1, **options):
    task = Addition(min_digits=1, digits=4)
    options = DataConfig(batch_size=64, eval_size=20, curriculum=curriculum, **options)
    return datamodule(task, SequenceLayout(task, chain=True), options, 0, batches_per_step)


def levels_in(batch):
    return set(batch.examples.difficulty.tolist())


def same(one, other):
    return torch.equal(one.tokens, other.tokens) and torch.equal(one.targets, other.targets)


def scored(**rates):
    """Scores of splits; each by difficulty."""
    return {
        split: SimpleNamespace(by_difficulty={level: SimpleNamespace(rate=rate) for level, rate in found.items()})
        for split, found in rates.items()
    }


# -- the schedules by hand


@pytest.mark.parametrize(
    ("step", "hardest"), [(0, 1), (24, 1), (25, 2), (49, 2), (50, 3), (75, 4), (99, 4), (100, 5), (10**6, 5)]
)
def test_linear_adds_a_difficulty_at_equal_distances(step, hardest):
    stage = LinearConfig(steps=100).build(LEVELS).stage(step)
    assert stage == Stage(hardest, 25 * (hardest - 1))


def test_linear_may_start_higher_and_rounds_up():
    assert LinearConfig(start=3, steps=5).build(LEVELS).begins == [0, 0, 0, 3, 5]
    assert LinearConfig(start=4, steps=5).build(LEVELS).begins == [0, 0, 0, 0, 5]


def test_several_difficulties_may_come_at_once():
    curriculum = LinearConfig(steps=2).build(LEVELS)
    assert [curriculum.stage(step).hardest for step in range(4)] == [1, 3, 5, 5]
    assert [curriculum.entry(level) for level in LEVELS] == [1, 3, 3, 5, 5]


def test_linear_takes_half_of_the_run_if_nothing_is_said():
    settled = resolve({"task": "addition", "data.curriculum": "linear", "trainer.max_steps": 300}).config
    assert settled.data.curriculum.steps == 150
    again = resolve({"task": "addition", "data.curriculum.name": "linear", "data.curriculum.steps": 7}).config
    assert again.data.curriculum.steps == 7


def test_adaptive_rises_exactly_when_the_threshold_is_reached():
    curriculum = AdaptiveConfig(threshold=0.9).build(LEVELS)
    curriculum.learned(10, {1: 0.8999, 2: 1.0, 3: 1.0})  # what is not the hardest does not count
    assert curriculum.stage(1000).hardest == 1
    curriculum.learned(20, {1: 0.9})
    assert curriculum.stage(20) == Stage(1, 0)  # its batch exists already
    assert curriculum.stage(21) == Stage(2, 21)
    curriculum.learned(30, {1: 0.0, 2: 0.9})
    assert curriculum.stage(31) == Stage(3, 31)
    assert curriculum.stage(20) == Stage(1, 0)  # what was, stays


def test_adaptive_rises_by_one_per_evaluation_even_at_every_step_and_no_further_than_the_last():
    curriculum = AdaptiveConfig(start=2).build([1, 2, 3, 4])
    for step in range(1, 9):
        curriculum.learned(step, dict.fromkeys([1, 2, 3, 4], 1.0))
    assert curriculum.begins == [0, 0, 2, 3]


def test_the_same_evaluation_twice_rises_once():
    curriculum = AdaptiveConfig().build(LEVELS)
    for _ in range(2):
        curriculum.learned(10, dict.fromkeys(LEVELS, 1.0))
    assert curriculum.stage(100).hardest == 2


@given(
    steps=st.integers(1, 40),
    levels=st.integers(2, 8),
    start=st.integers(1, 7),
)
def test_linear_never_falls_and_has_everything_in_play_at_its_end(steps, levels, start):
    start = min(start, levels - 1)
    curriculum = LinearConfig(start=start, steps=steps).build(range(1, levels + 1))
    hardest = [curriculum.stage(step).hardest for step in range(steps + 2)]
    assert hardest == sorted(hardest)
    assert hardest[-2:] == [levels, levels]
    assert hardest[steps - 1] < levels
    exact = [start + (levels - start) * step / steps for step in range(steps + 1)]
    assert hardest[:-1] == [int(level + 1e-9) for level in exact]  # the straight line, rounded down
    assert all(hardest[curriculum.stage(step).since] == hardest[step] for step in range(steps + 1))


# -- what batches hold

FINITE = [{}, {"train_size": 300}]


@pytest.mark.parametrize("finite", FINITE, ids=["stream", "finite"])
@pytest.mark.parametrize("curriculum", [None, UniformConfig()], ids=["none", "uniform"])
def test_uniform_is_what_there_was_without_a_curriculum(finite, curriculum):
    data = data_of(curriculum, **finite)
    plain = Splits(data.task, eval_size=20, **finite)
    for index in (0, 7, 3):
        assert np.array_equal(data.batch("train", index).examples.prompt, plain.train_batch(index, 64).prompt)
    assert np.array_equal(data.splits.evaluation("seen").prompt, plain.evaluation("seen").prompt)
    assert data.state_dict() == {}
    assert data.in_play(0) is None


@pytest.mark.parametrize("finite", FINITE, ids=["stream", "finite"])
def test_a_batch_holds_every_difficulty_in_play_and_no_other(finite):
    data = data_of(LinearConfig(steps=9), **finite)
    found = [levels_in(data.batch("train", index)) for index in range(12)]
    assert found == [{1}] * 3 + [{1, 2}] * 3 + [{1, 2, 3}] * 3 + [{1, 2, 3, 4}] * 3
    assert [data.in_play(index) for index in range(12)] == [max(levels) for levels in found]


@pytest.mark.parametrize("finite", FINITE, ids=["stream", "finite"])
def test_batches_hold_train_problems_alone(finite):
    data = data_of(LinearConfig(steps=9), **finite)
    for index in range(0, 10, 3):
        examples = data.batch("train", index).examples
        assert set(data.task.split(examples, 0).tolist()) == {SPLITS.index("train")}


@pytest.mark.parametrize("finite", FINITE, ids=["stream", "finite"])
def test_a_batch_depends_on_nothing_but_its_index_and_the_level(finite):
    data, other = (data_of(LinearConfig(steps=9), **finite) for _ in range(2))
    there = [data.batch("train", index) for index in range(12)]
    assert all(same(other.batch("train", index), there[index]) for index in (11, 0, 5, 4, 8, 3))
    assert not any(same(there[index], there[index + 1]) for index in range(11))


def test_the_difficulties_in_play_come_by_their_weights():
    data = data_of(LinearConfig(start=3, steps=10**6), mixture={2: 1, 3: 3, 4: 5})
    counts = np.bincount(np.concatenate([data.batch("train", index).examples.difficulty for index in range(60)]))
    assert counts[:2].tolist() == [0, 0]
    assert counts[3] / counts.sum() == pytest.approx(0.75, abs=0.03)  # 0.007 is one standard deviation


def test_a_difficulty_of_weight_zero_is_no_stage():
    data = data_of(LinearConfig(steps=4), mixture={2: 1, 4: 1})
    assert [data.in_play(step) for step in range(6)] == [2, 2, 2, 2, 4, 4]


def test_a_finite_set_in_play_is_gone_through_evenly():
    task = Tally(longest=6)
    splits = Splits(task, train_size=60, eval_size=5)
    easy = splits.finite_train().select(splits.finite_train().difficulty <= 4)
    counts = {}
    for prompt in splits.train_batch(0, 3 * len(easy), hardest=4).prompt:
        counts[task.text(prompt)] = counts.get(task.text(prompt), 0) + 1
    assert set(counts) == {task.text(prompt) for prompt in easy.prompt}
    held = np.bincount(easy.difficulty)  # each of the difficulties 2, 3 and 4 fills a third of three rounds
    assert all(abs(times - len(easy) / held[len(text)]) <= 1 for text, times in counts.items())


@pytest.mark.parametrize("curriculum", [LinearConfig(steps=40, start=2), AdaptiveConfig(start=2)])
def test_what_is_seen_was_trained_on(curriculum):
    """The first problems of a difficulty stand in the training order of the stage that it comes with."""
    data = data_of(curriculum)
    seen = data.splits.evaluation("seen")
    assert set(seen.difficulty.tolist()) == {1, 2, 3, 4}
    for level in (1, 2, 3, 4):
        stage = data.splits.train_batch(0, 4000, max(level, 2))
        trained = {tuple(key) for key in data.task.key(stage).tolist()}
        wanted = data.task.key(seen.select(seen.difficulty == level)).tolist()
        assert {tuple(key) for key in wanted} <= trained


def test_a_step_of_several_batches_has_one_level():
    data = data_of(LinearConfig(steps=3), batches_per_step=2)
    assert [max(levels_in(data.batch("train", index))) for index in range(8)] == [1, 1, 2, 2, 3, 3, 4, 4]
    one = data_of(LinearConfig(steps=6))
    assert same(one.batch("train", 2), data.batch("train", 2))  # the second stage begins with its first batch


def test_the_level_follows_seen_and_nothing_held_out():
    data = data_of(AdaptiveConfig())
    data.learned(4, scored(val=dict.fromkeys(LEVELS, 1.0), ood={5: 1.0}, seen={1: 0.5}))
    assert data.in_play(100) == 1
    data.learned(8, scored(val={1: 0.0}, seen={1: 0.95}))
    assert [data.in_play(8), data.in_play(9)] == [1, 2]


def test_state_goes_into_another_module():
    data, other = (data_of(AdaptiveConfig()) for _ in range(2))
    data.learned(8, scored(seen={1: 0.95}))
    other.load_state_dict(data.state_dict())
    data.learned(12, scored(seen={2: 0.95}))  # the copy is a copy
    assert [other.in_play(step) for step in (8, 9, 100)] == [1, 2, 2]
    assert same(other.batch("train", 11), data.batch("train", 11))
    assert not same(other.batch("train", 13), data.batch("train", 13))


# -- what is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task.min_digits": 3, "task.digits": 3}, "several difficulties in training \\(got 1\\)"),
        ({"data.curriculum.start": 4}, "start: expected one of the difficulties 1, 2, 3, .* \\(got 4\\)"),
        ({"data.curriculum.start": 9}, "start: expected one of .*got 9"),
        ({"data.curriculum.threshold": 1.5}, "data.curriculum.threshold: .*less than or equal to 1 \\(got 1.5\\)"),
        ({"data.num_workers": 2}, "adaptive.*expected num_workers 0 \\(got 2\\)"),
        ({"data.curriculum.name": "adaptve"}, "data.curriculum: .*did you mean adaptive"),
        ({"data.curriculum.thresold": 0.5}, "no such option; did you mean threshold"),
        ({"data.curriculum.name": "linear", "data.curriculum.steps": 0}, "data.curriculum.steps: "),
    ],
)
def test_options_that_cannot_work_are_named(changes, message, tmp_path):
    options = {"task": "addition", "task.min_digits": 1, "task.digits": 4, "data.curriculum.name": "adaptive"}
    with pytest.raises(ConfigError, match=message):
        factorexe.fit(options | changes, preset="tiny", runs=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_linear_curriculum_may_have_workers():
    assert resolve({"task": "addition", "data.curriculum": "linear", "data.num_workers": 2}).config.data.num_workers


class Own(lightning.LightningDataModule):
    """A task's own data module."""

    batch = evaluated = evaluation_batches = solved = None

    def __init__(self, task, layout, options, seed):
        super().__init__()


class Inherited(TaskDataModule):
    """Another one, made from ours."""


def test_a_module_that_makes_its_own_batches_follows_no_curriculum(monkeypatch):
    monkeypatch.setattr(Addition, "datamodule", f"{__name__}:Own")
    assert isinstance(data_of(UniformConfig()), Own)
    with pytest.raises(ConfigError, match="Own makes its own batches and follows no curriculum; use uniform"):
        build(resolved(**{"data.curriculum": "adaptive"}).config)
    monkeypatch.setattr(Addition, "datamodule", f"{__name__}:Inherited")
    assert data_of(AdaptiveConfig(), 3).batches_per_step == 3


# -- runs


def resolved(**changes):
    return resolve({"task": "addition", "task.min_digits": 1, "task.digits": 4} | changes)


def identity(found):
    return run_id(found.config, found.plugins)


def test_the_id_tells_curricula_apart():
    uniform = resolved()
    others = [
        resolved(**{"data.curriculum": "linear"}),
        resolved(**{"data.curriculum": "adaptive"}),
        resolved(**{"data.curriculum.name": "adaptive", "data.curriculum.threshold": 0.5}),
    ]
    assert len({identity(found) for found in (uniform, *others)}) == 4


def test_a_file_keeps_it(tmp_path):
    (tmp_path / "run.yaml").write_text(as_yaml(resolved(**{"data.curriculum": "linear"}).config))
    again = resolve(files=[tmp_path / "run.yaml"])
    assert identity(again) == identity(resolved(**{"data.curriculum": "linear"}))


def test_steps_count_batches_added_up():
    built = build(resolved(**{"data.curriculum": "linear", "trainer.accumulate_grad_batches": 3}).config)
    assert built.data.batches_per_step == 3


def fit(runs, curriculum, stop=None, **changes):
    options = {
        "task": "addition",
        "task.min_digits": 1,
        "task.digits": 4,
        "data.curriculum": curriculum,
        "objective": "answer",
        "data.batch_size": 8,
        "data.eval_size": 4,
        "trainer.max_steps": 10,
        "trainer.val_check_interval": 4,
        "trainer.accumulate_grad_batches": 2,
        "trainer.enable_progress_bar": False,
    }
    return factorexe.fit(options | changes, preset="tiny", runs=runs, stop=stop)


def rows(run):
    found = csv.DictReader(run.directory.metrics.read_text().splitlines())
    return [{name: cell for name, cell in row.items() if name != "wall_time_s"} for row in found]


def test_a_level_that_is_not_solved_stays(tmp_path):
    run = fit(tmp_path, {"name": "adaptive", "start": 3})
    assert [row["curriculum/difficulty"] for row in rows(run)] == ["3", "3", "3"]


@pytest.mark.slow
def test_one_digit_is_learned_and_the_next_comes(tmp_path):
    run = fit(tmp_path, "adaptive", **{"data.batch_size": 32, "trainer.max_steps": 120, "data.eval_size": 20})
    levels = [int(row["curriculum/difficulty"]) for row in rows(run)]
    assert levels[0] == 1
    assert levels[-1] > 1
    assert levels == sorted(levels)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that rises at every evaluation, those of steps 4, 8 and 10: every answer counts as right."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Addition, "solved", lambda self, examples, *answer: np.ones(len(examples), dtype=bool))
        yield fit(tmp_path_factory.mktemp("whole"), "adaptive")


@pytest.mark.parametrize("batches", [8, 10, 12], ids=["where it rises", "a step later", "off the cadence"])
def test_an_interrupted_adaptive_run_ends_bit_for_bit_the_same(whole, tmp_path, batches):
    with pytest.raises(Stopped, match=f"step {batches // 2}$"):
        fit(tmp_path, "adaptive", stop=StopAfter(batches))
    run = fit(tmp_path, "adaptive")
    assert run.path.name == whole.path.name
    assert rows(run) == rows(whole)
    first, second = (read_checkpoint(one.directory.checkpoint("last")) for one in (whole, run))
    assert all(torch.equal(first["state_dict"][name], second["state_dict"][name]) for name in first["state_dict"])
    assert first["TaskDataModule"] == second["TaskDataModule"] == {"begins": [0, 5, 9, 11]}


def test_the_level_in_play_is_in_every_row_and_in_the_result(whole):
    assert [row["curriculum/difficulty"] for row in rows(whole)] == ["1", "2", "3"]
    assert whole.result["curriculum"] == {"difficulty": 3}


def test_a_run_without_a_curriculum_says_nothing_of_one(tmp_path):
    run = fit(tmp_path, "uniform", **{"trainer.max_steps": 2})
    assert "curriculum/difficulty" not in rows(run)[0]
    assert "curriculum" not in run.result
    assert "TaskDataModule" not in read_checkpoint(run.directory.checkpoint("last"))
