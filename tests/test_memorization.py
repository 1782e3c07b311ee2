"""The story of a run, from directories of a few lines: in words, in tables, as a record and as a page."""

import json
import subprocess
import sys

import pytest
from matplotlib.colors import to_hex
from written import ROWS, row, write_run

from factorexe.memorization import as_json, story, words, written
from factorexe.plots.look import SPLITS
from factorexe.plots.memorization import draw
from factorexe.rundir import RunError


@pytest.fixture
def tell(tmp_path):
    """Writes a run and reads its story."""
    return lambda name="run", **content: story(write_run(tmp_path / name, **content))


def rows(*rates, cadence=100):
    """An evaluation for each pair of solved rates, of seen and val."""
    return [row(cadence * (n + 1), seen=seen, val=val) for n, (seen, val) in enumerate(rates)]


def without(split, told):
    return [{name: x for name, x in one.items() if f"/{split}" not in name} for one in told]


def after(first, *others):
    """Rows in which each further number is that of the evaluation of its place, where it is not None."""
    return [one | {name: x[n] for name, x in others if x[n] is not None} for n, one in enumerate(first)]


LATE = [(1, 0)] * 3 + [(1, 1)] * 3  # seen from 100 on, val from 400 on


@pytest.mark.parametrize(
    ("rates", "sentence"),
    [
        (LATE, "Memorized at step 100, generalized at step 400 (300 later)."),
        ([(1, 1)] * 3, "Memorized and generalized at the same evaluation, step 100."),
        ([(0, 1)] * 3 + [(1, 1)] * 3, "Generalized at step 100, 300 before seen was solved at step 400."),
        ([(1, 0)] * 4, "Memorized at step 100, not generalized by step 400."),
        ([(0, 1)] * 4, "Generalized at step 100; seen was not solved by step 400."),
        ([(0, 0), (1, 1), (1, 1)], "Neither memorized nor generalized by step 300."),  # not three times in a row
    ],
)
def test_the_first_sentence_says_what_was_reached_and_when(tell, rates, sentence):
    assert words(tell(rows=rows(*rates)))[0] == sentence


def test_steps_are_written_as_people_do(tell):
    found = tell(rows=rows(*LATE, cadence=1250))
    assert words(found)[0] == "Memorized at step 1,250, generalized at step 5,000 (3,750 later)."


def test_where_val_is_not_scored_nobody_says_that_it_was_not_reached(tell):
    found = tell(rows=without("val", rows(*[(1, 0)] * 3)))
    assert words(found)[0] == "Memorized at step 100, and val is not scored."
    assert as_json(found)["events"]["t_gen"] is None
    assert "val is not scored" in written(found)


def test_the_second_sentence_says_how_it_ended(tell):
    found = tell(rows=rows((1, 0), (1, 0), (1, 0.25)))
    assert words(found)[1] == "Solved at the last evaluation: seen 1.000, val 0.250, ood 0.000."


def test_a_late_collapse_is_called_one(tell):
    found = tell(rows=rows(*[(1, 1)] * 3, (1, 0.5), (1, 0.96)))
    assert found.lowest == (400, 0.5)
    assert words(found)[1].startswith("After that val fell to 0.500 at step 400, a late collapse; solved at the last")


def test_what_is_lowest_before_t_gen_is_no_collapse(tell):
    found = tell(rows=rows((1, 0.1), *[(1, 1)] * 3, (1, 0.97)))
    assert found.lowest == (500, 0.97)
    assert words(found)[1].startswith("After that val was never below 0.970 (step 500); ")


def test_an_event_that_was_not_reached_is_at_least_as_late_as_the_last_evaluation(tell):
    record = as_json(tell())  # seen at 200, val at 300, ood never, the last evaluation at 500
    assert record["events"] == {"t_mem": 200, "t_gen": 300, "t_ood.at_least": 500, "delay": 100}
    record = as_json(tell("other", rows=rows(*[(1, 0)] * 4)))
    assert record["events"] == {"t_mem": 100, "t_gen.at_least": 400, "t_ood.at_least": 400, "delay.at_least": 300}


def test_the_table_says_by_which_step_it_was_not_reached(tell):
    lines = written(tell()).splitlines()
    assert lines[0].endswith("step 500, not finished")
    (line,) = [line for line in lines if "t_ood" in line and "out of" in line]
    assert line.endswith("not reached by step 500")
    assert any(line.startswith("lowest val after t_gen") and line.endswith("0.990 at step 300") for line in lines)


def test_numbers_are_those_last_measured_by_each_event(tell):
    sparse = ("fourier/restricted_loss", [None, 4.0, None, None, 0.5])
    numbers = as_json(tell(rows=after(ROWS, sparse)))["numbers"]
    assert numbers["fourier/restricted_loss"] == {"t_mem": 4.0, "t_gen": 4.0, "last": 0.5}  # of 200, 200 and 500
    assert numbers["solved/val"] == {"t_mem": 0.9, "t_gen": 0.99, "last": 0.99}
    late = ("weight/norm", [None, None, None, 3.0, 2.0])
    numbers = as_json(tell("late", rows=after(ROWS, late)))["numbers"]
    assert numbers["weight/norm"] == {"t_mem": None, "t_gen": None, "last": 2.0}


def test_a_run_that_is_being_extended_is_not_finished(tell):
    assert tell(record={"steps": 500, "interval_by_difficulty": {}}).finished
    assert not tell("longer", record={"steps": 400, "interval_by_difficulty": {}}).finished


