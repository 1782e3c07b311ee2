"""Rows of results and what they come to over seeds, in numbers that can be worked out in the head."""

import csv
import io
import json
from math import isnan, nan

import pytest
from sketched import result, sketch

from factorexe.cli import main
from factorexe.config import ConfigError
from factorexe.rundir import RunError
from factorexe.sweeps.columns import column_of
from factorexe.sweeps.plan import read
from factorexe.sweeps.results import rows
from factorexe.sweeps.summary import summarised
from factorexe.sweeps.written import as_csv, as_jsonl, each_as_markdown, summary_as_markdown

FAILED = {"state": "failed", "attempts": 4, "error": "ValueError: loss is nan"}


def found(tmp_path, *runs):
    return rows(read(sketch(tmp_path, list(runs))))


def seeds(*left, **options):
    """Runs that differ in their seed, with these options; ``__`` stands for a dot."""
    values = {name.replace("__", "."): value for name, value in options.items()}
    return [({**values, "seed": seed}, one) for seed, one in enumerate(left)]


def test_a_row_holds_what_varies_and_every_number_of_the_result(tmp_path):
    lr, width = {"optim.lr": 0.001}, "model.width"
    first, second = found(tmp_path, ({width: 32, **lr}, result(0.5)), ({width: 64, **lr}, result(0.75)))
    assert first["id"] == "000000000000"
    assert (first["state"], first[width], first["solved.val.final"], second[width]) == ("finished", 32, 0.5, 64)
    assert "optim.lr" not in first, "it is the same in all runs"
    assert first["loss.val"] == 0.75
    assert first["parameters"] == 1000
    assert not any("interval" in column or "samples" in column for column in first)


def test_a_last_look_at_a_run_stands_in_its_row(tmp_path):
    plan = read(sketch(tmp_path, seeds(result(0.5), result(0.75))))
    record = {
        "checkpoint": "best",
        "solved": {"test": {"rate": 0.25, "n": 8, "interval": [0.1, 0.5]}, "ood_test": None},
    }
    (plan.directory(plan.planned[1]) / "test.json").write_text(json.dumps(record))
    first, second = rows(plan)
    assert (first["solved.test.rate"], second["solved.test.rate"], second["solved.test.n"]) == (None, 0.25, 8)
    assert not any("ood_test" in column or "checkpoint" in column for column in second)


def test_an_option_that_only_some_runs_have_varies(tmp_path):
    first, second = found(tmp_path, ({"model": "transformer"}, result()), ({"model": "other", "model.steps": 2}, None))
    assert (first["model.steps"], second["model.steps"]) == (None, 2)


def test_runs_without_a_result_have_a_row_of_the_same_columns(tmp_path):
    first, *others = found(tmp_path, *seeds(result(), FAILED, "begun", None))
    assert [row["state"] for row in others] == ["failed", "begun", "waiting"]
    for row in others:
        assert list(row) == list(first)
        assert {value for column, value in row.items() if column not in ("id", "state", "seed")} == {None}


def test_an_event_that_was_not_reached_has_a_bound_in_place_of_a_number(tmp_path):
    (row,) = found(tmp_path, ({}, result(t_mem=100, t_gen=None, steps=500)))
    assert (row["t_mem"], row["t_mem.at_least"]) == (100, None)
    assert (row["t_gen"], row["t_gen.at_least"]) == (None, 500)
    assert (row["delay"], row["delay.at_least"]) == (None, 400)


def test_an_event_that_older_results_lack_has_a_bound_where_it_is_told(tmp_path):
    newer = result(events={"t_mem": None, "t_gen": None, "t_gen_95": None, "t_ood": None, "delay": None}, steps=500)
    told, older = found(tmp_path, *seeds(newer, result(t_gen=300)))
    assert (told["t_gen_95"], told["t_gen_95.at_least"]) == (None, 500)
    assert (older["t_gen_95"], older["t_gen_95.at_least"]) == (None, None)
    assert older["t_gen"] == 300


def test_nothing_is_known_of_a_delay_that_has_not_begun(tmp_path):
    reached, neither = found(tmp_path, *seeds(result(t_mem=None, t_gen=300), result(t_mem=None)))
    assert (reached["t_gen"], reached["t_mem.at_least"]) == (300, 500)
    assert not {"delay", "delay.at_least"} & {name for name, value in reached.items() if value is not None}
    assert not {"delay", "delay.at_least"} & {name for name, value in neither.items() if value is not None}


def test_an_event_of_a_split_that_a_task_has_not_is_no_bound(tmp_path):
    (row,) = found(tmp_path, ({}, result(ood=None)))
    assert not any("ood" in column for column in row)


