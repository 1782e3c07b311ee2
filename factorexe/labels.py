"""What tells runs apart: for each a label of the options in which it differs from the others.

    model                  layers  steps  seed
    transformer               2      -      0     model transformer, model.layers 2
    universal-transformer     1      2      0     model universal-transformer, model.layers 1, model.steps 2
    universal-transformer     1      4      0     model universal-transformer, model.layers 1, model.steps 4

An option that only one plug-in has is told only where runs with that plug-in differ in it: without the last run
nobody needs to hear of ``steps``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# the device and the bars change no number; a horizon that follows max_steps says nothing beside it
_SILENT = {"trainer.accelerator", "trainer.threads", "trainer.enable_progress_bar", "data.num_workers"}
_HORIZON, _STEPS = "optim.horizon", "trainer.max_steps"
_LONG = 120  # letters; where a label is longer, what most runs have is left out


def labels(directories: Sequence[Path], options_of_runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """One label per run; runs with the same options are told by their directories."""
    flattened = [flat(options) for options in options_of_runs]
    paths = dict.fromkeys(path for options in flattened for path in options)
    blocks = list(dict.fromkeys(path.partition(".")[0] for path in paths))
    told = [path for path in paths if _differs(path, flattened)]
    told.sort(key=lambda path: blocks.index(path.partition(".")[0]))
    found = [_label(told, options) for options in flattened]
    if max(map(len, found)) > _LONG:
        found = [
            _label([path for path in told if _unusual(path, options, flattened)], options) for options in flattened
        ]
    times = Counter(found)
    return [
        label if label and times[label] == 1 else f"{label} ({name})" if label else name
        for label, name in zip(found, _names(directories), strict=True)
    ]


def flat(options: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Option path -> value as text; the name of a plug-in stands under the path of its block."""
    found: dict[str, str] = {}
    for key, value in options.items():
        path = prefix.removesuffix(".") if key == "name" and prefix else f"{prefix}{key}"
        if isinstance(value, Mapping) and value and all(str(inner).isidentifier() for inner in value):
            found |= flat(value, f"{path}.")
        else:
            found[path] = _text(value)
    return found


def _differs(path: str, runs: Sequence[Mapping[str, str]]) -> bool:
    """Whether the runs that have an option have different values of it."""
    if path in _SILENT:
        return False
    if path == _HORIZON and all(options.get(_HORIZON) == options.get(_STEPS) for options in runs):
        return False
    return len({options[path] for options in runs if path in options}) > 1


def _unusual(path: str, options: Mapping[str, str], runs: Sequence[Mapping[str, str]]) -> bool:
    """Whether a run's value of an option is not that of most runs."""
    return sum(options.get(path) == other.get(path) for other in runs) <= len(runs) / 2


def _label(paths: Sequence[str], options: Mapping[str, str]) -> str:
    return ", ".join(f"{path} {options[path]}" for path in paths if path in options)


def _names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, or all of it where several end alike."""
    times = Counter(path.resolve().name for path in paths)
    return [path.resolve().name if times[path.resolve().name] == 1 else str(path) for path in paths]


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, Mapping):
        return ",".join(f"{key}={_text(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, list):
        return ",".join(map(_text, value)) or "none"
    return str(value)
