"""The committed studies: their sweeps can be planned, and what choosing and reporting say of rows made by hand."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest

from factorexe.sweeps.censored import Measured
from factorexe.sweeps.file import read
from factorexe.sweeps.planning import plan_sweep

STUDIES = Path(__file__).parents[2] / "examples" / "studies"
GROKKING = STUDIES / "grokking"
SWEEPS = sorted(path for path in STUDIES.glob("*/*.yaml") if path.name != "setting.yaml")
LR, DECAY, AGGREGATE = "optim.optimizer.lr", "optim.optimizer.weight_decay", "optim.aggregate"
KEPT = "gradient_agreement.aggregate_kept"


def loaded(folder, name):
    spec = importlib.util.spec_from_file_location(f"{folder.name.replace('-', '_')}_{name}", folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def study(monkeypatch):
    """Points, choose and report of the study of grokking, by name; as scripts they find each other in their folder."""
    monkeypatch.syspath_prepend(str(GROKKING))
    monkeypatch.setitem(sys.modules, "points", loaded(GROKKING, "points"))
    return {name: sys.modules["points"] if name == "points" else loaded(GROKKING, name) for name in PARTS}


PARTS = ("points", "choose", "report")


def row(options, at_99, at_95=None, cap=3000, **more):
    """A run that solved 99 % of val at a step, or not by its last; it took 0.5 s a step and 10 s of evaluations."""
    at_95 = at_99 if at_95 is None else at_95
    steps = at_99 + 20 if at_99 else cap
    events = {"t_gen": at_99 or "", "t_gen.at_least": "" if at_99 else steps}
    events |= {"t_gen_95": at_95 or "", "t_gen_95.at_least": "" if at_95 else steps}
    times = {"steps": steps, "wall_time_s": 0.5 * steps + 10, "evaluation_time_s": 10}
    return {**options, "state": "finished", **events, **times, "solved.val.best": 0.5, **more}


def keep(path, rows):
    """As ``factorexe sweep results --each`` does: options in which no two runs differ have no column."""
    names = list(dict.fromkeys(name for one in rows for name in one))
    names = [name for name in names if len({str(one.get(name)) for one in rows}) > 1 or "." not in name]
    names += [name for name in ("t_gen.at_least", "t_gen_95.at_least", "solved.val.best") if name not in names]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def here(tmp_path):
    """A folder with the study's sweep files."""
    for file in GROKKING.glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text())
    return tmp_path


def selection(here, steps_of):
    """select.csv: every run, with the steps that ``steps_of(options)`` says, and what sign agreement kept."""
    kept = {2: 0.51237, 4: 0.2, 8: 0.4}
    runs = read(here / "select.yaml").combinations
    of_signs = [run.get(AGGREGATE) == "sign-agreement" for run in runs]
    keep(
        here / "select.csv",
        [
            row(run, *steps_of(run), cap=1000, **({KEPT: kept[run["optim.measure.parts"]]} if signs else {}))
            for run, signs in zip(runs, of_signs, strict=True)
        ],
    )


def second(here, study, steps_of):
    """masks.csv, of which nothing gets there, and again.csv, with their sweep files."""
    for name, made, found in (("masks", "masks", never), ("again", "again", steps_of)):
        (here / f"{name}.yaml").write_text(getattr(study["choose"], made)(here))
        keep(
            here / f"{name}.csv", [row(run, *found(run), cap=1000) for run in read(here / f"{name}.yaml").combinations]
        )
    return study["points"].points(study["points"].read(here / "select.csv", here / "masks.csv", here / "again.csv"))


def never(run):
    return (0,)


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_sweep_of_a_study_can_be_planned(file, tmp_path):
    sweep = plan_sweep(file, directory=tmp_path / "sweep", runs=tmp_path / "runs", priced=False)
    assert sweep.plan.planned
    assert sweep.repeated == 0


def test_every_sweep_opens_with_its_question_and_says_how_it_is_run():
    for file in SWEEPS:
        assert file.read_text().partition("\n")[0].endswith("?"), file
        readme = file.parent / "README.md"
        text = file.read_text() + (readme.read_text() if readme.exists() else "")
        assert "factorexe sweep run" in text, file


