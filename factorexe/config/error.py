"""What is wrong with a description, all at once, in sentences.

data.batch_sise: there is no such option; did you mean batch_size?
task.digits: Input should be greater than or equal to 1 (got 0)
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from factorexe.registry import had_by_others, suggestion


class ConfigError(ValueError):
    """Options that cannot describe a run; one message for each thing that is wrong."""

    def __init__(self, *messages: str) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages


def sentence(detail: Any, bound: type[BaseModel]) -> str:
    """A validation error as ``option: what was expected (got what came)``."""
    path = [str(part) for part in detail["loc"]]
    where = ".".join(path) or "run"
    if detail["type"] == "extra_forbidden":
        block: Any = bound
        for part in path[:-1]:
            block = block.model_fields[part].annotation if part in getattr(block, "model_fields", {}) else None
        known = [name for name in getattr(block, "model_fields", {}) if name != "name"]
        others = had_by_others(where) if len(path) == 2 else None
        return f"{where}: there is no such option; {others or suggestion(path[-1], known)}"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] in ("value_error", "missing"):
        return f"{where}: {message}"
    return f"{where}: {message} (got {detail['input']!r})"
