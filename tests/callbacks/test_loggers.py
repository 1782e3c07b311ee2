"""Where the training curve goes, and that it holds every point once."""

import pytest
from stops import StopAfter

import factorexe
from factorexe.callbacks.checkpoints import Stopped
from factorexe.callbacks.loggers import CurveFile, logger_for
from factorexe.metrics import read_rows
from factorexe.rundir import RunDirectory

OPTIONS = {
    "task": "addition",
    "data.batch_size": 8,
    "data.eval_size": 8,
    "trainer.max_steps": 6,
    "trainer.val_check_interval": 4,
    "trainer.log_every_n_steps": 3,
    "trainer.enable_progress_bar": False,
}


def fit(runs, logger, stop=None):
    return factorexe.fit(OPTIONS | {"trainer.logger": logger}, preset="tiny", runs=runs, stop=stop)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """An uninterrupted run whose curve is a table."""
    return fit(tmp_path_factory.mktemp("table"), "csv")


def points(run):
    """The curve without what depends on the clock."""
    return [
        {name: value for name, value in row.items() if not name.startswith("perf/")}
        for row in read_rows(run.directory.curve)
    ]


def test_a_table_has_a_row_for_each_point(table):
    curve = read_rows(table.directory.curve)
    assert [row["step"] for row in curve if "loss/train" in row] == [3, 4, 6]
    assert [row["step"] for row in curve if "solved/val" in row] == [4, 6]
    assert all({"optim/lr", "perf/examples_per_s"} <= row.keys() for row in curve if "loss/train" in row)
    (last,) = [row for row in curve if row["step"] == 6 and "loss/val" in row]
    assert last["loss/val"] == table.result["loss"]["val"]
    assert not list(table.path.glob("events.out.*"))


def test_a_run_without_a_curve_writes_its_evaluations_and_result_alone(table, tmp_path):
    run = fit(tmp_path, "none")
    assert not run.directory.curve.exists()
    assert not list(run.path.glob("events.out.*"))
    assert [row["step"] for row in read_rows(run.directory.metrics)] == [4, 6]
    assert run.result["solved"] == table.result["solved"]
    assert run.path.name == table.path.name  # where a curve goes changes no number


@pytest.mark.parametrize("batches", [2, 5], ids=["before any point", "after an evaluation"])
def test_a_resumed_run_has_the_table_of_an_undisturbed_one(table, tmp_path, batches):
    with pytest.raises(Stopped):
        fit(tmp_path, "csv", StopAfter(batches))
    assert points(fit(tmp_path, "csv")) == points(table)


def test_a_table_is_cut_back_to_the_step_that_training_goes_on_from(tmp_path):
    file = tmp_path / "curve.csv"
    before = CurveFile(file, None)
    for step in (10, 20, 30):
        before.log_metrics({"loss/train": 1 / step}, step)
    after = CurveFile(file, 20)
    assert [row["step"] for row in read_rows(file)] == [10, 20]
    after.log_metrics({"loss/train": 0.5}, 30)
    assert read_rows(file) == [
        {"step": 10, "loss/train": 0.1},
        {"step": 20, "loss/train": 0.05},
        {"step": 30, "loss/train": 0.5},
    ]


def test_a_run_that_begins_takes_no_point_from_an_earlier_try(tmp_path):
    file = tmp_path / "curve.csv"
    CurveFile(file, None).log_metrics({"loss/train": 1.0}, 1)
    CurveFile(file, None)
    assert read_rows(file) == []


def test_a_number_with_a_new_name_keeps_the_points_before_it(tmp_path):
    curve = CurveFile(tmp_path / "curve.csv", None)
    curve.log_metrics({"loss/train": 2.0}, 1)
    curve.log_metrics({"solved/val": 0.25}, 1)
    curve.log_metrics({"loss/train": float("nan")}, 2)
    one, two, three = read_rows(curve.file)
    assert (one, two) == ({"step": 1, "loss/train": 2.0}, {"step": 1, "solved/val": 0.25})
    assert three["loss/train"] != three["loss/train"]
    assert curve.file.read_text().splitlines()[:2] == ["step,loss/train,solved/val", "1,2.0,"]


def test_a_torn_last_point_is_dropped_and_a_damaged_table_is_set_aside(tmp_path):
    file = tmp_path / "curve.csv"
    file.write_text("step,loss/train\n10,0.5\n20,0.")
    CurveFile(file, 20)
    assert file.read_text() == "step,loss/train\n10,0.5\n"
    file.write_text("step,loss/train\n10,0.5,7\n20,0.25\n")
    CurveFile(file, 20)
    assert read_rows(file) == []
    assert (tmp_path / "curve.csv.damaged").read_text() == "step,loss/train\n10,0.5,7\n20,0.25\n"


def test_no_curve_needs_no_logger(tmp_path):
    assert logger_for("none", RunDirectory(tmp_path), None) is None
    assert not list(tmp_path.iterdir())