def test_every_method_has_twelve_points_and_three_of_them_a_second_seed(study, here):
    selection(here, never)
    found, points = second(here, study, never), study["points"]
    assert {name: len(points.of_method(name, found)) for name in points.METHODS} == dict.fromkeys(points.METHODS, 12)
    for name in points.METHODS:
        assert len(points.good(name, found)) == 3, name
        assert all(len(point.rows) == 2 for point in points.good(name, found)), name
    chosen = [point for name in points.METHODS for point in points.good(name, found)]
    assert all(len(point.rows) == 1 for point in found if point not in chosen)
    shared = [point for point in found if sum(of(point.values) for of in points.METHODS.values()) > 1]
    assert [(point.values[LR], point.values[DECAY]) for point in shared] == [(0.001, 1), (0.003, 1)]
    assert all(any(of(point.values) for of in points.METHODS.values()) for point in found)


def test_the_random_mask_keeps_what_each_point_of_sign_agreement_kept(study, here):
    selection(here, never)
    (here / "masks.yaml").write_text(study["choose"].masks(here))
    runs = read(here / "masks.yaml").combinations
    assert len(runs) == 12
    assert {run["optim.aggregate.keep"] for run in runs} == {0.5124, 0.2, 0.4}, "with 2, 4 and 8 parts"
    assert {run["seed"] for run in runs} == {0}
    assert "max_steps: 1000" in (here / "masks.yaml").read_text(), "no longer than those of sign agreement"
    assert plan_sweep(here / "masks.yaml", directory=here / "s", runs=here / "r", priced=False).plan.planned


def test_the_masks_wait_for_sign_agreement(study, here):
    with pytest.raises(SystemExit, match=r"run select\.yaml to the end"):
        study["choose"].masks(here)


def of_adamw(run):
    return set(run) == {LR, DECAY, "seed"}


def test_the_best_point_has_the_fewest_median_steps_of_those_that_had_two_looks(study, here):
    """Decay 1 at lr 3e-3: 650 = (400 + 900) / 2; at 1e-3: 700 = (400 + 1,000) / 2, since a run that did not get there
    counts with its last step; decay 0, which is not among the three, would have been better still."""
    steps = {(0.003, 1): (400, 900), (0.001, 1): (400, 0), (0.001, 3): (800, 800), (0.003, 3): (800, 800)}

    def found(run):
        if not of_adamw(run):
            return (0,)
        return (steps.get((run[LR], run[DECAY]), (810, 100))[run["seed"]],)

    selection(here, found)
    points = study["points"]
    best = points.best("AdamW", second(here, study, found))
    assert best.values == {LR: 0.003, DECAY: 1}
    assert best.rank == (650, 650, 0.5)


def test_of_points_with_equal_steps_to_99_per_cent_the_one_sooner_at_95_is_chosen(study, here):
    def found(run):
        return (0, 500) if run[DECAY] == 3 and run[LR] == 0.0003 else (0, 600)

    selection(here, found)
    best = study["points"].best("AdamW", second(here, study, found))
    assert best.values == {LR: 0.0003, DECAY: 3}


def test_a_method_waits_for_all_of_its_runs_and_a_failed_one_has_not_got_there(study, here):
    selection(here, lambda run: (100,))
    rows = list(csv.DictReader((here / "select.csv").open()))
    rows[0] |= {"state": "waiting"}
    muon = next(number for number, one in enumerate(rows) if one["optim.optimizer"] == "muon")
    rows[muon] = rows[muon] | {"state": "failed"}
    keep(here / "select.csv", rows)
    points = study["points"]
    found = second(here, study, never)
    assert points.good("AdamW", found) == []
    assert points.best("AdamW", found) is None
    failed = points.of_method("Muon", found)[0]
    assert failed.rank[0] == 3000
    assert failed not in points.good("Muon", found)


def whole(here, study, steps_of):
    """The files of rows of the first two looks, and chosen.yaml."""
    selection(here, steps_of)
    second(here, study, steps_of)
    (here / "chosen.yaml").write_text(study["choose"].chosen(here))
    return read(here / "chosen.yaml").combinations


