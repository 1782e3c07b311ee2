"""What makes a run the run it is: a hash of everything that changes its numbers.

run_id(config, plugins)      "9295f290baf3"; another seed, another plug-in version: another id
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from factorexe.choice import Chosen
from factorexe.config.options import NotInId, RunPath


def run_id(config: BaseModel, plugins: Mapping[str, tuple[str, str]], contents: Mapping[str, str] = {}) -> str:
    """Twelve hex digits for everything that changes a run's numbers: options, plug-in versions, and the
    ``contents`` of the runs that options name, by option."""
    origins = {path: origin for path, (_, origin) in sorted(plugins.items())}
    content = json.dumps([_in_id(config, "", contents), origins], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def run_place(config: Any, identity: str) -> str:
    """The directory of a run below all runs: ``multiplication/universal-transformer/9295f290baf3``."""
    return "/".join([_folder(config.task.name), _folder(config.model.name), identity])


def named_runs(config: BaseModel, path: str = "") -> dict[str, str]:
    """Every run that an option names: option path -> directory."""
    found: dict[str, str] = {}
    for name, info in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            found |= named_runs(value, f"{path}{name}.")
        elif value is not None and any(isinstance(mark, RunPath) for mark in info.metadata):
            found[path + name] = value
    return found


def _folder(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "unnamed"


def _in_id(value: Any, path: str, contents: Mapping[str, str]) -> Any:
    """A model's JSON values without the fields that change no number."""
    if not isinstance(value, BaseModel):
        return value
    dumped = value.model_dump(mode="json")
    fields = type(value).model_fields
    found = {
        name: _in_id(child, f"{path}{name}.", contents)
        if isinstance(child := getattr(value, name), BaseModel)
        else contents.get(path + name, dumped[name])
        for name in fields
        if not any(isinstance(mark, NotInId) for mark in fields[name].metadata)
    }
    return list(found.items()) if isinstance(value, Chosen) else found  # the order of a set counts
