"""Rows and best rows, by evaluations small enough to read."""

from types import SimpleNamespace

import pytest

from factorexe.callbacks.generalization import GeneralizationMonitor
from factorexe.callbacks.instrument import ChosenInstrument
from factorexe.metrics import read_rows
from factorexe.scores import Rate, Score


def score(solved, loss):
    interval = (0.0, 1.0)
    return Score(solved, interval, 10, loss, 0.5, 7.0, {2: Rate(solved, interval, 10)}, {})


def evaluated(monitor, step, *, val, loss=1.0, seen=1.0, logger=None):
    trainer = SimpleNamespace(global_step=step, logger=logger)
    learner = SimpleNamespace(scores={"seen": score(seen, 0.25), "val": score(val, loss)})
    monitor.on_validation_start(trainer, learner)
    monitor.on_validation_end(trainer, learner)


@pytest.fixture
def monitor(tmp_path):
    return GeneralizationMonitor(tmp_path / "metrics.csv", SimpleNamespace(latest=0.5), 64, started=0.0)


class Told(ChosenInstrument):
    """Says one number."""

    def __init__(self, tag, logs_itself):
        self.tag, self.logs_itself = tag, logs_itself

    def numbers(self):
        return {self.tag: 7.0}


def test_best_is_the_highest_val_solved_then_the_lowest_val_loss(monitor):
    followed = []
    for step, val, loss in [(1, 0.5, 2.0), (2, 0.4, 0.1), (3, 0.5, 1.0), (4, 0.5, 1.5), (5, 0.6, 9.0)]:
        evaluated(monitor, step, val=val, loss=loss)
        followed.append(monitor.rows[monitor.best]["step"])
    assert followed == [1, 1, 3, 3, 5]


def test_of_two_equal_evaluations_the_first_is_best(monitor):
    evaluated(monitor, 1, val=0.5)
    evaluated(monitor, 2, val=0.5)
    assert monitor.best == 0
    assert not monitor.is_best


def test_a_row_holds_the_gaps_and_the_examples_seen(monitor):
    evaluated(monitor, 3, val=0.75, loss=1.25, seen=1.0)
    (row,) = monitor.rows
    assert (row["step"], row["examples"]) == (3, 192)
    assert (row["gap/solved"], row["gap/loss"]) == (0.25, 1.0)  # seen minus val, val minus seen
    assert row["loss/train"] == 0.5
    assert row["solved_by_difficulty/val/2"] == 0.75
    assert row["compute/val"] == 7.0


def test_what_instruments_say_stands_in_the_row_and_is_logged_once(monitor):
    monitor.instruments = [Told("rare", logs_itself=False), Told("often", logs_itself=True)]
    logged = {}
    evaluated(monitor, 3, val=0.75, logger=SimpleNamespace(log_metrics=lambda numbers, step: logged.update(numbers)))
    assert monitor.rows[0]["rare"] == monitor.rows[0]["often"] == 7.0
    assert "rare" in logged
    assert "often" not in logged  # it was when it was measured


def test_the_file_holds_the_rows(monitor):
    for step in (1, 2, 3):
        evaluated(monitor, step, val=step / 4)
    assert read_rows(monitor.file) == monitor.rows


def test_evaluating_the_same_step_again_replaces_its_row(monitor):
    evaluated(monitor, 1, val=0.25)
    evaluated(monitor, 2, val=0.5)
    evaluated(monitor, 2, val=0.5)
    assert [row["step"] for row in monitor.rows] == [1, 2]
    assert monitor.best == 1


def test_a_restored_monitor_goes_on_where_it_was(monitor, tmp_path):
    evaluated(monitor, 1, val=0.75)
    other = GeneralizationMonitor(tmp_path / "other.csv", SimpleNamespace(latest=0.5), 64, started=0.0)
    other.load_state_dict(monitor.state_dict())
    evaluated(other, 2, val=0.5)
    assert [row["step"] for row in other.rows] == [1, 2]
    assert other.best == 0
    assert other.wall_time > monitor.wall_time
