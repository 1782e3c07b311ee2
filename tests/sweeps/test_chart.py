"""What a figure of a sweep shows, asked of its data and of the figure itself; and the verb that draws it."""

import re
import warnings
from math import nan

import pytest
from sketched import result, sketch

from factorexe.cli import main
from factorexe.config import ConfigError
from factorexe.plots import picture
from factorexe.plots.scales import scale_of
from factorexe.plots.sweep import draw
from factorexe.plots.words import in_words
from factorexe.sweeps.chart import chart
from factorexe.sweeps.plan import read
from factorexe.sweeps.results import rows

VALS = {(1, 32): (0.5, 0.7, 0.6), (1, 64): (0.8, 0.9, 0.85), (2, 32): (0.6, 0.8, 0.7), (2, 64): (0.9, 1.0, 0.95)}


def grid(**more):
    """Two widths of two depths, three seeds of each."""
    return [
        (
            {"model.layers": layers, "model.width": width, "seed": seed},
            result(val, parameters=layers * width**2, **more),
        )
        for (layers, width), vals in VALS.items()
        for seed, val in enumerate(vals)
    ]


def of(tmp_path, runs, **names):
    return chart(rows(read(sketch(tmp_path, runs))), **{"x": "model.width", "y": "solved.val.final", **names})


def told(found):
    """Hue -> x -> what the seeds found."""
    return {line.hue: {place.x: [n.value for n in place.numbers] for place in line.places} for line in found.lines}


def test_there_is_a_line_for_each_hue_and_a_place_for_each_x(tmp_path):
    found = of(tmp_path, grid(), x="width", y="val.final", hue="layers")
    assert (found.x, found.y, found.hue) == ("model.width", "solved.val.final", "model.layers")
    assert told(found) == {
        "1": {32: [0.5, 0.7, 0.6], 64: [0.8, 0.9, 0.85]},
        "2": {32: [0.6, 0.8, 0.7], 64: [0.9, 1.0, 0.95]},
    }


def test_numbers_are_in_order_whatever_the_order_of_the_plan(tmp_path):
    found = of(tmp_path, grid()[::-1], hue="model.layers")
    assert [line.hue for line in found.lines] == ["1", "2"]
    assert [place.x for place in found.lines[0].places] == [32, 64]


def test_a_condition_settles_an_option_however_its_number_is_written(tmp_path):
    runs = [({"optim.lr": lr, "model.width": width}, result(val)) for lr in (0.001, 0.003) for width, val in [(32, lr)]]
    found = of(tmp_path, [*runs, ({"optim.lr": 0.001, "model.width": 64}, result(0.5))], where=["lr=1e-3"])
    assert told(found) == {None: {32: [0.001], 64: [0.5]}}
    assert found.where == ("optim.lr 0.001",)


def test_a_result_may_be_on_the_horizontal_axis(tmp_path):
    found = of(tmp_path, grid(), x="parameters", hue="model.layers")
    assert {line.hue: [place.x for place in line.places] for line in found.lines} == {
        "1": [1024, 4096],
        "2": [2048, 8192],
    }


def test_unfinished_runs_are_left_out_and_unreached_events_are_not(tmp_path):
    left = [result(t_gen=200), result(t_gen=None), None]
    found = of(tmp_path, [({"model.width": 32, "seed": n}, one) for n, one in enumerate(left)], x="seed", y="t_gen")
    assert [(p.x, [(n.value, n.sign) for n in p.numbers]) for p in found.lines[0].places] == [
        (0, [(200, "")]),
        (1, [(500, ">")]),
    ]


def test_a_delay_of_which_nothing_is_known_is_counted(tmp_path):
    left = [result(t_gen=200), result(t_mem=None, t_gen=300)]
    found = of(tmp_path, [({"model.width": w}, one) for w, one in zip((32, 64), left, strict=True)], y="delay")
    assert (told(found), found.missing) == ({None: {32: [100]}}, 1)


WIDTHS = [({"model.width": width, "seed": seed}, result()) for width in (32, 64) for seed in (0, 1)]


