"""What stands in a figure of budgets, asked of the figure itself."""

import pytest
from matplotlib.colors import to_hex
from sketched_budgets import BUDGET, STEPS, comparison, point

from factorexe.budgets.record import Curve
from factorexe.plots import picture
from factorexe.plots.budget import draw, draw_comparison
from factorexe.plots.look import RUN_COLOURS


def line_at(axes, xs):
    """Heights of every line through these places."""
    return [list(line.get_ydata()) for line in axes.lines if list(line.get_xdata()) == xs]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_solved_is_drawn_over_compute_with_a_line_for_each_difficulty_and_their_mean():
    val, ood = draw(BUDGET).axes
    lines = line_at(val, [10.0, 20.0, 40.0])
    for expected in ([0.15, 0.6, 0.45], [0.2, 0.8, 0.6], [0.1, 0.4, 0.3]):  # the mean, difficulties 2 and 3
        assert any(line == pytest.approx(expected) for line in lines)
    assert pytest.approx([0.0, 0.1, 0.4]) in line_at(ood, [12.0, 24.0, 48.0])
    assert val.get_title() == "val, model.steps turned"


def test_the_trained_budget_is_marked_where_it_is():
    val, ood = draw(BUDGET).axes
    for axes, compute, solved in ((val, 20.0, 0.6), (ood, 24.0, 0.1)):
        (upright,) = [line for line in axes.lines if list(line.get_xdata()) == [compute, compute]]
        assert upright.get_linestyle() == ":"
        assert [solved] in [pytest.approx(heights) for heights in line_at(axes, [compute])]


def test_every_point_has_the_value_of_the_dial_beside_it():
    val = draw(BUDGET).axes[0]
    assert [text.get_text() for text in val.texts] == ["1", "2", "4"]


@pytest.mark.parametrize(("steps", "scale"), [(10, "linear"), (11, "log")])
def test_the_axis_is_logarithmic_beyond_a_decade(steps, scale):
    curve = Curve("model.steps", (point(1, 0.1, 0.1, trained=True), point(steps, 0.1, 0.1)))
    assert {axes.get_xscale() for axes in draw(BUDGET._replace(curves=[curve])).axes} == {scale}


def test_running_to_the_end_is_a_mark_of_its_own():
    figure = draw(BUDGET._replace(running=point(3, 0.9, 0.2)))
    assert [pytest.approx([0.675])] == line_at(figure.axes[0], [30.0])
    assert "trained budget, every token running" in legend(figure)
    assert "trained budget, every token running" not in legend(draw(BUDGET))


def test_each_dial_has_a_row_and_each_split_a_column():
    figure = draw(BUDGET._replace(curves=[STEPS, STEPS._replace(dial="model.pauses")]))
    assert [axes.get_title() for axes in figure.axes] == [
        f"{split}, model.{dial} turned" for dial in ("steps", "pauses") for split in ("val", "ood")
    ]


def test_several_runs_have_a_colour_each_over_the_cost_that_was_asked_for():
    found = comparison(100, 105)
    for x, scale in (("compute", 1), ("multiply-adds", 1000)):
        val = draw_comparison(found, x).axes[0]
        drawn = [line for line in val.lines if list(line.get_xdata()) == [10 * scale, 20 * scale, 40 * scale]]
        assert {to_hex(line.get_color()).upper() for line in drawn} == set(RUN_COLOURS[:2])


def test_the_title_says_whether_runs_are_equal_and_the_legend_how_large_each_is():
    equal, unequal = draw_comparison(comparison(100, 105)), draw_comparison(comparison(100, 300))
    assert equal.get_suptitle() == "equal parameters, within 10 %: 100 to 105"
    assert unequal.get_suptitle().startswith("NOT of equal parameters: 100 to 300")
    assert "(300 parameters)" in " ".join(legend(unequal)[1].split())


@pytest.mark.parametrize("count", [1, 2, 9])
def test_any_number_of_runs_is_drawn(count):
    assert picture(draw_comparison(comparison(*range(100, 100 + count))), ".png").startswith(b"\x89PNG")


def test_a_run_without_dials_is_one_point():
    alone = BUDGET._replace(curves=[Curve("", (point(2, 0.8, 0.1, trained=True),))])
    found = comparison(100)
    found = found._replace(runs=(found.runs[0]._replace(budget=alone),))
    assert [pytest.approx([0.6])] == line_at(draw_comparison(found).axes[0], [20.0])[:1]
