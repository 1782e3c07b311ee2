"""``factorexe recipes``: the configuration files that ship with the package, to read, to copy, to run.

factorexe recipes list
factorexe recipes show scarce-data
factorexe fit --recipe scarce-data --seed 1
factorexe recipes copy scarce-data mine.yaml && factorexe fit --config mine.yaml
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from factorexe.cli.command import DONE, BadInput, say, with_verbs


def add(verbs: Any) -> None:
    """``recipes``."""
    parser = verbs.add_parser("recipes", help="list, show and copy runs that answer a question")
    recipes = with_verbs(parser, "{list,show,copy}")
    listing = recipes.add_parser("list", help="every recipe and what it asks")
    listing.set_defaults(act=_list)
    show = recipes.add_parser("show", help="a recipe as it is written", allow_abbrev=False)
    show.add_argument("name")
    show.set_defaults(act=_show)
    copy = recipes.add_parser("copy", help="write a recipe to a file of your own", allow_abbrev=False)
    copy.add_argument("name")
    copy.add_argument("target", nargs="?", help="file or directory (default: ./NAME.yaml); never overwritten")
    copy.set_defaults(act=_copy)


def recipe_file(name: str) -> Path:
    """The file of a recipe that was named on the command line."""
    from factorexe.recipe import find

    try:
        return find(name)
    except LookupError as error:
        raise BadInput(str(error)) from None


def _list(given: argparse.Namespace, rest: Sequence[str]) -> int:
    from tabulate import tabulate

    from factorexe.recipe import names, question

    print(tabulate([(name, question(name)) for name in names()], tablefmt="plain"))
    return DONE


def _show(given: argparse.Namespace, rest: Sequence[str]) -> int:
    print(recipe_file(given.name).read_text(encoding="utf-8"), end="")
    return DONE


def _copy(given: argparse.Namespace, rest: Sequence[str]) -> int:
    source = recipe_file(given.name)
    target = Path(given.target or source.name)
    if target.is_dir():
        target = target / source.name
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(source.read_text(encoding="utf-8"))
    except FileExistsError:
        raise BadInput(f"{target} exists and is kept; name another file: recipes copy {given.name} TARGET") from None
    except OSError as error:
        raise BadInput(f"{target} cannot be written: {error.strerror}; name another file") from None
    print(target)
    say(f"to train it: factorexe fit --config {target}")
    return DONE