def test_a_run_that_was_extended_is_noticed(tmp_path):
    directory = sketch(tmp_path, seeds(result(steps=500), result(steps=900), result(steps=500)))
    plan = read(directory)
    for planned in plan.planned[1:]:  # the last one has been told to go on, and has not ended yet
        record = {"extended": [{"from": 500, "max_steps": 700}, {"from": 700, "max_steps": 900}]}
        (plan.directory(planned) / "run.json").write_text(json.dumps(record))
    assert [row["extended_from"] for row in rows(plan)] == [None, 500, None]


def test_a_damaged_result_is_named(tmp_path):
    directory = sketch(tmp_path, seeds(result()))
    for text in ("{", "[]", '{"steps": 5}'):
        (tmp_path / "runs/addition/transformer/000000000000/result.json").write_text(text)
        with pytest.raises(RunError, match=r"000000000000/result\.json (cannot be read|is damaged)"):
            rows(read(directory))


def test_three_seeds_are_one_configuration_with_their_median_in_the_middle(tmp_path):
    three = seeds(result(0.5), result(0.9), result(0.7), model__width=32)
    (row,) = summarised(found(tmp_path, *three))
    assert (row["planned"], row["n"]) == (3, 3)
    assert row["solved.val.final.median"] == 0.7
    assert row["solved.val.final.mean"] == pytest.approx(0.7)
    assert row["solved.val.final.q1"] == pytest.approx(0.6)
    assert row["solved.val.final.q3"] == pytest.approx(0.8)
    assert not {"seed", "id", "state"} & set(row)


def test_configurations_keep_their_order_and_unfinished_ones_their_row(tmp_path):
    wide, narrow = seeds(None, FAILED, model__width=64), seeds(result(0.5), None, model__width=32)
    first, second = summarised(found(tmp_path, *wide, *narrow))
    assert [first[name] for name in ("model.width", "planned", "n", "solved.val.final.median")] == [64, 2, 0, None]
    assert [second[name] for name in ("model.width", "planned", "n", "solved.val.final.median")] == [32, 2, 1, 0.5]


def test_unreached_events_count_as_later_than_their_limit(tmp_path):
    left = [result(t_gen=step) for step in (200, 300, None, None, None)]
    (row,) = summarised(found(tmp_path, *seeds(*left)))
    assert (row["t_gen.reached"], row["t_gen.censored"]) == (2, 3)
    assert (row["t_gen.median"], row["t_gen.median.at_least"]) == (None, 500)
    assert (row["t_gen.q1"], row["t_gen.q1.at_least"]) == (300, None)
    assert (row["t_gen.mean"], row["t_gen.mean.at_least"]) == (None, 400)
    assert (row["t_mem.reached"], row["t_mem.median"], row["t_mem.median.at_least"]) == (5, 100, None)


def test_a_loss_that_is_no_number_survives_everywhere(tmp_path):
    lost = result() | {"loss": {"val": nan}}
    table = found(tmp_path, *seeds(result(), lost))
    (row,) = summarised(table)
    assert isnan(row["loss.val.mean"])
    assert isnan(row["loss.val.median"])
    assert isnan(float(list(csv.DictReader(io.StringIO(as_csv(table))))[1]["loss.val"]))
    assert isnan(json.loads(as_jsonl(table).splitlines()[1])["loss.val"])
    assert " nan |" in each_as_markdown(table, ["loss.val"])


def test_csv_and_jsonl_give_every_number_back_in_full(tmp_path):
    table = found(tmp_path, *seeds(result(1 / 3, t_gen=200), result(0.1 + 0.2), FAILED))
    read_back = list(csv.DictReader(io.StringIO(as_csv(table))))
    assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in table] == read_back
    assert float(read_back[0]["solved.val.final"]) == 1 / 3
    assert [json.loads(line) for line in as_jsonl(table).splitlines()] == table


def cells(markdown):
    """The lines of a table below its head, by the names there."""
    head, _, *lines = ([cell.strip() for cell in line[1:-1].split("|")] for line in markdown.splitlines())
    return [dict(zip(head, line, strict=True)) for line in lines]


def test_a_reader_sees_medians_with_quartiles_and_what_was_not_reached(tmp_path):
    left = [result(val, t_gen=step) for val, step in ((0.5, 200), (0.9, None), (0.7, None))]
    table = summarised(found(tmp_path, *seeds(*left, None, model__width=32), *seeds(None, model__width=64)))
    names = ["solved.val.final", "t_gen", "t_gen.mean", "parameters"]
    first, second = cells(summary_as_markdown(table, names))
    assert first == {
        "model.width": "32",
        "runs": "3 of 4",
        "solved.val.final": "0.700 (0.600 to 0.800)",
        "t_gen": ">500 (>350 to >500)",
        "t_gen.reached": "1/3",
        "t_gen.mean": ">=400",
        "parameters": "1,000",
    }
    assert (second["runs"], second["solved.val.final"], second["t_gen.reached"]) == ("0 of 1", "", "0/0")


