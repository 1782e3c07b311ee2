"""The axes of a sweep: what varies from run to run.

    list: [{model: transformer}, {model: universal-transformer}]
    grid: {model.width: [32, 64], optim.optimizer.lr: [1e-3, 3e-3]}
    zip: {task.digits: [2, 3], data.batch_size: [64, 32]}
    seeds: 3

Each of these is a factor, or several, of which a run takes one choice: 2 x 2 x 2 x 2 x 3 runs here.  They are nested
in this order, whatever their order in the file; the last varies fastest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from factorexe.config import ConfigError
from factorexe.sweeps.factors import MOST, Factor
from factorexe.sweeps.mistakes import Mistakes
from factorexe.sweeps.paths import flat, named, plain

EMPTY = "names no options; leave it out, or give it some"


def factors_in(content: Mapping[str, Any], mistakes: Mistakes) -> list[Factor]:
    """What ``list``, ``grid``, ``zip`` and ``seeds`` of a file say, as far as it can be used."""
    found: list[Factor] = []
    for part, read in {"list": _list, "grid": _grid, "zip": _zips, "seeds": _seeds}.items():
        if part in content:
            with mistakes.at(part):
                found += read(content[part], mistakes)
    return found


def _list(content: Any, mistakes: Mistakes) -> list[Factor]:
    if content is None or content == []:
        raise ConfigError("has no entries; leave it out, or give it some")
    if not isinstance(content, list):
        raise ConfigError(f"expected entries such as {{model: transformer, model.layers: 2}} (got {content!r})")
    choices: list[dict[str, Any]] = []
    for number, entry in enumerate(content, start=1):
        with mistakes.at(f"list: entry {number}"):
            if entry != {} and not named(entry):
                raise ConfigError(f"expected options such as {{model: transformer, model.layers: 2}} (got {entry!r})")
            choices.append(flat(entry))
    if (repeated := _repeated(choices)) is not None:
        raise ConfigError(f"has the same entry twice: {_said(choices[repeated])}")
    return [Factor("list", choices)]


def _grid(content: Any, mistakes: Mistakes) -> list[Factor]:
    found = []
    for path, values in _axes("grid", content, mistakes).items():
        with mistakes.at("grid"):
            choices = [flat({path: value}) for value in values]
            if (repeated := _repeated(choices)) is not None:
                raise ConfigError(f"{path} has the value {values[repeated]!r} twice")
            found.append(Factor("grid", choices))
    return found


def _zips(content: Any, mistakes: Mistakes) -> list[Factor]:
    if content == []:
        raise ConfigError(EMPTY)
    if not isinstance(content, list):
        return [_zip("zip", content, mistakes)]
    found = []
    for number, block in enumerate(content, start=1):
        with mistakes.at(f"zip {number}"):
            found.append(_zip(f"zip {number}", block, mistakes))
    return found


def _zip(place: str, content: Any, mistakes: Mistakes) -> Factor:
    axes = _axes(place, content, mistakes)
    if len({len(values) for values in axes.values()}) > 1:
        lengths = ", ".join(f"{path} {len(values)}" for path, values in axes.items())
        raise ConfigError(f"expected as many values of each option (got {lengths})")
    choices = [flat(dict(zip(axes, row, strict=True))) for row in zip(*axes.values(), strict=True)]
    if (repeated := _repeated(choices)) is not None:
        raise ConfigError(f"has the same values twice: {_said(choices[repeated])}")
    return Factor(place, choices)


def _seeds(content: Any, mistakes: Mistakes) -> list[Factor]:
    seeds = content
    if isinstance(content, int) and not isinstance(content, bool):
        if not 1 <= content <= MOST:
            raise ConfigError(f"expected how many, from 1 to {MOST:,}, or a list of seeds (got {content})")
        seeds = list(range(content))
    if not isinstance(seeds, list) or not seeds:
        raise ConfigError(f"expected how many, or a list of seeds (got {content!r})")
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ConfigError(f"expected whole numbers from 0 (got {seed!r})")
    if (repeated := _repeated(seeds)) is not None:
        raise ConfigError(f"{seeds[repeated]} stands there twice")
    return [Factor("seeds", [{"seed": seed} for seed in seeds])]


def _axes(place: str, content: Any, mistakes: Mistakes) -> dict[str, list[Any]]:
    """Options, nested or by path, each with its values."""
    if content is None or content == {}:
        raise ConfigError(EMPTY)
    if not named(content):
        raise ConfigError(f"expected options, each with a list of its values (got {content!r})")
    axes: dict[str, list[Any]] = {}
    for path, values in _leaves(content):
        with mistakes.at(place):
            if path in axes:
                raise ConfigError(f"{path} is given twice; keep one")
            if values is None or values == []:
                raise ConfigError(f"{path} has no values")
            if not isinstance(values, list):
                raise ConfigError(f"{path}: expected a list of values (got {values!r}): write [{_as_written(values)}]")
            axes[path] = values
    return axes


def _leaves(block: Mapping[str, Any], parent: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in block.items():
        if named(value):
            yield from _leaves(value, f"{parent}{key}.")
        else:
            yield plain(f"{parent}{key}"), value


def _said(choice: Mapping[str, Any]) -> str:
    return ", ".join(f"{path}: {_as_written(value)}" for path, value in choice.items()) or "{}"


def _as_written(value: Any) -> str:
    """A value as YAML has it."""
    return value if isinstance(value, str) else json.dumps(value)


def _repeated(values: Sequence[Any]) -> int | None:
    """The place of the first value that stands there before as well; in a set of plug-ins the order counts."""
    seen = set()
    for number, value in enumerate(values):
        text = json.dumps(value)
        if text in seen:
            return number
        seen.add(text)
    return None
