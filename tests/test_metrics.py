"""The table of a run, there and back, and its events, by tables small enough to read."""

import re

import pytest

from factorexe.metrics import as_csv, events, lowest_val_after_t_gen, read_rows


@pytest.fixture
def read(tmp_path):
    """The rows of a file with this content."""

    def of(content):
        path = tmp_path / "metrics.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_rows(path)

    return of


def table(**columns):
    """Rows at steps 100, 200, ... with these solved rates."""
    count = len(next(iter(columns.values())))
    return [
        {"step": 100 * (i + 1), **{f"solved/{split}": column[i] for split, column in columns.items()}}
        for i in range(count)
    ]


def test_the_documented_table_gives_the_documented_events():
    seen = [0.970, 0.991, 0.995, 0.999, 1.0, 1.0]
    val = [0.930, 0.960, 0.985, 0.992, 0.995, 0.996]
    rows = table(seen=seen, val=val, ood=[0.0] * 6)
    assert events(rows) == {"t_mem": 200, "t_gen": 400, "t_gen_95": 200, "t_ood": None, "delay": 200}


@pytest.mark.parametrize(
    ("solved", "reached"),
    [
        ([0.99, 0.99, 0.99], 100),  # the first of three, not the third
        ([1.0, 1.0], None),  # two are not enough
        ([1.0, 1.0, 0.98, 1.0, 1.0], None),  # interrupted
        ([1.0, 1.0, 0.98, 1.0, 1.0, 1.0], 400),
        ([0.5, 1.0, 1.0, 1.0, 0.0], 200),  # reached once is reached
        ([1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0], 100),  # the first time counts
        ([0.9899, 1.0, 1.0], None),
        ([], None),
    ],
)
def test_reached_is_the_first_of_three_consecutive_evaluations(solved, reached):
    assert events(table(val=solved))["t_gen"] == reached


def test_solved_at_95_percent_comes_no_later_than_at_99():
    assert events(table(val=[0.94, 0.95, 0.96, 0.97, 0.99]))["t_gen_95"] == 200
    assert events(table(val=[0.94, 0.95, 0.96, 0.97, 0.99]))["t_gen"] is None


def test_a_late_collapse_is_the_lowest_val_from_t_gen_on():
    assert lowest_val_after_t_gen(table(val=[0.1, 0.99, 1.0, 1.0, 0.25, 0.9])) == 0.25
    assert lowest_val_after_t_gen(table(val=[0.1, 0.99, 1.0, 1.0])) == 0.99
    assert lowest_val_after_t_gen(table(val=[0.1, 0.5, 0.25])) is None


def test_no_delay_without_both_ends():
    assert events(table(seen=[1.0] * 3, val=[0.0] * 3))["delay"] is None
    assert events(table(seen=[0.0] * 3, val=[1.0] * 3))["delay"] is None


def test_generalizing_before_memorizing_is_a_negative_delay():
    assert events(table(seen=[0.9, 1.0, 1.0, 1.0], val=[1.0] * 4))["delay"] == -100


def test_a_split_that_is_not_scored_is_not_reached():
    assert events(table(val=[1.0] * 3))["t_ood"] is None


def test_a_column_that_appears_late_is_empty_before():
    assert as_csv([{"step": 1, "a": 2.0}, {"step": 2, "a": 3.0, "b": 4.0}]) == "step,a,b\n1,2.0,\n2,3.0,4.0\n"


def test_rows_come_back_as_they_were_without_the_empty_cells(read):
    rows = [{"step": 1, "a": 0.1 + 0.2}, {"step": 2, "a": 1e-300, "b": float("inf")}]
    assert read(as_csv(rows)) == rows


@pytest.mark.parametrize("content", ["", "step,a\n"])
def test_a_file_that_no_evaluation_has_reached_has_no_rows(read, content):
    assert read(content) == []


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("a,b\n1,2\n", "line 1: expected names of columns, `step` among them"),
        ("step,a\n1,2\n3\n", "line 3: expected 2 cells (got 1)"),
        ("step,a\n1,2,3\n", "line 2: expected 2 cells (got 3)"),
        ("step,a\n1,half\n", "line 2: expected numbers (got '1,half')"),
        ("step,a\n,2\n", "line 2: expected a step"),
        ("step,a\nnan,2\n", "line 2: expected a step"),
        (b"\x80\xff", "utf-8"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused_with_its_line(read, content, part):
    with pytest.raises(ValueError, match=re.escape(part)):
        read(content)


def test_a_file_that_is_not_there_is_told_from_one_that_is_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_rows(tmp_path / "metrics.csv")
