"""What stands in a figure, asked of the figure itself; and the verb that writes it."""

import re
import subprocess
import sys
import warnings
from xml.etree import ElementTree

import matplotlib
import pytest
from matplotlib.colors import to_hex
from written import ROWS, changed, result, row, write_run

from factorexe.cli import main
from factorexe.history import read
from factorexe.plots import draw, picture
from factorexe.plots.look import RUN_COLOURS, SPLITS

SEEN, VAL, OOD = (look.colour for look in SPLITS.values())


@pytest.fixture
def run(tmp_path):
    """Writes a run and reads its history."""
    return lambda name="run", **content: read(write_run(tmp_path / name, **content))


def curves(axes):
    """Steps and heights of every curve, in the order of drawing."""
    return [line for line in axes.lines if len(line.get_xdata()) > 2 or line.get_marker() not in ("None", "")]


def heights(axes, number):
    return list(curves(axes)[number].get_ydata())


def upright(axes):
    """Step and colour of every vertical line."""
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2]
    return [(line.get_xdata()[0], line.get_color()) for line in lines if line.get_xdata()[0] == line.get_xdata()[1]]


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts() if text.get_text()]


def marks(axes):
    """Colour, step and height of every event on a curve."""
    found = []
    for line in axes.lines:
        if line.get_marker() == "D":
            (at,) = line.get_markevery()
            found.append((line.get_color(), line.get_xdata()[at], line.get_ydata()[at]))
    return found


def drawn_bars(axes):
    """Colour -> difficulty, low and high of every interval."""
    return {
        to_hex(bars.get_color()[0]).upper(): [(x, low, high) for (x, low), (_, high) in bars.get_segments()]
        for bars in axes.collections
    }


def shades(axes):
    """Where the trained difficulties begin and end."""
    return [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches]


def test_one_run_has_a_colour_and_a_line_style_for_each_split(run):
    wrong, loss, _ = draw([run()]).axes
    for axes in (wrong, loss):
        assert [line.get_color() for line in curves(axes)] == [SEEN, VAL, OOD]
        assert [line.get_linestyle() for line in curves(axes)] == ["-", "--", ":"]
        assert axes.get_yscale() == "log"


def test_what_is_not_solved_is_drawn_as_one_minus_what_is(run):
    wrong = draw([run()]).axes[0]
    assert list(curves(wrong)[1].get_xdata()) == [100, 200, 300, 400, 500]
    assert heights(wrong, 1) == pytest.approx([0.75, 0.1, 0.01, 0.01, 0.01])


def test_where_nothing_is_left_the_curve_is_at_none_below_all_others(run):
    wrong = draw([run()]).axes[0]
    least = heights(wrong, 0)[-1]  # seen is solved in full
    assert 0 < least < 0.005  # the least that is left elsewhere
    assert wrong.get_yticks()[-1] == least
    assert ticks(wrong.yaxis) == ["100 %", "10 %", "1 %", "none"]


def test_without_a_solved_split_no_height_is_called_none(run):
    wrong = draw([run(rows=[row(1), row(2)])]).axes[0]
    assert ticks(wrong.yaxis) == ["100 %", "10 %", "1 %"]


def test_the_losses_are_drawn_as_they_are(run):
    loss = draw([run()]).axes[1]
    assert heights(loss, 0) == [2.0, 1.0, 0.5, 1.0, 1.0]


def test_events_of_one_run_are_lines_with_names(run):
    wrong, loss, _ = draw([run()]).axes
    assert upright(wrong) == upright(loss) == [(200, SEEN), (300, VAL)]
    assert {text.get_text() for text in wrong.texts} == {"t_mem = 200", "t_gen = 300"}


def test_a_run_that_reaches_nothing_has_no_event(run):
    wrong, loss, _ = draw([run(rows=[row(1), row(2)])]).axes
    assert not upright(wrong)
    assert not upright(loss)
    assert not wrong.texts


