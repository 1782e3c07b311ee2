"""Numbers typed after an option of ``factorexe sweep``; what is none is refused in one line.

workers("auto")  None        shard("0/4")  (0, 4)        gpus("0.25")  0.25
"""

from __future__ import annotations

import argparse
from typing import Any


def workers(text: str) -> int | None:
    """A number, or ``auto``: as many as there is room for."""
    return None if text == "auto" else whole("workers", 1)(text)


def whole(name: str, least: int) -> Any:
    """A whole number that is not too small."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            auto = "auto or " if name == "workers" else ""
            raise argparse.ArgumentTypeError(f"expected {auto}a whole number from {least} on (got {text!r})")
        return int(text)

    return number


def gpus(text: str) -> float:
    """A share of one GPU, or several whole ones."""
    share = _float(text)
    if not (0 < share <= 1 or (share > 1 and share.is_integer())):
        raise argparse.ArgumentTypeError(f"expected a share of a GPU such as 0.25, or a whole number (got {text!r})")
    return share


def seconds(text: str) -> float:
    """A length of time."""
    length = _float(text)
    if not 0 < length < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds, more than 0 (got {text!r})")
    return length


def shard(text: str) -> tuple[int, int]:
    """``I/N``: part number I of N, counted from 0."""
    first, slash, second = text.partition("/")
    if not (slash and first.isdecimal() and second.isdecimal() and int(first) < int(second)):
        raise argparse.ArgumentTypeError(f"expected I/N with I from 0 to N-1, such as 0/4 (got {text!r})")
    return int(first), int(second)


def _float(text: str) -> float:
    """A number; 0, which none of these may be, if it is none."""
    try:
        return float(text)
    except ValueError:
        return 0.0
