"""factorexe: a small model applied many times, trained to learn the rule instead of the examples.

Importing this package imports neither torch nor lightning; a name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "fit": "factorexe.run",
    "load": "factorexe.run",
    "Run": "factorexe.run",
    "RunConfig": "factorexe.config",
    "resolve": "factorexe.config",
    "reloaded": "factorexe.evaluation",
    "evaluate": "factorexe.evaluation",
    "predict": "factorexe.evaluation",
    "budget": "factorexe.budgets.measuring",
    "compare": "factorexe.budgets.comparing",
    "Task": "factorexe.tasks.base",
    "Examples": "factorexe.tasks.base",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
