"""``factorexe sweep results`` and ``factorexe sweep plot``: what the runs of a sweep found.

factorexe sweep results sweeps/widths
factorexe sweep results sweeps/widths --each --output widths.csv
factorexe sweep plot sweeps/widths --x width --y val.final --hue layers --where lr=0.001
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from factorexe.cli.command import DONE, refusing, say
from factorexe.cli.output import FIGURES, save, target_of

_FORMATS = {"markdown": ".md", "csv": ".csv", "jsonl": ".jsonl"}


def add(verbs: Any) -> None:
    """``results`` and ``plot``."""
    results = verbs.add_parser("results", help="a table of what the runs found, over seeds", allow_abbrev=False)
    results.add_argument("directory", metavar="DIR", help="the sweep's directory")
    results.add_argument("--each", action="store_true", help="a row for each run (default: for each configuration)")
    results.add_argument(
        "--format",
        choices=tuple(_FORMATS),
        help="default: that of --output, markdown without it; csv and jsonl hold all",
    )
    results.add_argument(
        "--columns", metavar="NAMES", help="results to show, with commas between them: val.final,t_gen; or all"
    )
    results.add_argument("--output", metavar="FILE", help=".md, .csv or .jsonl (default: standard output)")
    results.set_defaults(act=_results)
    plot = verbs.add_parser("plot", help="draw a result over an option, with seeds as a band", allow_abbrev=False)
    plot.add_argument("directory", metavar="DIR", help="the sweep's directory")
    plot.add_argument(
        "--x", metavar="NAME", required=True, help="an option that varies, or a result: model.width, width"
    )
    plot.add_argument("--y", metavar="RESULT", default="solved.val.final", help="default: solved.val.final")
    plot.add_argument("--hue", metavar="OPTION", help="an option with a line for each of its values")
    plot.add_argument(
        "--where", metavar="OPTION=VALUE", action="append", default=[], help="only these runs; repeatable"
    )
    plot.add_argument("--output", metavar="FILE", help=".png or .svg (default: plot.png in the sweep's directory)")
    plot.set_defaults(act=_plot)


def _results(given: argparse.Namespace, rest: Sequence[str]) -> int:
    from factorexe.sweeps.summary import summarised
    from factorexe.sweeps.written import kept

    target = target_of(given.output, tuple(_FORMATS.values())) if given.output else None
    form = given.format or next(
        (form for form, suffix in _FORMATS.items() if target and target.suffix.lower() == suffix), "markdown"
    )
    _, rows = _read(given.directory)
    _remark(rows)
    with refusing():
        names = _chosen(given, rows, form)
    shown = rows if given.each else summarised(rows)
    text = _table(given, shown, names) if form == "markdown" else _data(form, kept(shown, names))
    if target is None:
        print(text, end="")
    else:
        save(target, text.encode())
    return DONE


def _chosen(given: argparse.Namespace, rows: Any, form: str) -> list[str]:
    """Names of the results to show."""
    from factorexe.sweeps.columns import column_of
    from factorexe.sweeps.summary import columns_of, numbers_in
    from factorexe.sweeps.written import headline, results_in

    every = results_in(rows) if given.each else numbers_in(rows)
    if given.columns is None:
        return headline(rows) if form == "markdown" else every
    if given.columns == "all":
        return every
    known = every if given.each else [*every, *(column for name in every for column in columns_of(name))]
    words = [word.strip() for word in given.columns.split(",") if word.strip()]
    return [column_of(word, known, "no finished run has such a result") for word in words]


def _table(given: argparse.Namespace, shown: Any, names: Sequence[str]) -> str:
    from factorexe.sweeps.written import each_as_markdown, summary_as_markdown

    if given.each:
        return each_as_markdown(shown, names) + "\n"
    if any(row["n"] > 1 for row in shown):
        say("medians over seeds, with quartiles in brackets where seeds differ; > is not reached by then")
    return summary_as_markdown(shown, names) + "\n"


def _data(form: str, rows: Any) -> str:
    from factorexe.sweeps.written import as_csv, as_jsonl

    return as_csv(rows) if form == "csv" else as_jsonl(rows)


def _plot(given: argparse.Namespace, rest: Sequence[str]) -> int:
    from factorexe.sweeps.chart import chart
    from factorexe.sweeps.directory import SweepDirectory

    target = target_of(given.output, FIGURES) if given.output else SweepDirectory(given.directory).path / "plot.png"
    plan, rows = _read(given.directory)
    _remark(rows)
    with refusing():
        found = chart(rows, x=given.x, y=given.y, hue=given.hue, where=given.where)
    if found.missing:
        say(f"left out: {found.missing} finished runs, of whose {found.y} nothing is known")
    if found.no_numbers:
        say(f"{found.y} of {found.no_numbers} runs is no number: lines have gaps there")
    from factorexe.plots import picture
    from factorexe.plots.sweep import draw
    from factorexe.sweeps.file import question

    figure = draw(found, plan.name, question(SweepDirectory(given.directory).file))
    save(target, picture(figure, target.suffix.lower()))
    return DONE


def _read(path: str) -> tuple[Any, Any]:
    """The plan and the rows of a sweep."""
    from factorexe.sweeps.claims import Claims
    from factorexe.sweeps.directory import SweepDirectory
    from factorexe.sweeps.plan import read
    from factorexe.sweeps.results import rows
    from factorexe.sweeps.standing import live

    directory = SweepDirectory(path)
    with refusing():
        plan = read(directory)
        return plan, rows(plan, live(plan, Claims(directory.claims)))


def _remark(rows: Any) -> None:
    """Say what a reader of the results has to know: which are missing, which are of more steps."""
    from factorexe.sweeps.results import extended
    from factorexe.sweeps.standing import counted

    say(counted(row["state"] for row in rows))
    if longer := extended(rows):
        first = longer[0]
        say(
            f"{len(longer)} {'run was' if len(longer) == 1 else 'runs were'} extended beyond the plan, such as"
            f" {first['id']}: {first['steps']} steps instead of {first['extended_from']}; compare with care"
        )
