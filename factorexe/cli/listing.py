"""``factorexe tasks`` and ``factorexe models``: what is installed, what it is like, whether it keeps its promises."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from factorexe.cli.command import DONE, FAILED, BadInput, with_verbs


def add(verbs: Any) -> None:
    """``tasks`` and ``models``."""
    _add_tasks(verbs)
    _add_models(verbs)


def _add_tasks(verbs: Any) -> None:
    tasks = with_verbs(verbs.add_parser("tasks", help="list, show and check tasks"), "{list,show,check}")
    listing = tasks.add_parser("list", help="every installed task; imports none of them", allow_abbrev=False)
    listing.add_argument("--long", action="store_true", help="what each is, its difficulty and its paper; imports them")
    listing.set_defaults(act=lambda given, rest: _list_tasks_long() if given.long else _list("tasks"))
    show = tasks.add_parser("show", help="options of a task, and sample problems", allow_abbrev=False)
    show.add_argument("name")
    show.add_argument("--count", type=int, default=5, help="sample problems")
    show.add_argument("--seed", type=int, default=0, help="seed of the sample")
    show.add_argument("--split", default="train", help="train, val, guide, test, ood or ood_test")
    show.add_argument("--difficulty", type=int, help="only problems of this difficulty")
    show.add_argument("--json", action="store_true", help="the problems as a list of objects")
    show.add_argument("--preset", help="options of this preset of the task; others as in fit: --task.OPTION VALUE")
    show.set_defaults(act=_show_task, takes_options=True, below="show")
    check = tasks.add_parser("check", help="whether a task keeps the promises of the contract", allow_abbrev=False)
    check.add_argument("name")
    check.add_argument("--preset", help="with options of this preset; others as in fit: --task.OPTION VALUE")
    check.set_defaults(act=_check_task, takes_options=True, below="check")


def _add_models(verbs: Any) -> None:
    models = with_verbs(verbs.add_parser("models", help="list and show models"), "{list,show}")
    listing = models.add_parser("list", help="every installed model; imports none of them", allow_abbrev=False)
    listing.add_argument("--long", action="store_true", help="what each is, its paper, layout, halting and parameters")
    listing.set_defaults(act=lambda given, rest: _list_models_long() if given.long else _list("models"))
    show = models.add_parser("show", help="options of a model, and what it can be combined with", allow_abbrev=False)
    show.add_argument("name")
    show.add_argument("--preset", help="options of this preset of the model; others as in fit: --model.OPTION VALUE")
    show.set_defaults(act=_show_model, takes_options=True, below="show")


def _list(group: str) -> int:
    from tabulate import tabulate

    from factorexe.registry import Registry

    print(tabulate(Registry(group).listing(), tablefmt="plain"))
    return DONE


def _list_tasks_long() -> int:
    from factorexe.show import first_line

    def row(cls: Any) -> list[str]:
        return [first_line(cls), cls.axis, cls.paper]

    return _list_long("tasks", row, ["task", "", "difficulty", "paper"], [None, 52, 34, 40])


def _list_models_long() -> int:
    from factorexe.cards import POSITIONS, SYMBOLS, card
    from factorexe.show import first_line

    def row(cls: Any) -> list[str]:
        paper, layout, halting, parameters = card(cls)
        return [first_line(cls), paper, layout, halting, f"{parameters:,}"]

    head = ["model", "", "paper", "layout", "halting", "parameters"]
    code = _list_long("models", row, head, [None, 46, 26, None, 20, None])
    print(f"\nparameters: with the defaults, for {SYMBOLS} symbols and {POSITIONS} positions, as addition has")
    return code


def _list_long(group: str, row: Callable[[Any], list[str]], head: list[str], widths: list[int | None]) -> int:
    """A row for each plug-in of a group; what is wrong with those that have none."""
    from tabulate import tabulate

    from factorexe.registry import PluginError, Registry

    rows, code = [], DONE
    for spelling, _ in Registry(group).listing():
        try:
            rows.append([spelling, *row(Registry(group).get(spelling).cls)])
        except PluginError as error:
            rows.append([spelling, f"cannot be loaded: {error}", *[""] * (len(head) - 2)])
            code = FAILED
        except Exception as error:
            rows.append([spelling, f"cannot be built: {type(error).__name__}: {error}", *[""] * (len(head) - 2)])
            code = FAILED
    print(tabulate(rows, head, disable_numparse=True, maxcolwidths=widths))
    return code


def _show_model(given: argparse.Namespace, rest: Sequence[str]) -> int:
    from factorexe.cards import POSITIONS, SYMBOLS, parameters
    from factorexe.cli.chosen import chosen

    plugin, model, options = chosen(given, rest, "model")
    try:
        count = parameters(model)
    except ValueError as error:
        raise BadInput(f"model: {error}") from None
    print(_described(plugin, "model", options))
    print(f"\nparameters: {count:,} for {SYMBOLS} symbols and {POSITIONS} positions, as addition has")
    return DONE


def _show_task(given: argparse.Namespace, rest: Sequence[str]) -> int:
    from factorexe.cli.chosen import chosen
    from factorexe.show import problems, rendered

    plugin, task, options = chosen(given, rest)
    try:
        found = problems(task, given.split, given.count, given.seed, given.difficulty)
    except ValueError as error:
        raise BadInput(str(error)) from None
    if given.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return DONE
    print(_described(plugin, "task", options) + "\n\n" + rendered(found))
    return DONE


def _described(plugin: Any, path: str, options: Mapping[str, Any]) -> str:
    from factorexe.show import described

    return described(plugin.name, plugin.cls, plugin.origin, path, options)


def _check_task(given: argparse.Namespace, rest: Sequence[str]) -> int:
    from factorexe.cli.chosen import chosen
    from factorexe.testing import task_checks

    plugin, _, options = chosen(given, rest)
    failed = 0
    for check in task_checks(plugin.cls, **options):
        try:
            check()
        except Exception as error:
            failed += 1
            reason = " ".join(str(error).split()) or type(error).__name__
            print(f"FAILED  {check.__name__}: {reason}")
        else:
            print(f"ok      {check.__name__}")
    return FAILED if failed else DONE
