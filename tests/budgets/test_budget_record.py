"""What is said of budgets: by hand, and in files that are read back."""

import json

import pytest
from sketched_budgets import BUDGET, STEPS, compared, comparison, point

from factorexe.budgets.comparison import comparison_as_json
from factorexe.budgets.passes import Passes
from factorexe.budgets.record import Curve, as_json, scores_as_json, scores_from_json
from factorexe.budgets.written import budget_tables, comparison_tables
from factorexe.rundir import RunError


def test_overthinking_is_the_best_budget_minus_the_largest():
    assert STEPS.overthinking("val") == pytest.approx(0.6 - 0.45)  # means over difficulties: 0.15, 0.6, 0.45
    assert STEPS.overthinking("ood") == 0.0  # the largest is the best
    assert STEPS.overthinking("seen") is None


def test_a_model_without_dials_cannot_overthink():
    alone = Curve("", (point(2, 0.8, 0.1, trained=True),))
    assert alone.overthinking("val") == 0.0


def test_scores_are_read_back_as_they_were_written():
    scores = STEPS.points[1].scores
    assert scores_from_json(json.loads(json.dumps(scores_as_json(scores)))) == scores


def test_the_record_says_of_every_position_what_it_solves_and_costs():
    (curve,) = json.loads(json.dumps(as_json(BUDGET)))["curves"]
    assert [one["value"] for one in curve["points"]] == [1, 2, 4, "x"]
    assert [one["trained"] for one in curve["points"]] == [False, True, False, False]
    assert curve["points"][3]["refused"] == "no number"
    second = curve["points"][1]["splits"]["val"]
    assert second["solved"] == {"rate": pytest.approx(0.6), "n": 20, "interval": pytest.approx([0.3, 0.8])}
    assert second["by_difficulty"]["3"]["rate"] == 0.4
    assert (second["compute_per_problem"], second["multiply_adds_per_problem"]) == (20.0, 20000.0)
    assert curve["overthinking"] == {"val": pytest.approx(0.15), "ood": 0.0}


def test_the_tables_name_splits_values_difficulties_and_what_is_refused():
    text = budget_tables(BUDGET._replace(running=point(2, 0.9, 0.2)))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "runs/addition/loop/1234: best weights, of step 500" in lines
    assert "CHANGED data.eval_size: 10 here" in lines
    assert "val 2 (trained) 0.600 0.300 to 0.800 20 20.0 2.00e+04" in lines
    assert "ood trained, every token running 0.200 0.100 to 0.600 10 24.0 2.40e+04" in lines
    assert "split difficulty 1 2 (trained) 4" in lines
    assert "val 3 0.100 0.400 0.300" in lines
    assert "model.steps x: refused: no number" in lines
    assert any(line.endswith("val 0.150, ood 0.000") for line in lines)


# -- passes that are kept


def test_a_pass_is_known_to_whoever_reads_the_file_next(tmp_path):
    passes = Passes(tmp_path, "weights", 5)
    passes.add({"model.steps": 2}, {"val": STEPS.points[1].scores["val"]})
    passes.add({"model.steps": 2}, {"ood": STEPS.points[1].scores["ood"]})
    later = Passes(tmp_path, "weights", 5)
    assert later.known({"model.steps": 2}) == STEPS.points[1].scores
    assert later.known({"model.steps": 3}) == {}
    assert Passes(tmp_path, "other weights", 5).known({"model.steps": 2}) == {}


def test_two_who_write_at_a_time_keep_what_the_other_found(tmp_path):
    one, other = Passes(tmp_path, "weights", 5), Passes(tmp_path, "weights", 5)
    for passes, steps in ((one, 1), (other, 2)):
        passes.add({"model.steps": steps}, STEPS.points[steps - 1].scores)
        later = Passes(tmp_path, "weights", 5)
    assert later.known({"model.steps": 1})
    assert later.known({"model.steps": 2})


def test_the_values_that_were_tried_are_those_of_passes_with_no_other_change(tmp_path):
    passes = Passes(tmp_path, "weights", 5)
    for changes in ({}, {"model.steps": 7}, {"model.steps": 8, "task.digits": 4}, {"task.digits": 4}):
        passes.add(changes, STEPS.points[0].scores)
    assert passes.values("model.steps", {}) == [7]
    assert passes.values("model.steps", {"task.digits": 4}) == [8]


@pytest.mark.parametrize("content", ["{", "[]", '{"passes": [1]}', '{"passes": [{"splits": {"val": {}}}]}', "{}"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "budget.json").write_text(content)
    with pytest.raises(RunError, match=r"budget\.json"):
        Passes(tmp_path, "weights", 5)


def test_a_directory_that_may_not_be_written_is_named(tmp_path, monkeypatch):
    def forbidden(path, text):
        raise PermissionError

    monkeypatch.setattr("factorexe.budgets.passes.write", forbidden)
    with pytest.raises(RunError, match=r"budget\.json cannot be written"):
        Passes(tmp_path, "weights", 5).add({}, STEPS.points[0].scores)


# -- several runs


def test_runs_within_ten_percent_of_the_smallest_of_their_group_are_equal():
    found = comparison(200, 111, 100, 110)
    assert [[run.name for run in group] for group in found.groups] == [["c", "d"], ["b"], ["a"]]
    assert found.spread(found.runs) == "100 to 200"


def test_runs_are_equal_in_what_was_asked_for():
    runs = (compared("a", 100, multiply_adds=5), compared("b", 100, multiply_adds=9))
    assert len(comparison(100, 100)._replace(runs=runs).groups) == 1
    assert len(comparison(100, 100, at="multiply-adds")._replace(runs=runs).groups) == 2


def test_what_is_not_equal_is_never_passed_over():
    equal, unequal = comparison_tables(comparison(100, 105)), comparison_tables(comparison(100, 300, 301))
    assert "equal parameters: all within 10 % of one another (100 to 105)" in equal
    assert "NOT of equal parameters" in unequal
    assert "  a (100)\n  b, c (300 to 301)" in unequal
    record = comparison_as_json(comparison(100, 300, 301))
    assert record["equal"] == [["runs/a"], ["runs/b", "runs/c"]]
    assert [run["parameters"] for run in record["runs"]] == [100, 300, 301]
