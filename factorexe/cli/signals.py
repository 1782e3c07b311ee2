"""A request to stop, as Ctrl-C and SIGTERM make it: once to save and end, twice to end at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any


class SignalStop:
    """What runs and workers ask whether to go on, a ``callbacks.checkpoints.Stop`` in all but its import of torch.

    Args:
        heard: called at the first signal.
    """

    requested = abandoned = False

    def __init__(self, heard: Callable[[], None] = lambda: None) -> None:
        self._heard = heard

    def arm(self) -> None:
        """Take the signals, also from a library that took them."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._asked)

    def _asked(self, number: int, frame: Any) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self._heard()
