"""What is in the runs that options name, as it stands in the id: the weights that a run begins with.

contents = Contents()
contents.of(config)        {"init_from": "sha256..."}; {} for most runs, which name none
"""

from __future__ import annotations

from typing import Any

from factorexe.config import ConfigError, named_runs
from factorexe.rundir import RunError


class Contents:
    """Reads each named run once."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, config: Any) -> dict[str, str]:
        """The content hash of every run that an option names.

        Raises:
            ConfigError: there is no such run, or it has no weights.
        """
        return {where: self._hash(where, path) for where, path in named_runs(config).items()}

    def _hash(self, where: str, path: str) -> str:
        from factorexe.weights import content_hash

        if path not in self._known:
            try:
                self._known[path] = content_hash(path)
            except RunError as error:
                raise ConfigError(f"{where}: {error}") from None
        return self._known[path]
