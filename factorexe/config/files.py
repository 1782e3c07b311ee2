"""Options in files, read and written.

task: multiplication              data.train_size: 5000 is the same as data: {train_size: 5000}
data: {train_size: 5000}
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from factorexe.blocks import merged, nested
from factorexe.config.error import ConfigError


def read_files(files: Sequence[str | Path]) -> dict[str, Any]:
    """Configuration files merged in order.

    Raises:
        ConfigError: one of them cannot be used.
    """
    merged_files: dict[str, Any] = {}
    for path in files:
        merged_files = merged(merged_files, read_yaml(path))
    return merged_files


def read_yaml(path: str | Path, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> dict[str, Any]:
    """A configuration file as a dictionary.

    Raises:
        ConfigError: unreadable, not YAML (with the line), or not a mapping.
    """
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{where}: not valid YAML: {problem}") from error
    except RecursionError:
        raise ConfigError(f"{path}: not valid YAML: nested too deeply") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{path}: expected options as `name: value`, found {type(content).__name__}")
    return nested(content)


def flattened(config: BaseModel) -> dict[str, Any]:
    """Every option by its path, as it stands in a file."""

    def leaves(tree: Any, path: str) -> dict[str, Any]:
        if not isinstance(tree, dict) or not tree:
            return {path: tree}
        return {where: leaf for key, part in tree.items() for where, leaf in leaves(part, f"{path}.{key}").items()}

    return {where.removeprefix("."): leaf for where, leaf in leaves(config.model_dump(mode="json"), "").items()}


def as_yaml(config: BaseModel) -> str:
    """The run as a file that ``--config`` reads back."""
    return yaml.safe_dump(_names_first(config.model_dump(mode="json")), sort_keys=False, allow_unicode=True)


def _names_first(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    ordered = {"name": tree["name"]} if "name" in tree else {}
    return ordered | {key: _names_first(value) for key, value in tree.items() if key != "name"}
