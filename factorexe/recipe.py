"""Recipes: configuration files that ship with the package, each a question and the run that answers it.

A recipe is an ordinary file of options, for ``--config`` and ``resolve`` alike; it opens with a comment that
says what it asks, how it is run and what one should see::

    >>> names()
    ['default-multiplication', 'depth-at-test-time', 'scarce-data']
    >>> resolve(files=[find("scarce-data")]).config.data.train_size
    500
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from factorexe.registry import suggestion


def names() -> list[str]:
    """Every recipe there is."""
    return sorted(_shelf())


def find(name: str) -> Path:
    """The file of a recipe.

    Raises:
        LookupError: there is none of that name.
    """
    shelf = _shelf()
    if name not in shelf:
        raise LookupError(f"there is no recipe {name!r}; {suggestion(name, sorted(shelf))}")
    return shelf[name]


def question(name: str) -> str:
    """What a recipe asks: its first line."""
    return find(name).read_text(encoding="utf-8").partition("\n")[0].removeprefix("#").strip()


def _shelf() -> dict[str, Path]:
    folder = Path(str(files("factorexe") / "recipes"))
    return {path.stem: path for path in folder.glob("*.yaml")}