def test_the_ratio_up_to_t_mem_is_the_one_that_the_probe_left(tell):
    record = {"steps": 500, "interval_by_difficulty": {}, "one_step_probe": {"osgr": {"val_until_t_mem": 0.125}}}
    found = tell(record=record)
    assert as_json(found)["osgr_val_until_t_mem"] == 0.125
    assert "osgr/val of the steps up to t_mem" in written(found)
    assert as_json(tell("unwatched"))["osgr_val_until_t_mem"] is None


# -- the page


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def upright(axes):
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_xdata()[0] == line.get_xdata()[1]]
    return [(line.get_xdata()[0], line.get_color()) for line in lines]


def curves(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_a_run_without_instruments_has_one_panel(tell):
    figure = draw(tell())
    assert titles(figure) == ["solved"]
    assert list(curves(figure.axes[0])) == ["seen", "val", "ood"]
    assert list(curves(figure.axes[0])["val"].get_ydata()) == [0.25, 0.9, 0.99, 0.99, 0.99]


def test_every_panel_has_a_line_at_each_event_and_the_first_one_names_them(tell):
    more = [("weight/norm", [5.0, 4.0, 3.0, 2.0, 1.0]), ("canary/acc_wrong", [0.9, 0.9, 0.5, 0.1, 0.0])]
    figure = draw(tell(rows=after(ROWS, *more)))
    assert titles(figure) == ["solved", "planted wrong answers", "norm of the weights"]
    for axes in figure.axes:
        assert upright(axes) == [(200, SPLITS["seen"].colour), (300, SPLITS["val"].colour)]
    first, *others = figure.axes
    heights = {text.get_text(): text.xyann[1] for text in first.texts}
    assert heights["t_mem = 200"] > heights["t_gen = 300"]  # whose line ends below the other's name
    assert not any(axes.texts for axes in others)


def test_splits_look_as_in_every_other_figure(tell):
    figure = draw(
        tell(rows=after(ROWS, ("osgr/val", [0.1] * 5), ("osgr/seen", [0.5] * 5), ("osgr/mem_gap", [0.8] * 5)))
    )
    found = curves(figure.axes[1])
    for split in ("seen", "val"):
        assert (to_hex(found[split].get_color()).upper(), found[split].get_linestyle()) == SPLITS[split][:2]
    assert "gap, seen to val, over seen" in found


def test_a_ratio_that_leaves_all_bounds_is_cut_and_the_title_says_so(tell):
    figure = draw(tell(rows=after(ROWS, ("osgr/val", [0.1, 700.0, 0.2, -40.0, 0.5]))))
    assert figure.axes[1].get_ylim() == (-1, 2)
    assert titles(figure)[1].endswith("(cut at -1 and 2)")
    tame = draw(tell("tame", rows=after(ROWS, ("osgr/val", [0.1, 0.2, 0.3, 0.4, 0.5]))))
    assert "cut" not in titles(tame)[1]


def test_what_was_measured_rarely_is_drawn_as_points_and_numbers_that_are_none_not_at_all(tell):
    figure = draw(tell(rows=after(ROWS, ("repr/spectral_entropy", [None, 0.5, None, float("inf"), 0.25]))))
    (line,) = curves(figure.axes[1]).values()
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([200, 500], [0.5, 0.25])
    assert line.get_marker() == "o"


def test_one_evaluation_is_enough_for_a_page(tell):
    found = tell(rows=[row(100)])
    assert titles(draw(found)) == ["solved"]
    assert words(found)[0] == "Neither memorized nor generalized by step 100."


# -- the command


def test_the_command_writes_the_page_beside_the_run_and_prints_the_tables(tmp_path, command):
    path = write_run(tmp_path / "run")
    code, out, err = command("memorization", path)
    assert code == 0
    assert "Memorized at step 200, generalized at step 300 (100 later)." in out
    assert err == f"written: {path / 'memorization.png'}\n"
    assert (path / "memorization.png").read_bytes().startswith(b"\x89PNG")


def test_the_record_alone_is_on_stdout_and_the_page_where_it_was_wanted(tmp_path, command):
    path = write_run(tmp_path / "run")
    code, out, _ = command("memorization", path, "--json", "--output", tmp_path / "page.svg")
    assert code == 0
    assert json.loads(out)["events"]["t_gen"] == 300
    assert (tmp_path / "page.svg").read_text().startswith("<?xml")
    assert not (path / "memorization.png").exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("absent",), "absent is not a run"),
        (("young",), "has no evaluation yet"),
        (("run", "--output", "page.pdf"), "--output: expected a file that ends in .png or .svg"),
        (("run", "--checkpoint", "best"), "unrecognized arguments"),
        ((), "RUN"),
    ],
)
def test_bad_input_is_refused_in_one_line(tmp_path, monkeypatch, command, words, part):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run")
    write_run(tmp_path / "young", rows=[])
    code, out, err = command("memorization", *words)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert part in err
    assert not (tmp_path / "run" / "memorization.png").exists()


def test_a_damaged_result_is_refused(tmp_path):
    path = write_run(tmp_path / "run")
    (path / "result.json").write_text("{")
    with pytest.raises(RunError, match=r"result\.json"):
        story(path)


def test_it_needs_no_torch(tmp_path):
    path = write_run(tmp_path / "run")
    code = "import sys; from factorexe.cli import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, "memorization", path], capture_output=True).returncode == 0
