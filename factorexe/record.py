"""run.json: where a run comes from, written before its first step.

    {"id": "3f2a9c01be77", "command": [...], "plugins": {"task": ["multiplication", "factorexe 0.1.0"]},
     "symbols": ["", "0", "1", ...], "versions": {"torch": ...}, "git": "83a570c+", "machine": {...}, "created": ...}

``symbols`` is the alphabet in id order, the layout's marks included: what the rows of the embedding stand for.
"""

from __future__ import annotations

import functools
import json
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from factorexe import __version__
from factorexe.config import as_yaml
from factorexe.rundir import RunDirectory, write

_LIBRARIES = ("torch", "lightning", "torchmetrics", "numpy", "pydantic")


def create(
    directory: RunDirectory,
    config: Any,
    plugins: Mapping[str, Sequence[str]],
    symbols: Sequence[str],
    contents: Mapping[str, str],
    command: Sequence[str],
) -> None:
    """Write config.yaml, then run.json, whose presence says that a run has begun.

    Args:
        contents: content hashes of the runs that options name, by option.
    """
    record = {
        "id": directory.path.name,
        "command": list(command),
        "plugins": {where: list(plugin) for where, plugin in plugins.items()},
        "symbols": list(symbols),
        "contents": dict(contents),
        "versions": dict(_versions()),
        "git": _git_revision(Path.cwd()),
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "threads": config.trainer.threads,
        },
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    write(directory.config, as_yaml(config))
    write(directory.record, json.dumps(record, indent=2) + "\n")


@functools.cache
def _versions() -> Mapping[str, str]:
    """Of what has been imported, which stays as it is while this process lives."""
    ours = {"factorexe": __version__, "python": platform.python_version()}
    return ours | {name: version(name) for name in _LIBRARIES}


@functools.cache
def _git_revision(place: Path) -> str | None:
    """The revision of the directory the command was typed in, with ``+`` where files differ from it.

    Asked for once in a process: the code that a later run of it uses was loaded for the first.
    """
    try:
        ask = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        answer = subprocess.run(ask, capture_output=True, text=True, timeout=5, cwd=place)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None
