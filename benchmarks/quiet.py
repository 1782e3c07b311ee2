"""Whether a measurement can be trusted: other work on the machine makes every time longer."""

from __future__ import annotations

import psutil

_BUSY_PERCENT = 10.0


def warn_if_busy() -> None:
    """Print how much of the processors others use, if it is more than a little."""
    used = psutil.cpu_percent(interval=1.0)
    if used > _BUSY_PERCENT:
        print(f"BUSY  other work takes {used:.0f} % of the processors; these figures will not hold")