def ema_wins(run):
    if run.get("optim.filters.grokfast_ema.gain") == 5 and run[LR] == 0.003:
        return (240,)
    return (600,) if of_adamw(run) and run[LR] == 0.003 and run[DECAY] == 1 else (0,)


def test_what_is_run_again_has_other_seeds_and_its_comparisons(study, here, tmp_path):
    runs = whole(here, study, ema_wins)
    assert {run["seed"] for run in runs} == {2, 3, 4, 5, 6}
    assert "max_steps: 3000" in (here / "chosen.yaml").read_text()
    once = [{name: value for name, value in run.items() if name != "seed"} for run in runs if run["seed"] == 2]
    assert {LR: 0.001, DECAY: 0} in once, "AdamW without decay"
    assert {LR: 0.003, DECAY: 1} in once, "AdamW's best"
    assert {LR: 0.003, DECAY: 1, "data.batch_size": 256} in once, "half the batch"
    assert {LR: 0.003, DECAY: 1, "data.train_fraction": 0.6667} in once, "as many problems as with a guide"
    unordered = [run for run in once if run.get("task.pairs") == "unordered"]
    assert [run.get("optim.filters") for run in unordered] == [None, "grokfast-ema"], "AdamW, and the winner"
    published = {"optim.filters.grokfast_ema.memory": 0.98, "optim.filters.grokfast_ema.gain": 2, DECAY: 0.005}
    assert any(published.items() <= run.items() for run in once)
    planned = plan_sweep(here / "chosen.yaml", directory=tmp_path / "s", runs=tmp_path / "r", priced=False)
    assert len(planned.plan.planned) == len(runs)