@pytest.mark.parametrize(
    ("runs", "names", "message"),
    [
        (
            grid(),
            {},
            "runs also differ in model.layers (1, 2): choose one with --where model.layers=1",
        ),
        (WIDTHS, {"x": "model.widht"}, "model.widht: no run of this sweep varies it; did you mean model.width?"),
        (WIDTHS, {"hue": "layers"}, "layers: no run of this sweep varies it; known: model.width, seed"),
        (
            WIDTHS,
            {"y": "final"},
            "final: expected one column; say which: solved.seen.final, solved.val.final, solved.ood.final",
        ),
        (WIDTHS, {"hue": "width"}, "--x and --hue are both model.width; choose another for one of them"),
        (WIDTHS, {"x": "t_gen"}, "--x: t_gen is an event, which not every run reaches; it can be --y"),
        (WIDTHS, {"where": ["width"]}, "--where: expected OPTION=VALUE (got 'width')"),
        (WIDTHS, {"where": ["width=48"]}, "--where model.width: expected one of 32, 64 (got 48)"),
        (
            [({"model.width": 32}, None), ({"model.width": 64}, "begun")],
            {},
            "none of these 2 runs is finished yet; factorexe sweep status DIR says why",
        ),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path, runs, names, message):
    with pytest.raises(ConfigError) as caught:
        of(tmp_path, runs, **names)
    assert str(caught.value) == message


def test_options_that_go_together_are_no_ambiguity(tmp_path):
    runs = [({"model.width": width, "model.layers": layers}, result()) for width, layers in ((32, 4), (64, 2))]
    assert list(told(of(tmp_path, runs))[None]) == [32, 64]


def lines(axes):
    """Steps and heights of every line that connects places."""
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines if len(line.get_xdata()) > 1]


def marks(axes, marker):
    return [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if line.get_marker() == marker]


def legends(figure):
    return [[text.get_text() for text in legend.get_texts()] for legend in figure.legends]


def test_the_line_is_the_median_and_the_band_holds_all_of_few_seeds(tmp_path):
    figure = draw(of(tmp_path, grid(), hue="model.layers"), "widths", "What does width buy?")
    (axes,) = figure.axes
    assert lines(axes) == [([32, 64], [0.6, 0.85]), ([32, 64], [0.7, 0.95])]
    band = axes.collections[0].get_paths()[0].vertices
    assert {(x, y) for x, y in band} == {(32, 0.5), (32, 0.7), (64, 0.8), (64, 0.9)}
    assert legends(figure) == [
        ["1", "2"],
        ["median of 3 seeds", "all of them, lowest to highest", "a single seed"],
    ]
    assert figure.get_suptitle() == "widths: What does width buy?"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("model width", "solved of val at the end")


def test_of_five_seeds_the_band_holds_the_middle_half(tmp_path):
    vals = (0.1, 0.2, 0.3, 0.4, 0.9)
    runs = [({"model.width": w, "seed": n}, result(val)) for w in (32, 64) for n, val in enumerate(vals)]
    figure = draw(of(tmp_path, runs), "widths", "")
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    assert {y for _, y in band} == {0.2, 0.4}
    assert legends(figure) == [["median of 5 seeds", "the middle half of them", "a single seed"]]


def test_without_seeds_there_is_neither_band_nor_dots(tmp_path):
    figure = draw(of(tmp_path, [({"model.width": w}, result(0.5)) for w in (32, 64)]), "widths", "")
    assert not figure.axes[0].collections
    assert not figure.legends


def test_where_seeds_are_missing_it_says_up_to(tmp_path):
    figure = draw(of(tmp_path, [*grid()[:5]]), "widths", "")
    assert legends(figure)[0][0] == "median of up to 3 seeds"


def test_an_unreached_event_is_an_upright_triangle_at_the_last_step(tmp_path):
    runs = [
        ({"model.width": width, "seed": seed}, result(t_gen=step))
        for width, steps in ((32, (None, None, 400)), (64, (100, None, 200)))
        for seed, step in enumerate(steps)
    ]
    figure = draw(of(tmp_path, runs, y="t_gen"), "widths", "")
    (axes,) = figure.axes
    assert lines(axes) == [([32, 64], [500, 200])]
    assert sorted(marks(axes, "^")) == [(32, 500), (32, 500), (32, 500), (64, 500)]  # two seeds and the median; a seed
    assert legends(figure)[0][-1] == "not reached by the last step"


def test_a_loss_that_is_no_number_is_a_gap_and_is_counted(tmp_path):
    lost = result() | {"loss": {"val": nan}}
    runs = [({"model.width": w}, lost if w == 64 else result()) for w in (32, 64, 128)]
    found = of(tmp_path, runs, y="loss.val")
    assert found.no_numbers == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert picture(draw(found, "widths", ""), ".png")


