"""What is wrong with the runs of a sweep, each mistake once, however many runs make it.

model.width: there is no such option; did you mean width?
model: width (64) must be a multiple of heads (6) (2 of 40 runs, such as model.width 64, model.heads 6, seed 0)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from factorexe.config import ConfigError

_MOST = 20  # mistakes that are told


class Refusals:
    """Collects them.

    Args:
        runs: how many there are in all.
    """

    def __init__(self, runs: int) -> None:
        self.runs = runs
        self._first: dict[str, Mapping[str, Any]] = {}
        self._times: dict[str, int] = {}

    def add(self, values: Mapping[str, Any], messages: Sequence[str]) -> None:
        """What is wrong with the run of these values."""
        for message in messages:
            self._first.setdefault(message, values)
            self._times[message] = self._times.get(message, 0) + 1

    def raise_all(self) -> None:
        """Raises ConfigError if there are any."""
        if self._first:
            told = [self._told(message) for message in list(self._first)[:_MOST]]
            more = len(self._first) - len(told)
            raise ConfigError(*told, *([f"and {more} mistakes more"] if more else []))

    def _told(self, message: str) -> str:
        times = self._times[message]
        if times == self.runs:
            return message
        such = ", ".join(f"{path} {value}" for path, value in self._first[message].items())
        return f"{message} ({times} of {self.runs} runs, such as {such})"
