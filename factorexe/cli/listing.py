"""``factorexe tasks`` and ``factorexe models``: what is installed, what it is like, whether it keeps its promises."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from factorexe.cli.command import DONE, FAILED, BadInput, refusing, with_verbs


def add(verbs: Any) -> None:
    """``tasks`` and ``models``."""
    _add_tasks(verbs)
    _add_models(verbs)


def _add_tasks(verbs: Any) -> None:
    tasks = with_verbs(verbs.add_parser("tasks", help="list, show and check tasks"), "{list,show,check}")
    listing = tasks.add_parser("list", help="every installed task; imports none of them", allow_abbrev=False)
    listing.add_argument("--long", action="store_true", help="what each is, its difficulty and its paper; imports them")
    listing.set_defaults(act=lambda given, rest: _list_long() if given.long else _list("tasks"))
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
    listing = models.add_parser("list", help="every installed model; imports none of them")
    listing.set_defaults(act=lambda given, rest: _list("models"))
    show = models.add_parser("show", help="options of a model", allow_abbrev=False)
    show.add_argument("name")
    show.set_defaults(act=_show_model)


def _list(group: str) -> int:
    from tabulate import tabulate

    from factorexe.registry import Registry

    print(tabulate(Registry(group).listing(), tablefmt="plain"))
    return DONE


def _list_long() -> int:
    from tabulate import tabulate

    from factorexe.registry import PluginError, Registry
    from factorexe.show import first_line

    rows, code = [], DONE
    for spelling, _ in Registry("tasks").listing():
        try:
            cls = Registry("tasks").get(spelling).cls
        except PluginError as error:
            rows.append([spelling, f"cannot be loaded: {error}", "", ""])
            code = FAILED
        else:
            rows.append([spelling, first_line(cls), cls.axis, cls.paper])
    print(tabulate(rows, ["task", "", "difficulty", "paper"], disable_numparse=True, maxcolwidths=[None, 52, 34, 40]))
    return code


def _loaded(group: str, name: str) -> Any:
    from factorexe.registry import Registry

    with refusing():
        return Registry(group).get(name)


def _show_model(given: argparse.Namespace, rest: Sequence[str]) -> int:
    print(_described(_loaded("models", given.name), "model"))
    return DONE


def _show_task(given: argparse.Namespace, rest: Sequence[str]) -> int:
    from factorexe.cli.chosen import chosen
    from factorexe.show import problems, rendered

    plugin, task, _ = chosen(given, rest)
    try:
        found = problems(task, given.split, given.count, given.seed, given.difficulty)
    except ValueError as error:
        raise BadInput(str(error)) from None
    if given.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return DONE
    print(_described(plugin, "task") + "\n\n" + rendered(found))
    return DONE


def _described(plugin: Any, path: str) -> str:
    from factorexe.show import described

    return described(plugin.name, plugin.cls, plugin.origin, path)


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