@pytest.mark.parametrize(
    ("values", "base", "numeric"),
    [
        ([1, 2, 4], 2, True),
        ([32, 64, 128, 256], 2, True),
        ([32, 64], None, True),
        ([1, 2, 3, 4], None, True),
        ([100, 200, 300, 400, 500], None, True),
        ([0.0001, 0.0003, 0.001, 0.003], 10, True),
        ([0, 1, 10, 100], None, True),
        ([5], None, True),
        (["a", "b"], None, False),
        ([32, "none"], None, False),
    ],
)
def test_the_axis_is_the_one_on_which_values_stand_most_evenly(values, base, numeric):
    scale = scale_of(values, "x")
    assert (scale.base, scale.numeric) == (base, numeric)


def test_values_that_are_no_numbers_stand_side_by_side(tmp_path):
    runs = [({"model": name}, result(val)) for name, val in (("wide", 0.5), ("deep", 0.9), ("both", 0.7))]
    (axes,) = draw(of(tmp_path, runs, x="model"), "widths", "").axes
    assert lines(axes) == [([0, 1, 2], [0.5, 0.9, 0.7])]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["wide", "deep", "both"]


def test_nothing_is_clipped_and_no_words_overlap_with_long_names_and_many_hues(tmp_path):
    runs = [
        ({"model.width": w, "optim.optimizer.name": f"an-optimizer-with-a-long-name-{n}", "seed": s}, result(0.1 * n))
        for w in (32, 64, 128)
        for n in range(9)
        for s in range(2)
    ]
    figure = draw(of(tmp_path, runs, hue="optim.optimizer.name"), "widths", "What does it buy? " * 8)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = [
        figure._suptitle.get_window_extent(),
        axes.get_tightbbox(),
        *(e.get_window_extent() for e in figure.legends),
    ]
    for number, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1  # noqa: PT018
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1  # noqa: PT018
        assert not any(box.overlaps(other) for other in boxes[:number])
    assert axes.get_window_extent().width > 0.3 * figure.bbox.width


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("solved.val.final", "solved of val at the end"),
        ("solved.ood.best", "solved of ood at the best step"),
        ("solved_by_difficulty.val.3", "solved of val at difficulty 3"),
        ("loss.val", "loss on val"),
        ("t_gen", "t_gen: step at which val is solved (99 %)"),
        ("optim.optimizer.lr", "optim optimizer lr"),
        ("train_multiply_adds", "multiply-adds in training"),
    ],
)
def test_axes_are_named_in_words(column, words):
    assert in_words(column) == words


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Types a command below the place of a sketched sweep: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    return lambda line: (main(line.split()), *capsys.readouterr())


def test_the_figure_goes_to_the_directory_of_the_sweep(tmp_path, command):
    sketch(tmp_path, grid())
    line = "sweep plot sweeps/widths --x width --hue layers"
    assert command(line) == (0, "sweeps/widths/plot.png\n", "12 of 12 runs are finished\n")
    assert (tmp_path / "sweeps/widths/plot.png").read_bytes().startswith(b"\x89PNG")


def test_an_svg_holds_the_question_of_the_sweep(tmp_path, command):
    sketch(tmp_path, grid(), question="What does width buy?")
    assert command("sweep plot sweeps/widths --x width --where layers=2 --output a.svg")[:2] == (0, "a.svg\n")
    assert "widths: What does width buy?" in (tmp_path / "a.svg").read_text()
    assert "model.layers 2" in (tmp_path / "a.svg").read_text()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ("", "the following arguments are required: --x"),
        ("--x width", "runs also differ in model.layers (1, 2): choose one with --where model.layers=1"),
        ("--x widht", "widht: no run of this sweep varies it; did you mean model.width?"),
        ("--x width --output a.pdf", "--output: expected a file that ends in .png or .svg (got 'a.pdf')"),
    ],
)
def test_a_mistake_is_refused_and_nothing_is_drawn(tmp_path, command, options, part):
    sketch(tmp_path, grid())
    code, out, err = command(f"sweep plot sweeps/widths {options}")
    assert (code, out) == (2, "")
    assert re.search(rf"^factorexe sweep plot: error: {re.escape(part)}\n", err, re.MULTILINE)
    assert not list(tmp_path.rglob("*.png"))
