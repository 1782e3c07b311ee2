"""The file of a sweep: what all its runs have in common, what varies, what is left out, what is computed.

    # What does width buy?                     the first line says what the sweep asks
    recipe: scarce-data                        optional, as are all parts; config: [base.yaml], preset: tiny
    base: {trainer: {max_steps: 500}}          options of all runs, over recipe and config; axes stand over them
    grid: {model.width: [32, 64, 128]}         every combination; zip: side by side; list: entries as they are
    seeds: 5                                   seeds 0 to 4, or a list of seeds
    skip: [model.width > 64 and seed > 2]      runs that are left out
    derive: {model.layers: 256 // model.width} options computed from others

That is 15 runs before some are left out.  What the options are called is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from factorexe import recipe
from factorexe.blocks import merged, nested
from factorexe.config import ConfigError, RunConfig, read_yaml
from factorexe.registry import suggestion
from factorexe.sweeps.axes import factors_in
from factorexe.sweeps.conditions import Condition
from factorexe.sweeps.derived import Budget, derived
from factorexe.sweeps.expressions import Expression
from factorexe.sweeps.factors import collisions, combinations, options_of
from factorexe.sweeps.loader import SweepLoader
from factorexe.sweeps.mistakes import Mistakes
from factorexe.sweeps.paths import named

PARTS = ("recipe", "config", "preset", "base", "grid", "zip", "list", "seeds", "skip", "derive")


class SweepFile(NamedTuple):
    """A sweep as its file says it."""

    path: Path
    question: str
    preset: str | None
    base: dict[str, Any]  # nested options of all runs, as ``config.resolve`` takes them
    axes: tuple[str, ...]  # every option that list, grid, zip and seeds give, in that order
    combinations: tuple[dict[str, Any], ...]  # option path -> value, one for each run
    skip: tuple[Condition, ...]
    derive: dict[str, Expression | Budget]  # option path -> how it is computed, in this order


def read(path: str | Path) -> SweepFile:
    """A sweep's file.

    Raises:
        ConfigError: with one message for each thing that is wrong.
    """
    content = read_yaml(path, SweepLoader)
    _refuse_odd(content, path)
    mistakes = Mistakes(_no_part(key) for key in content if key not in PARTS)
    preset = content.get("preset")
    if not isinstance(preset, str | None):
        mistakes.append(f"preset: expected a name (got {preset!r})")
    base = _base(content, Path(path).parent, mistakes)
    factors = factors_in(content, mistakes)
    skip = _skip(content.get("skip"), mistakes)
    derive = derived(content.get("derive"), mistakes)
    mistakes += collisions(factors, derive)
    runs: tuple[dict[str, Any], ...] = ()
    with mistakes.at("runs"):
        runs = combinations(factors)
    if mistakes:
        raise ConfigError(*(f"{path}: {mistake}" for mistake in mistakes))
    return SweepFile(Path(path), question(Path(path)), preset, base, options_of(factors), runs, skip, derive)


def _refuse_odd(content: Mapping[str, Any], path: str | Path) -> None:
    """Whether it holds what a plan can write down: no dates, and nothing that holds itself."""
    try:
        json.dumps(content)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: expected numbers, words, lists and mappings, and nothing else: {error}") from None


def question(path: Path) -> str:
    """What a sweep asks: the first line of its file, if that is a comment."""
    try:
        first = path.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError):
        return ""
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def _no_part(key: str) -> str:
    if key in RunConfig.model_fields:
        return f"{key}: an option of all runs belongs below base, as base: {{{key}: ...}}"
    return f"{key}: a sweep has no such part; {suggestion(key, PARTS)}"


def _base(content: Mapping[str, Any], folder: Path, mistakes: Mistakes) -> dict[str, Any]:
    """Recipe, configuration files and ``base``, the later over the earlier."""
    options: dict[str, Any] = {}
    with mistakes.at("recipe"):
        if content.get("recipe") is not None:
            options = read_yaml(_recipe(content["recipe"]))
    with mistakes.at("config"):
        for name in _names(content.get("config")):
            with mistakes.at("config"):
                options = merged(options, read_yaml(folder / name))
    with mistakes.at("base"):
        own = {} if content.get("base") is None else content["base"]
        if own != {} and not named(own):
            raise ConfigError(f"expected options as `name: value` (got {own!r})")
        options = merged(options, nested(own))
    return options


def _recipe(name: Any) -> Path:
    if not isinstance(name, str):
        raise ConfigError(f"expected the name of a recipe (got {name!r})")
    try:
        return recipe.find(name)
    except LookupError as error:
        raise ConfigError(str(error)) from None


def _names(files: Any) -> list[str]:
    files = [] if files is None else [files] if isinstance(files, str) else files
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        raise ConfigError(f"expected a file or a list of files (got {files!r})")
    return files


def _skip(content: Any, mistakes: Mistakes) -> tuple[Condition, ...]:
    if not isinstance(content, list | None):
        mistakes.append(f"skip: expected a list of conditions (got {content!r}): put each on a line after a dash")
        return ()
    found = []
    for number, test in enumerate(content or (), start=1):
        with mistakes.at(f"skip: condition {number}"):
            found.append(Condition(test))
    return tuple(found)