def test_the_report_counts_what_was_not_reached_and_says_what_decay_alone_does(study, here):
    runs = whole(here, study, ema_wins)
    adamw, ema = (400, 500, 600, 0, 0), (200, 220, 250, 300, 0)

    def steps(run):
        if of_adamw(run) and run[DECAY] == 1:
            return adamw[run["seed"] - 2]
        return ema[run["seed"] - 2] if ema_wins(run) == (240,) and "task.pairs" not in run else 0

    keep(here / "chosen.csv", [row(run, steps(run), min(steps(run), 240) or None) for run in runs])
    keep(here / "baseline.csv", [row({"id": "a"}, 0, 39900), row({"id": "b"}, 0, 0, state="waiting")])
    study["report"].main(here)
    text = (here / "table.md").read_text()
    _, to_99, to_95 = text.split("\n\n")
    lines, sooner = (
        {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")] for line in table.splitlines()}
        for table in (to_99, to_95)
    )
    controls = ["AdamW, lr 1e-3, no decay", "AdamW", "AdamW, half the batch", "AdamW, guide problems in train"]
    assert list(lines)[2:6] == controls, "controls first, after the head"
    assert lines["AdamW"][3:6] == ["5", "3", "600 (500 to >3,000)"]
    assert lines["Grokfast-EMA"][3:6] == ["5", "4", "250 (220 to 300)"]
    assert lines["Grokfast-EMA"][6] == "128,000 (112,640 to 153,600)", "512 for each step"
    assert lines["Grokfast-EMA"][7] == "125.0 (110.0 to 150.0)", "0.5 s for each step"
    assert lines["AdamW, half the batch"][6] == ">768,000", "256 for each step"
    assert lines["AdamW, lr 1e-3, no decay"][5] == ">3,000"
    assert lines["one-step (ours)"][6] == ">3,072,000", "and 512 guide problems"
    assert sooner["Grokfast-EMA"][5:8] == ["240 (220 to 240)", "122,880 (112,640 to 122,880)", "120.0 (110.0 to 120.0)"]
    assert "from >3,000 steps to 99 % of val (AdamW, lr 1e-3, no decay) to 600" in text
    assert "a factor of at least 5.0" in text
    assert "Grokfast-EMA takes 250, a factor of 2.4" in text
    assert "300 steps is met" in text
    assert "39,900 steps to 95 % of val (published: 39,890); AdamW's median is 240, a factor of 166.2" in text
    assert "; Grokfast-EMA's median is 240, a factor of 166.2." in text
    assert (here / "steps.png").read_bytes().startswith(b"\x89PNG")
    chosen = (here / "selection.md").read_text()
    assert "| 600      | 600" in chosen, "steps of both seeds"
    assert len(chosen.splitlines()) == 2 + 3 * 11, "three points of each method"


@pytest.mark.parametrize(
    ("slow", "fast", "factor"),
    [
        (Measured(600), Measured(300), "2.0"),
        (Measured(3000, ">"), Measured(300), "at least 10.0"),
        (Measured(300), Measured(3000, ">"), "at most 0.1"),
    ],
)
def test_a_factor_says_what_is_known_of_it(study, slow, fast, factor):
    assert study["report"]._factor(slow, fast) == f"a factor of {factor}"


def test_two_medians_that_were_not_reached_have_no_factor(study):
    never = Measured(3000, ">")
    assert study["report"]._factor(never, never) == "a factor that nobody knows"


def test_where_no_procedure_is_sooner_than_adamw_the_report_says_so(study, here):
    runs = whole(here, study, lambda run: (400,) if of_adamw(run) and run[DECAY] == 1 else (0,))
    keep(here / "chosen.csv", [row(run, 400 if of_adamw(run) and run[DECAY] else 0) for run in runs])
    study["report"].main(here)
    text = (here / "table.md").read_text()
    assert "no procedure was faster than AdamW" in text
    assert "is missed" in text
    unordered = [line for line in text.splitlines() if "unordered" in line]
    assert len(unordered) == 2, "AdamW is the winner, too: a line in each of two tables"


def test_kaplan_and_meier_take_a_run_that_stopped_without_out_of_those_at_risk(study):
    survival = study["points"].survival
    steps = [Measured(100), Measured(200, ">"), Measured(300), Measured(300)]
    assert survival(steps) == [(100, 0.75), (300, 0)]
    assert survival([Measured(100), Measured(200), Measured(3000, ">"), Measured(3000, ">")]) == [
        (100, 0.75),
        (200, pytest.approx(0.5)),
    ]
    assert survival([Measured(3000, ">")]) == []


def test_scarce_data_has_a_line_for_each_problem_and_method(tmp_path):
    report = loaded(STUDIES / "scarce-data", "report")
    runs = read(STUDIES / "scarce-data" / "sweep.yaml").combinations
    rows = []
    for run in runs:
        rates = {"solved.seen.final": 1, "solved.val.final": [0.5, 0.25, 0.75][run["seed"]], "solved.ood.final": 0}
        reached = row(run, [800, 0, 0][run["seed"]])
        rows.append({name: str(value) for name, value in (reached | rates).items()})
    columns = {name for one in rows for name in one}
    lines = report.lines([{name: one.get(name, "") for name in columns} for one in rows])
    assert len(lines) == 4 * 8, "those that the sweep skips are in it, too"
    assert {len(line.rows) for line in lines} == {3}
    assert lines[0].method == "AdamW"
    assert lines[0].cell("solved.val.final") == "0.500 (0.250 to 0.750)"
    assert lines[0].steps == ">3,000 (>1,900 to >3,000)", "the first quartile is halfway from 800 to the limit"
    assert "osgr" not in report.table(lines), "of which these rows know nothing"


def test_pages_quote_the_tables_as_they_are():
    into_docs = loaded(STUDIES, "into_docs")
    pages = [path.read_text() for path in (STUDIES.parents[1] / "docs").glob("*.md")]
    assert sum(len(into_docs.PLACE.findall(page)) for page in pages) > 0
    for page in pages:
        assert into_docs.filled(page) == page, "python examples/studies/into_docs.py"


def test_a_table_is_put_where_the_page_asks_for_it_and_replaces_what_stood_there(tmp_path):
    (tmp_path / "table.md").write_text("| new |\n")
    page = "before\n<!-- table: table.md -->\nold\n<!-- end of table -->\nafter\n"
    filled = loaded(STUDIES, "into_docs").filled
    once = filled(page, tmp_path)
    assert once == "before\n<!-- table: table.md -->\n\n| new |\n\n<!-- end of table -->\nafter\n"
    assert filled(once, tmp_path) == once