REACHED = [
    (1, 3, None),
    (1, 20, None),
    (18, 19, None),
    (1, 9, 20),
    (8, 10, 12),
    (10, 10, 10),
    (20, 4, 20),
    (15, 18, 20),
    (2, 3, 4),
    (7, 9, 20),
    (2, 14, 20),
]


@pytest.mark.parametrize("reached", REACHED)
@pytest.mark.parametrize("scale", [1, 5000])
def test_names_of_events_overlap_neither_one_another_nor_a_curve_nor_the_title(run, reached, scale):
    rows = [
        row(step * scale, **{s: 1.0 if at and step >= at else 0.0 for s, at in zip(SPLITS, reached, strict=True)})
        for step in range(1, 23)
    ]
    figure = draw([run(rows=rows)])
    figure.draw_without_rendering()  # lays out
    wrong = figure.axes[0]
    boxes = [text.get_window_extent() for text in (*wrong.texts, wrong.title)]
    assert len(boxes) == 1 + sum(at is not None for at in reached)
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number]), (boxes, wrong.texts)
    highest = wrong.transData.transform((0, 1.0))[1]
    assert all(box.y0 > highest for box in boxes)
    inside = wrong.get_window_extent()
    assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 for box in boxes)
    for line in wrong.lines[-len(wrong.texts) :]:
        (x, _), (_, top) = line.get_transform().transform(line.get_xydata())
        assert not any(box.x0 < x < box.x1 and box.y0 < top for box in boxes[:-1]), "a line runs through a name"


def test_the_difficulties_of_training_are_shaded_and_those_beyond_are_not(run):
    levels = draw([run()]).axes[2]
    assert shades(levels) == [(1.5, 3.5)]
    assert levels.get_xlim() == (1.5, 5.5)


def test_the_difficulties_are_counted_in_whole_numbers(run):
    one = [{name: number for name, number in each.items() if name[-2:] not in ("/3", "/4", "/5")} for each in ROWS]
    many = [row(1) | {f"solved_by_difficulty/ood/{level}": 0.0 for level in range(4, 40)}]
    assert ticks(draw([run("a", rows=one)]).axes[2].xaxis) == ["2"]
    assert ticks(draw([run("b")]).axes[2].xaxis) == ["2", "3", "4", "5"]
    marked = draw([run("c", rows=many)]).axes[2].get_xticks()
    assert 4 < len(marked) < 12
    assert all(level == round(level) for level in marked)


def test_rates_by_difficulty_are_those_of_the_last_evaluation(run):
    levels = draw([run()]).axes[2]
    seen, val, ood = levels.lines
    assert list(seen.get_ydata()) == [1.0, 1.0]
    assert list(val.get_ydata()) == [0.99, 0.99]
    assert list(ood.get_xdata()) == [4, 5]
    assert list(ood.get_ydata()) == [0.2, 0.2]
    assert all(abs(x - level) < 0.5 for line in (seen, val) for x, level in zip(line.get_xdata(), (2, 3), strict=True))


def test_intervals_are_drawn_once_the_run_is_finished(run):
    finished, unfinished = draw([run(record=result())]).axes[2], draw([run("other")]).axes[2]
    bars = drawn_bars(finished)
    assert [(round(x), low, high) for x, low, high in bars[VAL]] == [
        (2, pytest.approx(0.96), pytest.approx(1.0)),
        (3, pytest.approx(0.95), pytest.approx(0.995)),
    ]
    assert set(bars) == {SEEN, VAL}
    assert finished.get_xlabel() == "difficulty (bars: 95 % interval)"
    assert not drawn_bars(unfinished)
    assert unfinished.get_xlabel() == "difficulty"


def test_the_legend_of_one_run_says_what_its_splits_are(run):
    figure = draw([run()])
    assert legend(figure) == [look.meaning for look in SPLITS.values()] + ["difficulties of training"]
    assert figure.get_suptitle() == "addition, transformer, chain"


