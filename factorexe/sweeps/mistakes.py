"""What is wrong with a file, gathered: everything is said at once.

mistakes = Mistakes()
with mistakes.at("seeds"):
    raise ConfigError("expected at least 1 (got 0)")
mistakes                                            ["seeds: expected at least 1 (got 0)"]
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from factorexe.config import ConfigError


class Mistakes(list[str]):
    """One line for each thing that is wrong."""

    @contextmanager
    def at(self, place: str) -> Iterator[None]:
        """Note a ``ConfigError`` as one of this place, and go on."""
        try:
            yield
        except ConfigError as error:
            self.extend(f"{place}: {message}" for message in error.messages)