def test_in_a_table_of_runs_an_unreached_event_is_later_than_the_last_step(tmp_path):
    table = found(tmp_path, *seeds(result(t_gen=1250, steps=2000), result(steps=2000), FAILED))
    told = [(row["state"], row["t_gen"]) for row in cells(each_as_markdown(table, ["t_gen"]))]
    assert told == [("finished", "1,250"), ("finished", ">2,000"), ("failed", "")]


def test_a_bar_in_a_value_does_not_end_its_cell(tmp_path):
    table = found(tmp_path, ({"task.kind": "a|b"}, result()), ({"task.kind": "c"}, result()))
    assert r"a\|b" in each_as_markdown(table, [])


@pytest.mark.parametrize(
    ("word", "column"),
    [("t_gen", "t_gen"), ("val.final", "solved.val.final"), ("width", "model.width"), ("loss.val", "loss.val")],
)
def test_an_end_of_a_name_that_only_one_has_is_enough(word, column):
    known = ["solved.val.final", "solved.ood.final", "loss.val", "token_accuracy.val", "t_gen", "model.width"]
    assert column_of(word, known, "no") == column


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("val", "val: expected one column; say which: loss.val, accuracy.val"),
        ("al", "al: not here; did you mean loss.val?"),
        ("model.widht", "model.widht: not here; did you mean model.width?"),
        ("widht", "widht: not here; did you mean model.width?"),
        ("nothing", "nothing: not here; known: loss.val, accuracy.val, model.width"),
    ],
)
def test_a_word_that_means_no_column_or_several_is_refused(word, message):
    with pytest.raises(ConfigError) as caught:
        column_of(word, ["loss.val", "accuracy.val", "model.width"], "not here")
    assert str(caught.value) == message


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Types a command below the place of a sketched sweep: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    return lambda line: (main(line.split()), *capsys.readouterr())


def test_results_go_to_stdout_and_what_is_missing_to_stderr(tmp_path, command):
    sketch(tmp_path, seeds(result(), result(), FAILED, model__width=32) + seeds(None, model__width=64))
    code, out, err = command("sweep results sweeps/widths")
    assert code == 0
    assert [row["runs"] for row in cells(out)] == ["2 of 3", "0 of 1"]
    assert err.startswith("2 of 4 runs are finished; 1 failed, 1 is waiting\n")


def test_what_was_extended_is_said(tmp_path, command):
    directory = sketch(tmp_path, seeds(result(steps=900), result()))
    plan = read(directory)
    (plan.directory(plan.planned[0]) / "run.json").write_text('{"extended": [{"from": 500, "max_steps": 900}]}')
    assert (
        "1 run was extended beyond the plan, such as 000000000000: 900 steps instead of 500"
        in command("sweep results sweeps/widths")[2]
    )


def test_the_format_follows_the_file_unless_it_is_said(tmp_path, command):
    sketch(tmp_path, seeds(result(), result()))
    assert command("sweep results sweeps/widths --output a.csv")[:2] == (0, "a.csv\n")
    assert (tmp_path / "a.csv").read_text().startswith("planned,n,solved.seen.final.mean,")
    command("sweep results sweeps/widths --each --output a.jsonl")
    assert [json.loads(line)["seed"] for line in (tmp_path / "a.jsonl").read_text().splitlines()] == [0, 1]
    command("sweep results sweeps/widths --format csv --output a.md")
    assert (tmp_path / "a.md").read_text() == (tmp_path / "a.csv").read_text()


def test_columns_are_those_that_are_asked_for(tmp_path, command):
    sketch(tmp_path, seeds(result(), result(), model__width=32) + seeds(result(), model__width=64))
    typed = "sweep results sweeps/widths --format csv --columns"
    assert command(f"{typed} val.final.mean,t_gen.reached")[1].splitlines()[0] == (
        "model.width,planned,n,solved.val.final.mean,t_gen.reached"
    )
    assert command(f"{typed} t_gen --each")[1].splitlines()[0] == "id,state,model.width,seed,t_gen,t_gen.at_least"
    assert len(cells(command("sweep results sweeps/widths --columns all")[1])[0]) > 15
    assert "error: t_gne: no finished run has such a result; did you mean t_gen" in command(f"{typed} t_gne")[2]


def test_a_mistake_in_output_is_refused_before_anything_is_read(command):
    assert command("sweep results absent --output a.txt")[2] == (
        "factorexe sweep results: error: --output: expected a file that ends in .md, .csv or .jsonl (got 'a.txt')\n"
    )