def test_a_split_that_the_task_has_not_is_left_out(run):
    rows = [{name: number for name, number in each.items() if "ood" not in name} for each in ROWS]
    figure = draw([run(rows=rows)])
    assert not any("ood" in text for text in legend(figure))
    assert len(curves(figure.axes[0])) == 2
    assert figure.axes[2].get_xlim() == (1.5, 3.5)


def test_a_single_evaluation_is_a_point_that_can_be_seen(run):
    wrong, loss, _ = draw([run(rows=[row(100)])]).axes
    assert [line.get_marker() for line in curves(wrong)] == ["o", "s", "^"]
    assert [line.get_marker() for line in curves(loss)] == ["o", "s", "^"]


NAN, INF = float("nan"), float("inf")
LOSSES = [(NAN, NAN), (1.0, INF, NAN), (1.0, 0.0, 0.0), (0.0, 0.0), (INF, INF)]


def test_a_loss_that_is_no_number_or_zero_does_no_harm(run):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, losses in enumerate(LOSSES):
            rows = [row(step, loss=loss) for step, loss in enumerate(losses, start=1)]
            assert picture(draw([run(str(number), rows=rows)]), ".png")


def test_several_runs_have_a_colour_each_and_splits_keep_their_lines(run):
    runs = [run("a"), run("b", options=changed(seed=1))]
    figure = draw(runs)
    lines = curves(figure.axes[0])
    assert [line.get_color() for line in lines] == [RUN_COLOURS[0]] * 3 + [RUN_COLOURS[1]] * 3
    assert [line.get_linestyle() for line in lines] == ["-", "--", ":"] * 2
    assert legend(figure)[-2:] == ["seed 0", "seed 1"]


def test_events_of_several_runs_are_marks_on_their_curves(run):
    later = [row(step, seen=1.0 if step >= 400 else 0.75) for step in (100, 200, 300, 400, 500, 600)]
    wrong, loss, _ = draw([run("a"), run("b", rows=later)]).axes
    first, second = RUN_COLOURS[:2]
    least = min(wrong.get_yticks())
    expected = [(first, 200, 0.01), (first, 300, 0.01), (second, 400, least)]
    assert [(colour, step, pytest.approx(height)) for colour, step, height in expected] == marks(wrong)
    assert marks(loss) == [(first, 200, 1.0), (first, 300, 0.5), (second, 400, 1.0)]
    assert not upright(wrong)


def test_many_runs_have_as_many_colours_and_all_their_names_fit(run):
    runs = [run(str(seed), options=changed(seed=seed)) for seed in range(20)]
    figure = draw(runs)
    assert len({line.get_color() for line in curves(figure.axes[0])}) == 20
    assert [text for text in legend(figure) if text.startswith("seed ")] == [f"seed {seed}" for seed in range(20)]
    figure.draw_without_rendering()  # lays out
    words = figure.legends[0].get_window_extent()
    assert figure.bbox.x0 <= words.x0
    assert words.x1 <= figure.bbox.x1
    assert words.y1 <= min(axes.get_tightbbox().y0 for axes in figure.axes)
    assert all(axes.get_window_extent().height > 0.35 * axes.get_window_extent().width for axes in figure.axes)


def test_long_names_are_broken_and_stay_inside(run):
    runs = [run(str(n), options=changed(task__digits=n, init_from=f"runs/{'long/' * 20}{n}")) for n in (1, 2, 3)]
    figure = draw(runs)
    figure.draw_without_rendering()
    assert figure.legends[0].get_window_extent().x1 <= figure.bbox.x1
    assert sum("\n" in text for text in legend(figure)) == 3


def test_runs_trained_on_different_difficulties_are_each_shaded(run):
    easy = [{name.replace("/3", "/2"): number for name, number in row(1).items()}]
    levels = draw([run("a"), run("b", rows=easy)]).axes[2]
    assert sorted(shades(levels)) == [(1.5, 2.5), (1.5, 3.5)]


