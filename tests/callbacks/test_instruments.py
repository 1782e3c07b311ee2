"""All instruments in a run: their numbers arrive everywhere, and nothing else changes."""

import json
import re

import pytest
import torch
from stops import StopAfter

import factorexe
from factorexe.callbacks.canaries import Canaries
from factorexe.callbacks.checkpoints import Stopped
from factorexe.callbacks.gradient_agreement import GradientAgreement
from factorexe.callbacks.loggers import LAYOUT
from factorexe.callbacks.one_step_probe import OneStepProbe
from factorexe.callbacks.weight_and_logit import WeightAndLogit
from factorexe.metrics import read_rows
from factorexe.rundir import read_checkpoint

KEYS = ("one-step-probe", "canaries", "weight-and-logit", "gradient-agreement")
OWN = ("decrease/", "osgr/", "canary/", "weight/", "update/", "gradient/", "nlm/", "logit/", "softmax/", "efficiency")
OPTIONS = {
    "task": "addition",
    "objective": "chain",
    "model.dropout": 0.1,
    "optim.measure": "microbatch",
    "optim.measure.parts": 2,
    "data.batch_size": 8,
    "data.eval_size": 16,
    "data.train_size": 200,
    "data.corrupt": 0.2,
    "trainer.max_steps": 12,
    "trainer.val_check_interval": 5,
    "trainer.accumulate_grad_batches": 2,
    "trainer.enable_progress_bar": False,
    "trainer.logger": "csv",
    "instruments": list(KEYS),
    **{f"instruments.{name}.every": 2 for name in KEYS if name != "canaries"},
    "instruments.canaries.alternatives": 4,
}
WITHOUT = {name: value for name, value in OPTIONS.items() if not name.startswith("instruments")} | {"instruments": []}


def fit(runs, options=OPTIONS, stop=None):
    return factorexe.fit(options, preset="tiny", runs=runs, stop=stop)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """An uninterrupted run with every instrument."""
    return fit(tmp_path_factory.mktemp("watched"))


def timeless(record):
    return {name: value for name, value in record.items() if name not in ("wall_time_s", "evaluation_time_s")} | {
        "examples_per_s": None
    }


def plain(row):
    """A row without what instruments say."""
    return {tag: value for tag, value in timeless(row).items() if not tag.startswith((*OWN, "gram/"))}


def points(run):
    """The training curve: tag -> steps and numbers, without what depends on the clock."""
    curve = read_rows(run.directory.curve)
    tags = {tag for row in curve for tag in row if not tag.startswith("perf/")}
    return {tag: [(row["step"], row[tag]) for row in curve if tag in row] for tag in tags}


def weights(run):
    return read_checkpoint(run.directory.checkpoint("last"))["state_dict"]


def test_watching_changes_neither_weights_nor_what_is_scored(watched, tmp_path):
    alone = fit(tmp_path, WITHOUT)
    one, other = weights(watched), weights(alone)
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    rows, others = (read_rows(run.directory.metrics) for run in (watched, alone))
    assert [plain(row) for row in rows] == [plain(row) for row in others]
    own = {key.replace("-", "_") for key in KEYS}
    assert own <= set(watched.result)
    assert not own & set(alone.result)
    assert timeless({name: value for name, value in watched.result.items() if name not in own}) == timeless(
        alone.result
    )


@pytest.mark.parametrize("batches", [7, 10, 21], ids=["within a step's cadence", "after an evaluation", "late"])
def test_resuming_changes_no_number(watched, tmp_path, batches):
    with pytest.raises(Stopped):
        fit(tmp_path, stop=StopAfter(batches))
    again = fit(tmp_path)
    rows, others = (read_rows(run.directory.metrics) for run in (again, watched))
    assert [timeless(row) for row in rows] == [timeless(row) for row in others]
    assert timeless(again.result) == timeless(watched.result)
    assert points(again) == points(watched)


def test_numbers_are_logged_when_they_are_measured_and_stand_in_the_next_row(watched):
    found = points(watched)
    for tag in ("osgr/val", "decrease/batch", "weight/norm", "gram/m_coherence"):
        assert [step for step, _ in found[tag]] == [2, 4, 6, 8, 10, 12]
        last = dict(found[tag])
        rows = {int(row["step"]): row[tag] for row in read_rows(watched.directory.metrics)}
        assert rows == {5: last[4], 10: last[10], 12: last[12]}
    assert [step for step, _ in found["canary/acc_wrong"]] == [5, 10, 12]


def test_the_result_holds_the_last_numbers(watched):
    last, result = read_rows(watched.directory.metrics)[-1], watched.result
    assert result["one_step_probe"]["osgr"]["val"] == last["osgr/val"]
    assert result["one_step_probe"]["probes"] == 6
    assert result["weight_and_logit"]["weight_norm"] == last["weight/norm"]
    assert result["gradient_agreement"]["gram_osgr"] == last["gram/osgr"]
    assert set(result["canaries"]) == {"acc_wrong", "acc_true", "acc_wrong_most", "exposure", "exposure_limit"}
    assert result["events_censored_at"] == 12
    json.dumps(result, allow_nan=False)


def test_every_chart_of_the_layout_shows_something(watched):
    found = points(watched)
    chosen = (Canaries, GradientAgreement, OneStepProbe, WeightAndLogit)
    groups = [*LAYOUT.values(), *(group for each in chosen for group in each.charts.values())]
    for chart in [tags for group in groups for _, patterns in group.values() for tags in patterns]:
        assert any(re.fullmatch(chart, tag) for tag in found), chart
