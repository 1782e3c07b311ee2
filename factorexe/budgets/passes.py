"""budget.json of a run: the latest curves, and every pass that was ever made, so that none is made twice.

    {"latest": {"curves": [...], ...},
     "passes": [{"weights": "5d41402abc4b2a76", "step": 1125, "changes": {"model.steps": 4}, "splits": {"val": {...}}}]}

A pass stands for another if weights and changed options are the same; options that did not change are the run's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from factorexe.budgets.record import Scores, scores_as_json, scores_from_json
from factorexe.rundir import RunError, read_json, write

NAME = "budget.json"


class Passes:
    """The passes of one run.

    Args:
        directory: of the run.
        weights: a hash of those that are used.
        step: of training, when they were saved.

    Raises:
        RunError: what is there cannot be read.
    """

    def __init__(self, directory: Path, weights: str, step: int) -> None:
        self.file = directory / NAME
        self._weights, self._step = weights, step
        self._known = dict(self._read())
        self._latest: Mapping[str, Any] = {}

    def known(self, changes: Mapping[str, Any]) -> dict[str, Scores]:
        """Scores by split of the present weights, as far as they are known."""
        entry = self._known.get(self._key(changes))
        return scores_from_json(entry["splits"]) if entry else {}

    def values(self, path: str, changes: Mapping[str, Any]) -> list[Any]:
        """The values of an option for which a pass of the present weights is known that changes just that beside
        ``changes``."""
        mine = [entry["changes"] for entry in self._known.values() if entry["weights"] == self._weights]
        return [found[path] for found in mine if path in found and found == {**changes, path: found[path]}]

    def add(self, changes: Mapping[str, Any], scores: Mapping[str, Scores]) -> None:
        """Take in a pass over some splits, and write it.

        Raises:
            RunError: the file cannot be written.
        """
        key = self._key(changes)
        before = self._known.get(key, {"splits": {}})
        self._known[key] = {
            "weights": self._weights,
            "step": self._step,
            "changes": dict(changes),
            "splits": {**before["splits"], **scores_as_json(scores)},
        }
        self._write()

    def latest(self, record: Mapping[str, Any]) -> None:
        """Take in the curves as they stand, and write them.

        Raises:
            RunError: the file cannot be written.
        """
        self._latest = record
        self._write()

    def _write(self) -> None:
        """Write the file, with what another process has added to it meanwhile."""
        self._known = {**dict(self._read()), **self._known}
        content = {"latest": self._latest, "passes": list(self._known.values())}
        try:
            write(self.file, json.dumps(content, indent=2) + "\n")
        except OSError as error:
            raise RunError(
                f"{self.file} cannot be written: {error.strerror}; make room or give leave to write"
            ) from None

    def _key(self, changes: Mapping[str, Any], weights: str | None = None) -> str:
        return json.dumps([weights or self._weights, dict(changes)], sort_keys=True)

    def _read(self) -> Iterator[tuple[str, dict[str, Any]]]:
        if not self.file.exists():
            return
        content = read_json(self.file)
        try:
            for entry in content["passes"]:
                scores_from_json(entry["splits"])
                yield self._key(entry["changes"], entry["weights"]), entry
        except (AttributeError, LookupError, TypeError, ValueError):
            raise RunError(f"{self.file} is damaged: expected the passes of a budget; move it away") from None
