"""How far a sweep is, on stderr: a bar in a terminal, elsewhere a line every half minute.

12/40 [01:03<02:27]  2 running  1 failed
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

_EVERY_S = 30.0


class Board:
    """The state of a sweep while it is computed.

    Args:
        say: takes lines that are to stay.
    """

    def __init__(self, total: int, settled: int, say: Callable[[str], None]) -> None:
        self._total, self._say = total, say
        self._bar: Any = None
        self._said = time.monotonic()
        if sys.stderr.isatty():
            self._bar = tqdm(total=total, initial=settled, unit="run", dynamic_ncols=True)

    def line(self, text: str) -> None:
        """A line above the bar."""
        if self._bar is not None:
            self._bar.clear()
        self._say(text)

    def show(self, settled: int, running: int, failed: int) -> None:
        """The numbers of this moment."""
        state = f"{running} running" + (f"  {failed} failed" if failed else "")
        if self._bar is not None:
            if (self._bar.n, self._bar.postfix) != (settled, state):
                self._bar.n = settled
                self._bar.set_postfix_str(state)
        elif time.monotonic() - self._said > _EVERY_S:
            self._said = time.monotonic()
            self._say(f"{settled - failed} of {self._total} finished  {state}")

    def close(self) -> None:
        """Leave the terminal in order."""
        if self._bar is not None:
            self._bar.close()