def test_the_title_names_what_all_runs_share(run):
    other = changed(model={"name": "universal-transformer", "steps": 2})
    assert draw([run("a"), run("b", options=other)]).get_suptitle() == "addition, chain"


def test_text_in_svg_stays_text(run):
    content = picture(draw([run("a"), run("b", options=changed(seed=1))]), ".svg")
    words = {
        "".join(text.itertext()) for text in ElementTree.fromstring(content).iter("{http://www.w3.org/2000/svg}text")
    }
    assert {"problems not solved", "loss per supervised token", "solved at the last evaluation", "seed 1"} <= words


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_figure_is_the_same_file(run, suffix):
    history = run()
    assert picture(draw([history]), suffix) == picture(draw([history]), suffix)


def test_png_is_wide_enough_for_twice_the_width_of_a_readme(run):
    content = picture(draw([run()]), ".png")
    assert int.from_bytes(content[16:20], "big") == 1800


def test_settings_of_matplotlib_are_left_as_they_were(run):
    before = dict(matplotlib.rcParams)
    picture(draw([run()]), ".svg")
    assert dict(matplotlib.rcParams) == before


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Types a command in a directory of its own: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def typed(line):
        return main(line.split()), *capsys.readouterr()

    return typed


def test_one_run_is_drawn_into_its_directory(command, tmp_path):
    write_run(tmp_path / "runs" / "a")
    assert command("plot runs/a") == (0, "runs/a/plot.png\n", "")
    assert (tmp_path / "runs/a/plot.png").read_bytes().startswith(b"\x89PNG")


def test_several_runs_are_drawn_where_the_command_is_typed(command, tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b")
    assert command("plot a b") == (0, "plot.png\n", "")
    assert (tmp_path / "plot.png").exists()


def test_a_run_given_twice_is_one_run(command, tmp_path):
    write_run(tmp_path / "a")
    assert command("plot a ./a")[1] == "a/plot.png\n"


@pytest.mark.parametrize("name", ["figure.svg", "FIGURE.SVG"])
def test_the_format_follows_the_name(command, tmp_path, name):
    write_run(tmp_path / "a")
    assert command(f"plot a --output {name}") == (0, f"{name}\n", "")
    assert b"t_mem = 200" in (tmp_path / name).read_bytes()


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("plot", "the following arguments are required: RUN"),
        ("plot absent", "absent is not a run"),
        ("plot good absent", "absent is not a run"),
        ("plot early", "early has no evaluation yet"),
        ("plot good other", "expected runs of one task (got addition (good), sorting (other))"),
        ("plot good --output figure.pdf", "expected a file that ends in .png or .svg (got 'figure.pdf')"),
        ("plot good --output figure", "expected a file that ends in .png or .svg (got 'figure')"),
        ("plot good --output absent/figure.png", "there is no directory absent"),
        ("plot good --output folder.png", "folder.png cannot be written: Is a directory"),
        ("plot good --outptu figure.png", "unrecognized arguments"),
    ],
)
def test_a_mistake_is_refused_in_one_line_and_nothing_is_written(command, tmp_path, line, part):
    write_run(tmp_path / "good")
    write_run(tmp_path / "early", rows=None)
    write_run(tmp_path / "other", options=changed(task={"name": "sorting"}))
    (tmp_path / "folder.png").mkdir()
    before = sorted(tmp_path.rglob("*"))
    code, out, err = command(line)
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"factorexe plot: error: .*{re.escape(part)}.*\n", err)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("unwanted", ["torch", "lightning", "matplotlib.pyplot"])
def test_plotting_imports_neither_torch_nor_what_draws_on_screens(tmp_path, unwanted):
    run = write_run(tmp_path / "a")
    code = (
        f"import sys; from factorexe.cli import main; left = main(['plot', {str(run)!r}]);"
        f" sys.exit(left or {unwanted!r} in sys.modules)"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert asked.returncode == 0, asked.stderr
